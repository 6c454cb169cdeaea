"""Whether boxes are written in another form than COCO's x, y, width, height in px.

A box of corners or of a centre is four numbers as well: nothing fails, but the scores are wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasksr_ros.evaluation.matching import Bools, Floats, Ints, overlaps

CORNERS = "corners (x0, y0, x1, y1)"
_PERCENTS = "percents of the image's size"
_LEAST_IOU = 0.5
_TIMES = 4
"""By how much another form must match more people than the right one does."""
ENOUGH = 3
"""Boxes that are no chance."""
_BEYOND = 0.1
"""Of the image's sides: by so much do boxes of people not leave it."""
_MOST = 2_000
"""Predictions that are looked at, the strongest."""
_SHARE = 0.25
"""Of as many as there are people, at least so many are on them in another form: among all that a
detector doubts, some are by chance."""


def _as_written(xywh: Floats, _: Floats) -> Floats:
    return xywh


def _corners(xywh: Floats, _: Floats) -> Floats:
    return np.concatenate((xywh[:, :2], xywh[:, 2:] - xywh[:, :2]), 1)


def _centres(xywh: Floats, _: Floats) -> Floats:
    return np.concatenate((xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, 2:]), 1)


def _percents(xywh: Floats, sizes: Floats) -> Floats:
    return xywh * np.tile(sizes, 2) / 100


_OTHERS: dict[str, Callable[[Floats, Floats], Floats]] = {
    CORNERS: _corners,
    "centres (x, y) with width and height": _centres,
    _PERCENTS: _percents,
}
"""Form -> x, y, width, height in px of boxes in it, given (N, 2) image sizes."""


def form_by_size(xywh: Floats, sizes: Floats) -> str:
    """Which other form boxes are in, as their values and the images' sizes tell, or "".

    Args:
        xywh: (N, 4) as written.
        sizes: (N, 2) width and height of each one's image, px; nan where it is not known.
    """
    if not len(xywh):
        return ""
    if xywh[:, 2:].max() > 0 and abs(xywh).max() <= 1 and (xywh % 1).any():
        return "shares of the image's size"
    if not _may_be_corners(xywh):
        return ""
    beyond = (xywh[:, :2] + xywh[:, 2:] > (1 + _BEYOND) * sizes).any(1)
    inside = not (xywh[:, 2:] > sizes + 1).any()
    return CORNERS if inside and beyond.sum() >= max(ENOUGH, len(xywh) / 4) else ""


def form_by_match(
    found: tuple[Ints, Floats], scores: Floats, truth: tuple[Ints, Floats], sizes: Floats
) -> tuple[str, int, int]:
    """Which other form predictions are in, as the people tell whom they match, or "".

    Args:
        found: (D,) image of each, rising, and (D, 4) boxes as written.
        scores: (D,) theirs.
        truth: (G,) image of each person, rising, and (G, 4) x, y, width, height.
        sizes: (D, 2) of each prediction's image, px; nan where it is not known.

    Returns:
        the form, how many predictions match so, and how many as they are written.
    """
    order = np.argsort(-scores, kind="stable")[:_MOST]
    everything, strongest = np.sort(order), np.sort(order[: max(ENOUGH, len(truth[0]))])

    def matching(chosen: Ints, read: Callable[[Floats, Floats], Floats]) -> int:
        chosen = chosen[np.isfinite(sizes[chosen]).all(1)] if read is _percents else chosen
        return _matches(found[0][chosen], read(found[1][chosen], sizes[chosen]), truth)

    as_written = matching(everything, _as_written)
    for form, read in _OTHERS.items():
        if form == CORNERS and not _may_be_corners(found[1]):
            continue
        least = max(1 if form == CORNERS else ENOUGH, _TIMES * as_written, _SHARE * len(strongest))
        if matching(strongest, read) >= least:
            return form, matching(everything, read), as_written
    return "", 0, as_written


def _may_be_corners(xywh: Floats) -> bool:
    """Whether the second corner of every box comes after the first: rare among other boxes."""
    return bool((xywh[:, 2:] >= xywh[:, :2]).all())


def _matches(image: Ints, xywh: Floats, truth: tuple[Ints, Floats]) -> int:
    """Boxes that lie on somebody."""
    pairs = overlaps(xywh, image, truth[1], truth[0])
    hit: Bools = np.zeros(len(image), bool)
    hit[pairs.detection[pairs.iou >= _LEAST_IOU]] = True
    return int(hit.sum())
