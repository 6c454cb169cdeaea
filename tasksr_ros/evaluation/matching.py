"""Which detection found whom: greedy matching of all images at once.

The rule is pdollar/toolbox's bbGt.m (evalRes): per image, strongest detection first; ground truth
that counts is preferred and matched once, by IoU; of equal overlaps the later box is taken;
ignored ground truth is matched by intersection over the detection's area, any number of times,
and such detections count as nothing. Boxes are ``x, y, width, height`` in float64, as the files
have them: areas are width times height, so that no rounding of corners moves a box over a
threshold.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FALSE_POSITIVE, TRUE_POSITIVE, IGNORED = 0, 1, -1
NOBODY = -1

_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of a detection and a ground-truth box of one image that share some area.

    Attributes:
        detection, ground_truth: (P,) indices.
        iou: (P,) intersection over union.
        covered: (P,) intersection over the detection's area.
        centred: (P,) whether the detection's centre lies in the ground-truth box.
    """

    detection: Ints
    ground_truth: Ints
    iou: Floats
    covered: Floats
    centred: Bools


@dataclass(frozen=True)
class Rule:
    """When a detection and a box match.

    Attributes:
        iou: least IoU (for ignored boxes: share of the detection inside), or None: the
            detection's centre lies in the box.
        strict: whether the IoU must be above ``iou`` (KITTI), not only reach it.
    """

    iou: float | None = 0.5
    strict: bool = False

    def fits(self, value: Floats, centred: Bools) -> Bools:
        """(P,) whether pairs match, by their overlap ``value`` or their centres."""
        if self.iou is None:
            return centred
        return value > self.iou if self.strict else value >= self.iou


def overlaps(
    detections: Floats, detection_image: Ints, ground_truth: Floats, ground_truth_image: Ints
) -> Overlaps:
    """All overlapping pairs.

    Args:
        detections: (D, 4) xywh.
        detection_image: (D,) index of the image of each, rising.
        ground_truth: (G, 4) xywh.
        ground_truth_image: (G,) likewise, rising.
    """
    first = np.searchsorted(ground_truth_image, detection_image, "left")
    number = np.searchsorted(ground_truth_image, detection_image, "right") - first
    parts = []
    chunk = np.concatenate([[0], np.cumsum(number)]) // _PAIRS_AT_ONCE
    for low, high in _runs(chunk[:-1]):
        d, g = _pairs(low, first[low:high], number[low:high])
        parts.append(_overlaps(detections, ground_truth, d, g))
    if not parts:
        none = np.zeros(0, np.int64)
        return Overlaps(none, none, np.zeros(0), np.zeros(0), np.zeros(0, bool))
    return Overlaps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def match(
    pairs: Overlaps,
    score: Floats,
    image: Ints,
    ignore: Bools,
    rule: Rule,
    *,
    keep: Bools | None = None,
    by_iou: Bools | None = None,
) -> tuple[NDArray[np.int8], Ints]:
    """Match detections to ground truth.

    Args:
        pairs: of these detections and this ground truth.
        score: (D,).
        image: (D,) index of the image of each detection.
        ignore: (G,) ground truth that neither counts nor makes a detection false.
        rule: when a pair matches.
        keep: (D,) detections that take part; None: all. The others are ``IGNORED``.
        by_iou: (G,) ignored boxes that must be met by IoU, not by the share of the detection.

    Returns:
        outcome (D,): ``TRUE_POSITIVE``, ``FALSE_POSITIVE`` or ``IGNORED``, and person (D,): the
        ground truth that a true positive found, else ``NOBODY``.
    """
    keep = np.ones(len(score), bool) if keep is None else keep
    counts = ~ignore[pairs.ground_truth]
    taking_part = keep[pairs.detection]
    person = assign(
        pairs,
        taking_part & counts & rule.fits(pairs.iou, pairs.centred),
        pairs.iou,
        score,
        image,
        np.zeros(len(ignore), bool),
    )
    value = pairs.covered
    if by_iou is not None:
        value = np.where(by_iou[pairs.ground_truth], pairs.iou, value)
    outcome = np.zeros(len(score), np.int8)
    outcome[pairs.detection[~counts & rule.fits(value, pairs.centred)]] = IGNORED
    outcome[person != NOBODY] = TRUE_POSITIVE
    outcome[~keep] = IGNORED
    return outcome, person


def assign(
    pairs: Overlaps, candidate: Bools, value: Floats, score: Floats, image: Ints, reusable: Bools
) -> Ints:
    """Give each detection, strongest first, the free candidate of the largest value.

    Works on the k-th detection of every image at once, k = 0, 1, …: detections of different
    images do not compete.

    Args:
        pairs: (P,) pairs.
        candidate: (P,) which of them may match.
        value: (P,) which to prefer; of equal ones, the later ground truth.
        score: (D,).
        image: (D,) index of the image of each detection.
        reusable: (G,) ground truth that may be given more than once.

    Returns:
        (D,) index of the ground truth, ``NOBODY`` for none.
    """
    person = np.full(len(score), NOBODY, np.int64)
    detection, truth = pairs.detection[candidate], pairs.ground_truth[candidate]
    if len(detection) == 0:
        return person
    place = np.full(len(score), -1, np.int64)  # of a detection among its image's candidates
    able = np.unique(detection)
    able = able[np.lexsort((able, -score[able], image[able]))]
    starts = np.flatnonzero(np.diff(image[able], prepend=-1))
    place[able] = np.arange(len(able)) - np.repeat(starts, np.diff([*starts, len(able)]))
    order = np.lexsort((truth, value[candidate], detection, place[detection]))
    detection, truth = detection[order], truth[order]
    taken = np.zeros(len(reusable), bool)
    for low, high in _runs(place[detection]):
        free = ~taken[truth[low:high]]
        d, g = detection[low:high][free], truth[low:high][free]
        if len(d):
            last = np.append(d[1:] != d[:-1], True)
            person[d[last]] = g[last]
            taken[g[last]] = ~reusable[g[last]]
    return person


def _runs(labels: Ints) -> list[tuple[int, int]]:
    """(start, end) of each run of equal labels."""
    if len(labels) == 0:
        return []
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return list(itertools.pairwise(edges))


def _pairs(offset: int, first: Ints, number: Ints) -> tuple[Ints, Ints]:
    """Pairs of detections offset, offset + 1, … with ``number`` boxes each from ``first`` on."""
    detection = np.repeat(np.arange(offset, offset + len(number)), number)
    before = np.cumsum(number) - number
    within = np.arange(len(detection)) - np.repeat(before, number)
    return detection, np.repeat(first, number) + within


def _overlaps(
    detections: Floats, ground_truth: Floats, d: Ints, g: Ints
) -> tuple[Ints, Ints, Floats, Floats, Any]:
    own, theirs = detections[d], ground_truth[g]
    low = np.maximum(own[:, :2], theirs[:, :2])
    high = np.minimum(own[:, :2] + own[:, 2:], theirs[:, :2] + theirs[:, 2:])
    some = np.all(high > low, axis=1)
    d, g, own, theirs = d[some], g[some], own[some], theirs[some]
    shared = (high - low)[some].prod(1)
    area = own[:, 2:].prod(1)
    centre = own[:, :2] + own[:, 2:] / 2
    inside = (centre >= theirs[:, :2]) & (centre <= theirs[:, :2] + theirs[:, 2:])
    union = area + theirs[:, 2:].prod(1) - shared
    return d, g, shared / union, shared / area, np.all(inside, axis=1)
