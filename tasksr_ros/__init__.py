"""Task-driven super-resolution for distant pedestrian detection.

    from tasksr_ros import Frame, load_model
    detections = load_model("tdsr-ss-x4").pipeline()(Frame(rgb_image))

What is exported here is imported when it is first used: ``import tasksr_ros`` itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tasksr_ros._version import __version__
from tasksr_ros.threads import wait_passively

if TYPE_CHECKING:
    from tasksr_ros.detections import Detections
    from tasksr_ros.io.frames import Frame
    from tasksr_ros.model import load_model
    from tasksr_ros.pipeline import Pipeline

wait_passively()  # has an effect only before torch is loaded, whoever imports it

_HOMES = {
    "Detections": "tasksr_ros.detections",
    "Frame": "tasksr_ros.io.frames",
    "Pipeline": "tasksr_ros.pipeline",
    "load_model": "tasksr_ros.model",
}

__all__ = ["Detections", "Frame", "Pipeline", "__version__", "load_model"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
