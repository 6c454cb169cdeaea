"""Descriptions of format 1, which had one file of weights and one kind of detector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasksr_ros.errors import BundleError

_WEIGHTS = "weights.safetensors"
_OF_DETECTOR = ("classes", "region_size", "score_threshold")
_KEYS = {
    *("name", "sr", "scale_factor", "recipe", "weights_sha256"),
    *("sr_options", "detector_width", *_OF_DETECTOR),
}


def converted(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The same in format 2, whose check follows.

    Raises:
        BundleError: for keys that format 1 lacks, or without those that it must have.
    """
    needed = {"name", "sr", "scale_factor", "recipe", "weights_sha256"}
    has_detector = bool(values.keys() & {"detector_width", *_OF_DETECTOR})
    if has_detector:
        needed |= {"detector_width", *_OF_DETECTOR}
    missing, unknown = sorted(needed - values.keys()), sorted(map(str, values.keys() - _KEYS))
    if missing or unknown:
        raise BundleError(f"{path}: missing keys: {missing}, unknown keys: {unknown!r:.90}")
    sr: dict[str, Any] = {
        "network": values["sr"],
        "scale_factor": values["scale_factor"],
        "options": values.get("sr_options", {}),
    }
    if values["sr"] != "bicubic":
        sr |= {"weights": _WEIGHTS, "prefix": "sr." if has_detector else ""}
    found = {
        "format": 2,
        "name": values["name"],
        "files": {_WEIGHTS: values["weights_sha256"]},
        "recipe": values["recipe"],
        "sr": sr,
    }
    if not has_detector:
        return found
    options = {"width": values["detector_width"]}
    detector = {"network": "fcos", "options": options, "weights": _WEIGHTS, "prefix": "detector."}
    return {**found, "detector": detector, **{key: values[key] for key in _OF_DETECTOR}}
