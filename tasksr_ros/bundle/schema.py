"""What ``model.yaml`` must hold: names, types and ranges, of format 2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasksr_ros.bundle.description import (
    Bundle,
    ForeignDetector,
    InputFormat,
    OwnDetector,
    SuperResolution,
    SuperResolutionBundle,
)
from tasksr_ros.bundle.format_1 import converted
from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.errors import BundleError

FORMAT = 2
NONE = "none"
MAX_REGION_SIDE = 8192
MAX_CLASSES = 1000
MAX_OPTION = 65536
MAX_FRAMES = 64
"""That a network of video looks at."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of bundles, networks and files, which become parts of paths and log lines."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Key:
    """A value of a section: its types, what it must be, and how that is said."""

    types: tuple[type, ...]
    right: Callable[[Any], bool] = lambda _: True
    expected: str = ""
    optional: bool = False


def _is_name(value: object) -> bool:
    return type(value) is str and _NAME.fullmatch(value) is not None


def _is_size(value: list[object]) -> bool:
    return len(value) == 2 and all(type(n) is int and 0 < n <= MAX_REGION_SIDE for n in value)


def _are_classes(value: list[object]) -> bool:
    named = all(type(n) is str and n.isprintable() and 0 < len(n) <= 100 for n in value)
    return named and 0 < len(value) <= MAX_CLASSES and len(set(value)) == len(value)


def _are_options(value: dict[object, object]) -> bool:
    def right(v: object) -> bool:
        if type(v) is bool:
            return True
        if type(v) is str:
            return v.isprintable() and len(v) <= 100
        return type(v) in (int, float) and abs(v) <= MAX_OPTION  # type: ignore[arg-type]

    return all(type(k) is str and k.isidentifier() and right(v) for k, v in value.items())


def _are_hashes(value: dict[object, object]) -> bool:
    return all(_is_name(k) and _SHA256.fullmatch(str(v)) is not None for k, v in value.items())


def _are_labels(value: list[object]) -> bool:
    return bool(value) and all(type(n) is int and 0 <= n < 100_000 for n in value)


def _are_three(value: list[object], low: float) -> bool:
    return len(value) == 3 and all(
        type(n) in (int, float) and low <= n <= 1e6  # type: ignore[operator]
        for n in value
    )


_NETWORK = _Key((str,), _is_name, "the name of a network")
_FILE = _Key((str,), _is_name, "the name of a file in the bundle's folder")
_OPTIONS = _Key(
    (dict,), _are_options, f"names and numbers up to {MAX_OPTION}, texts or booleans", optional=True
)
_SECTIONS: dict[str, dict[str, _Key]] = {
    "": {
        "format": _Key((int,), lambda v: v == FORMAT, f"{FORMAT}"),
        "name": _Key((str,), _is_name, "letters, digits, '.', '_' and '-', at most 100"),
        "files": _Key((dict,), _are_hashes, "64 hex digits by the name of each file"),
        "recipe": _Key((dict,), optional=True),
        "sr": _Key((dict, str), lambda v: v == NONE or type(v) is dict, "a section, or none"),
        "detector": _Key((dict,), optional=True),
        "classes": _Key((list,), _are_classes, f"1 to {MAX_CLASSES} distinct names", True),
        "region_size": _Key(
            (list,), _is_size, f"[width, height] in px, at most {MAX_REGION_SIDE} each", True
        ),
        "score_threshold": _Key((float,), lambda v: 0 <= v <= 1, "between 0 and 1", True),
        "weak_threshold": _Key((float,), lambda v: 0 < v < 1, "between 0 and 1", True),
    },
    "sr": {
        "network": _NETWORK,
        "scale_factor": _Key((int, float), lambda v: 1 <= v <= 8, "from 1 to 8"),
        "options": _OPTIONS,
        "weights": _Key((str,), _is_name, _FILE.expected, optional=True),
        "prefix": _Key((str,), optional=True),
    },
    "own detector": {
        "network": _NETWORK,
        "options": _OPTIONS,
        "weights": _FILE,
        "prefix": _Key((str,), optional=True),
    },
    "foreign detector": {
        "model": _FILE,
        "decoder": _Key((str,), _is_name, "the name of a decoder"),
        "decoder_options": _OPTIONS,
        "labels": _Key((list,), _are_labels, "numbers of the detector's classes"),
        "input": _Key((dict,)),
    },
    "input": {
        "channels": _Key((str,), lambda v: v in ("rgb", "bgr"), "rgb or bgr"),
        "mean": _Key((list,), lambda v: _are_three(v, -1e6), "three numbers"),
        "std": _Key((list,), lambda v: _are_three(v, 1e-6), "three positive numbers"),
        "layout": _Key((str,), lambda v: v in ("nchw", "nhwc"), "nchw or nhwc", True),
        "size": _Key((list,), _is_size, "[width, height] in px", True),
        "size_multiple": _Key((int,), lambda v: 1 <= v <= 1024, "from 1 to 1024", True),
    },
}
_OF_VIDEO: dict[str, tuple[Callable[[Any], bool], str]] = {
    "num_frames": (
        lambda v: type(v) is int and 2 <= v <= MAX_FRAMES,
        f"a whole number from 2 to {MAX_FRAMES}",
    ),
    "past_only": (lambda v: type(v) is bool or v in (0, 1), "true or false"),
}
"""Options of super-resolution of video that decide what it is given."""
_OF_DETECTOR = ("detector", "classes", "region_size", "score_threshold")
"""All of them, or none: a bundle of super-resolution alone."""


def described(values: object, folder: Path, path: Path) -> SuperResolutionBundle:
    """The bundle that a description says, each value of its type and in its range.

    Args:
        values: what the file holds, of format 1 or 2.
        folder: where the bundle lies.
        path: of the file, for the error.

    Raises:
        BundleError: names the first value that is wrong.
    """
    if not isinstance(values, dict):
        raise BundleError(f"{path}: expected a mapping, got {type(values).__name__}")
    if "format" not in values:
        values = converted(values, path)
    given = _section(values, "", path)
    common = {
        "name": given["name"],
        "folder": folder,
        "sr": None if given["sr"] == NONE else _sr(given["sr"], path),
        "files": dict(given["files"]),
        "recipe": given.get("recipe", {}),
    }
    missing = [key for key in _OF_DETECTOR if key not in given]
    if missing == list(_OF_DETECTOR) and common["sr"] is not None:
        bundle = SuperResolutionBundle(**common)
    elif missing:
        raise BundleError(f"{path}: missing keys: {missing}")
    else:
        bundle = _with_detector(given, common, path)
    _check_files(bundle, path)
    return bundle


def _with_detector(given: Mapping[str, Any], common: dict[str, Any], path: Path) -> Bundle:
    section = given["detector"]
    foreign = "model" in section or "decoder" in section
    bundle = Bundle(
        **common,
        detector=_foreign(section, path) if foreign else _own(section, path),
        classes=tuple(given["classes"]),
        region_size=(given["region_size"][0], given["region_size"][1]),
        score_threshold=given["score_threshold"],
        weak_threshold=given.get("weak_threshold"),
    )
    if bundle.weak_threshold is not None and bundle.weak_threshold >= bundle.score_threshold:
        raise BundleError(
            f"{path}: weak_threshold must be below score_threshold, {bundle.score_threshold:g}, "
            f"got {bundle.weak_threshold:g}"
        )
    check_sizes(bundle, str(path))
    if isinstance(bundle.detector, ForeignDetector):
        labels, classes = bundle.detector.labels, bundle.classes
        if len(labels) != len(classes):
            raise BundleError(
                f"{path}: detector.labels must be one for each of {len(classes)} classes, "
                f"got {len(labels)}"
            )
    return bundle


def check_sizes(bundle: Bundle, where: str) -> None:
    """Raise BundleError unless the detector takes what super-resolution makes of a region."""
    sides = [side * bundle.scale_factor for side in bundle.region_size]
    multiple, size = SIZE_MULTIPLE, None
    if isinstance(bundle.detector, ForeignDetector):
        multiple, size = bundle.detector.input.size_multiple, bundle.detector.input.size
    shown = "x".join(f"{side:g}" for side in sides)
    if size is not None and sides != list(size):
        raise BundleError(
            f"{where}: region_size times scale_factor must be {size[0]}x{size[1]} px, which the "
            f"detector takes, got {shown}"
        )
    if size is None and any(side % multiple for side in sides):
        raise BundleError(
            f"{where}: region_size times scale_factor must be multiples of {multiple} SR px, "
            f"got {shown}"
        )


def _sr(section: Mapping[str, Any], path: Path) -> SuperResolution:
    sr = SuperResolution(**_section(section, "sr", path))
    for name, (right, expected) in _OF_VIDEO.items():
        value = sr.options.get(name)
        if value is not None and not right(value):
            raise BundleError(f"{path}: sr.options.{name} must be {expected}, got {_shown(value)}")
    return sr


def _own(section: Mapping[str, Any], path: Path) -> OwnDetector:
    return OwnDetector(**_section(section, "own detector", path))


def _foreign(section: Mapping[str, Any], path: Path) -> ForeignDetector:
    given = _section(section, "foreign detector", path)
    taken = _section(given["input"], "input", path)
    size = taken.get("size")
    taken |= {
        "mean": tuple(map(float, taken["mean"])),
        "std": tuple(map(float, taken["std"])),
        "size": None if size is None else (size[0], size[1]),
    }
    return ForeignDetector(
        **{**given, "labels": tuple(given["labels"]), "input": InputFormat(**taken)}
    )


def _section(values: Mapping[Any, Any], name: str, path: Path) -> dict[str, Any]:
    """The checked values of a section."""
    keys = _SECTIONS[name]
    where = f"{name.rpartition(' ')[2]}." if name else ""
    missing = [k for k, key in keys.items() if k not in values and not key.optional]
    unknown = sorted(str(k) for k in values if k not in keys)
    if missing or unknown:
        of = f" of {where[:-1]}" if where else ""
        raise BundleError(f"{path}: missing keys{of}: {missing}, unknown keys: {_shown(unknown)}")
    for k, value in values.items():
        key = keys[k]
        if type(value) not in key.types:
            named = " or ".join(t.__name__ for t in key.types)
            raise BundleError(f"{path}: {where}{k} must be of type {named}, got {_shown(value)}")
        if not key.right(value):
            raise BundleError(f"{path}: {where}{k} must be {key.expected}, got {_shown(value)}")
    return dict(values)


def _check_files(bundle: SuperResolutionBundle, path: Path) -> None:
    """Raise BundleError unless every file that a section names has its hash."""
    named = [bundle.sr.weights] if bundle.sr else []
    if isinstance(bundle, Bundle):
        detector = bundle.detector
        own = isinstance(detector, OwnDetector)
        named.append(detector.weights if own else detector.model)  # type: ignore[union-attr]
    for name in filter(None, named):
        if name not in bundle.files:
            raise BundleError(f"{path}: files must have the sha256 of {name}, got none")


def _shown(value: object) -> str:
    """A value in an error's line: never long, and on one line."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number too long to write"
    return text if len(text) <= 80 else f"{text[:80]}…"
