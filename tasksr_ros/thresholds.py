"""The least score of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.config import DetectionConfig
from tasksr_ros.errors import ConfigError

_NEVER = 2.0


def class_thresholds(
    config: DetectionConfig, score_threshold: float, classes: Sequence[str]
) -> NDArray[np.float32]:
    """The least score of each class; more than 1 of those that are not wanted.

    Raises:
        ConfigError: for classes that there are not, or thresholds that are no numbers from 0 to 1.
    """
    wanted = [name for name in config.classes if name]
    own = dict(_threshold(text) for text in config.class_thresholds if text)
    for name in (*wanted, *own):
        if name not in classes:
            raise ConfigError(
                f"detection.classes must be of the bundle's, {', '.join(classes)}, got {name!r}"
            )
    least = [
        own.get(name, score_threshold) if name in wanted or not wanted else _NEVER
        for name in classes
    ]
    return np.array(least, np.float32)


def _threshold(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        least = float(value)
    except ValueError:
        least = math.nan
    if not name or not 0 <= least <= 1:
        raise ConfigError(
            f"detection.class_thresholds must be name=value with values from 0 to 1, got {text!r}"
        )
    return name, least
