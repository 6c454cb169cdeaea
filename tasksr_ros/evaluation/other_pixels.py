"""Boxes in px of other images than the ground truth's: turned, padded, resized, cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.matching import Bools, Floats, Ints

_ALIKE = 0.1
"""Natural logarithm of the ratio up to which two lengths are alike."""
_SHIFTS_ALIKE = 4.0
"""Px."""
_INPUTS = (320, 416, 512, 608, 640, 768, 800, 896, 960, 1024, 1280, 1536)
"""Sides of square inputs of networks into which images are put between equal borders, px."""


def other_pixels(
    image: Ints, xywh: Floats, strongest: Ints, truth: GroundTruth
) -> Iterator[tuple[str, Floats]]:
    """In words of which images boxes may be, and (D, 4) how they lie in the ground truth's then.

    Args:
        image: (D,) index of each box's, -1 for those that do not count.
        xywh: (D, 4) as written.
        strongest: indices of the boxes that tell how much images were resized or cut.
        truth: with the sizes that it states, without them fewer readings are tried.
    """
    sizes = truth.sizes()[image]
    if np.isfinite(sizes[image >= 0]).any():
        yield from _turned(xywh, sizes)
        yield from _padded(xywh, sizes)
    box, person = _pairs(image[strongest], xywh[strongest], truth)
    yield from _resized(xywh, box, person, truth.sizes())
    yield from _cut(xywh, box, person)


def _turned(xywh: Floats, sizes: Floats) -> Iterator[tuple[str, Floats]]:
    """As EXIF's orientation turns images."""
    (x, y, w, h), (width, height) = xywh.T, sizes.T
    yield "turned by 180 degrees", np.stack((width - x - w, height - y - h, w, h), 1)
    yield "turned by 90 degrees to the right", np.stack((y, height - x - w, h, w), 1)
    yield "turned by 90 degrees to the left", np.stack((width - y - h, x, h, w), 1)
    yield "mirrored", np.stack((width - x - w, y, w, h), 1)


def _padded(xywh: Floats, sizes: Floats) -> Iterator[tuple[str, Floats]]:
    for side in _INPUTS:
        scale = sizes.max(1, keepdims=True) / side
        border = (side - sizes / scale) / 2
        boxes = np.concatenate((xywh[:, :2] - border, xywh[:, 2:]), 1) * scale
        yield f"of a network's input of {side}x{side} px with borders", boxes


def _resized(
    xywh: Floats, box: Floats, person: Floats, sizes: Floats
) -> Iterator[tuple[str, Floats]]:
    (centre, target), larger = _centres(box, person), np.log(person[:, 2:] / box[:, 2:])
    ahead = ((centre > 0) & (target > 0)).all(1)
    farther = np.log(target[ahead] / centre[ahead])
    common = _most_common(farther[_alike(farther, larger[ahead])], _ALIKE / 2)
    if not _alike(common, np.zeros(2)):
        scale = np.exp(common)
        yield _other_size(sizes, scale), xywh * np.tile(scale, 2)


def _other_size(sizes: Floats, scale: Floats) -> str:
    told = f"of images of another size (x times {scale[0]:.3g}, y times {scale[1]:.3g})"
    if len(np.unique(sizes, axis=0)) > 1 or not np.isfinite(sizes).all():
        return told
    (width, height), (w, h) = sizes[0], sizes[0] / scale
    return f"of images of about {w:.0f}x{h:.0f} px instead of {width:.0f}x{height:.0f}"


def _cut(xywh: Floats, box: Floats, person: Floats) -> Iterator[tuple[str, Floats]]:
    same = _alike(np.log(person[:, 2:] / box[:, 2:]), np.zeros(2))
    centre, target = _centres(box[same], person[same])
    right, down = _most_common(target - centre, _SHIFTS_ALIKE)
    if max(abs(right), abs(down)) > _SHIFTS_ALIKE:
        told = f"of a part of them that lies {right:+.0f}, {down:+.0f} px from their corner"
        yield told, xywh + np.array([right, down, 0, 0])


def _alike(a: Floats, b: Floats) -> Bools:
    return np.asarray((abs(a - b) <= _ALIKE).all(-1))


def _centres(box: Floats, person: Floats) -> tuple[Floats, Floats]:
    return box[:, :2] + box[:, 2:] / 2, person[:, :2] + person[:, 2:] / 2


def _pairs(image: Ints, xywh: Floats, truth: GroundTruth) -> tuple[Floats, Floats]:
    """(P, 4) boxes, and of each a person in the same image: all pairs of boxes with an area."""
    first, last = (np.searchsorted(truth.image, image, side) for side in ("left", "right"))
    number = last - first
    within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    box = np.repeat(xywh, number, 0)
    person = truth.xywh[np.repeat(first, number) + within]
    usable = (box[:, 2:] > 0).all(1) & (person[:, 2:] > 0).all(1)
    return box[usable], person[usable]


def _most_common(points: Floats, width: float) -> Floats:
    """(2,) where most of (N, 2) points are within a width; 0 for none."""
    if not len(points):
        return np.zeros(2)
    cells, number = np.unique(np.round(points / width), axis=0, return_counts=True)
    near = (abs(points / width - cells[number.argmax()]) <= 1).all(1)
    return np.asarray(np.median(points[near], axis=0))
