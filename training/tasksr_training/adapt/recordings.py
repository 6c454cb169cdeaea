"""How the LR copies of each recording's frames are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasksr_training.adapt.degradation import Degradation, measure_degradation
from tasksr_training.adapt.frames import Chosen, Frames
from tasksr_training.errors import TrainingError

_MEASURED_IMAGES = 12
"""Frames of a recording whose faults are measured."""


def fixed_blur(text: str) -> float | None:
    """Standard deviation, HR px; None: as the recordings ask for.

    Raises:
        TrainingError: for neither ``auto`` nor 0 to 8.
    """
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 8:
        raise TrainingError(f"blur: expected auto or 0 to 8 HR px, got {text}")
    return value


def degradations_of(
    frames: Frames, scale_factor: int, blur: float | None
) -> tuple[dict[str, Degradation], list[str]]:
    """As each recording asks for, by its name; and a line of each for people."""
    found, lines = {}, []
    for name in dict.fromkeys(f.recording for f in (*frames.train, *frames.held_out)):
        own = [f for f in frames.train if f.recording == name] or frames.train
        found[name], line = _degradation(frames, own, scale_factor, blur)
        lines.append(f"{Path(name).name}: {line}")
    return found, lines


def _degradation(
    frames: Frames, own: Sequence[Chosen], scale_factor: int, blur: float | None
) -> tuple[Degradation, str]:
    step = max(1, len(own) // _MEASURED_IMAGES)
    images = [frames.image(frame) for frame in own[::step][:_MEASURED_IMAGES]]
    qualities = [f.jpeg_quality for f in own if f.jpeg_quality is not None]
    quality = int(np.median(qualities)) if len(qualities) * 2 > len(own) else None
    return measure_degradation(images, scale_factor, quality, blur)
