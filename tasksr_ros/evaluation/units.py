"""Whether heights, distances and stamps of a ground truth are in px, m and ns.

Values in another unit are numbers as well: nothing fails, but heights fall out of all subsets, the
range is in millimetres, and an hour lasts a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasksr_ros.evaluation.matching import Floats

_LEAST_SHARE = 0.2
"""Of its box's height is a whole person high at least: boxes have margins, metres are far less."""
_PERSON_M = 1.7
_FOCAL_LENGTHS = (20.0, 50_000.0)
"""Px; of fisheyes in small images, and of telescopes."""
_LEAST_STEP_NS = 2_000_000
"""From an image to the next: no camera in a vehicle takes 500 a second."""


def other_unit(
    height: Floats, box_height: Floats, distance: Floats, images: Sequence[Mapping[str, Any]]
) -> str:
    """Which values of most people, or of the images, are in another unit, or "".

    Args:
        height: (G,) px, of each whole person.
        box_height: (G,) px.
        distance: (G,) m, nan where it is not known.
        images: COCO entries, whose ``stamp_ns`` are whole numbers.
    """
    return (
        _other_heights(height, box_height)
        or _other_distances(np.maximum(height, box_height) * distance)
        or _other_stamps(images)
    )


def _other_heights(height: Floats, box_height: Floats) -> str:
    low = np.flatnonzero(height < _LEAST_SHARE * box_height)
    if 2 * len(low) <= len(height):
        return ""
    one = low[0]
    return (
        f"height must be px of the whole person, got {height[one]:g} of a box that is "
        f"{box_height[one]:g} px high, likewise {len(low)} of {len(height)} people (is it in m?)"
    )


def _other_distances(height_m: Floats) -> str:
    """Height times distance is a person's height times the focal length."""
    known = height_m[np.isfinite(height_m)]
    focal = float(np.median(known)) / _PERSON_M if len(known) else 0.0
    least, most = _FOCAL_LENGTHS
    if not len(known) or least <= focal <= most:
        return ""
    return (
        f"distance_m must be m: with the people's heights it makes a focal length of {focal:.3g} "
        f"px, expected {least:g} to {most:g}"
    )


def _other_stamps(images: Sequence[Mapping[str, Any]]) -> str:
    of_sequence: dict[object, set[int]] = {}
    for image in images:
        if image.get("stamp_ns") is not None:
            of_sequence.setdefault(image.get("sequence"), set()).add(image["stamp_ns"])
    spans = [max(stamps) - min(stamps) for stamps in of_sequence.values()]
    steps = sum(len(stamps) - 1 for stamps in of_sequence.values())
    if not steps or sum(spans) / steps >= _LEAST_STEP_NS:
        return ""
    return (
        f"stamp_ns must be nanoseconds: those of the images of a sequence are "
        f"{sum(spans) / steps:g} apart in the mean, expected {_LEAST_STEP_NS} and more"
    )
