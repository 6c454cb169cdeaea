"""What ``model.yaml`` must hold: names, types and ranges."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.errors import BundleError

MAX_REGION_SIDE = 4096
SCALE_FACTORS = (2, 4, 8)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of bundles and networks, which become parts of paths and log lines."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

_FIELDS: dict[str, type] = {
    "name": str,
    "sr": str,
    "scale_factor": int,
    "recipe": dict,
    "weights_sha256": str,
}
_DETECTOR_FIELDS: dict[str, type] = {
    "detector_width": float,
    "classes": list,
    "region_size": list,
    "score_threshold": float,
}
"""All of them, or none: a bundle of super-resolution alone."""
SR_OPTIONS = "sr_options"
"""May be there, in a bundle of super-resolution alone."""
MAX_SR_OPTION = 1024


def _is_name(value: str) -> bool:
    return _NAME.fullmatch(value) is not None


def _is_region(value: list[object]) -> bool:
    return len(value) == 2 and all(type(n) is int and 0 < n <= MAX_REGION_SIDE for n in value)


def _are_classes(value: list[object]) -> bool:
    named = all(type(n) is str and n.isprintable() and 0 < len(n) <= 100 for n in value)
    return named and 0 < len(value) <= 1000


def _are_options(value: dict[object, object]) -> bool:
    named = all(type(name) is str and name.isidentifier() for name in value)
    return named and all(type(v) is int and 0 < v <= MAX_SR_OPTION for v in value.values())


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_name, "letters, digits, '.', '_' and '-', at most 100"),
    "sr": (_is_name, "the name of a network"),
    "detector_width": (lambda v: 0 < v <= 16, "more than 0 and at most 16"),
    "scale_factor": (lambda v: v in SCALE_FACTORS, "2, 4 or 8"),
    "classes": (_are_classes, "a list of 1 to 1000 names"),
    "region_size": (_is_region, f"[width, height] in px, at most {MAX_REGION_SIDE} each"),
    "score_threshold": (lambda v: 0 <= v <= 1, "between 0 and 1"),
    SR_OPTIONS: (_are_options, f"names and whole numbers from 1 to {MAX_SR_OPTION}"),
    "weights_sha256": (lambda v: _SHA256.fullmatch(v) is not None, "64 hex digits"),
}


def checked(values: object, path: Path) -> dict[str, Any]:
    """The values of a bundle's description, each of its type and in its range.

    Args:
        values: what the file holds.
        path: of the file, for the error.

    Raises:
        BundleError: names the first value that is wrong.
    """
    if not isinstance(values, dict):
        raise BundleError(f"{path}: expected a mapping, got {type(values).__name__}")
    fields = {**_FIELDS, **_DETECTOR_FIELDS} if has_detector(values) else dict(_FIELDS)
    if SR_OPTIONS in values and not has_detector(values):
        fields[SR_OPTIONS] = dict
    wrong = sorted(map(str, set(values) ^ set(fields)))
    if wrong:
        missing = [k for k in wrong if k in fields]
        unknown = [k for k in wrong if k not in fields]
        raise BundleError(f"{path}: missing keys: {missing}, unknown keys: {_shown(unknown)}")
    for name, type_ in fields.items():
        if type(values[name]) is not type_:
            raise BundleError(
                f"{path}: {name} must be of type {type_.__name__}, got {_shown(values[name])}"
            )
    for name in fields.keys() & _RANGES.keys():
        right, expected = _RANGES[name]
        if not right(values[name]):
            raise BundleError(f"{path}: {name} must be {expected}, got {_shown(values[name])}")
    if has_detector(values):
        _check_sides(values, path)
    return values


def has_detector(values: dict[str, Any]) -> bool:
    """Whether a description is, or is meant to be, of more than super-resolution alone."""
    return bool(values.keys() & _DETECTOR_FIELDS.keys())


def _check_sides(values: dict[str, Any], path: Path) -> None:
    sides = [side * values["scale_factor"] for side in values["region_size"]]
    if any(side % SIZE_MULTIPLE for side in sides):
        raise BundleError(
            f"{path}: region_size times scale_factor must be multiples of {SIZE_MULTIPLE} SR px, "
            f"got {sides}"
        )


def _shown(value: object) -> str:
    """A value in an error's line: never long, and on one line."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number too long to write"
    return text if len(text) <= 80 else f"{text[:80]}…"
