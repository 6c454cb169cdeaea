"""Detection metrics: pure functions over arrays.

`matching` says how detections are matched. Curves run over falling scores, one point per
detection that counts; equal scores keep the order of the images, then of the file.

The log-average miss rate, MR⁻², is pdollar/toolbox's (bbGt.m compRoc, acfTest.m): the geometric
mean of the miss rate at nine numbers of false positives per image (FPPI), 10^-2, 10^-1.75, … 1.
The miss rate at f is that of the curve's last point with FPPI <= f; with no such point it is 1;
a curve that ends earlier is continued with its last point; a miss rate below 1e-10 counts as
1e-10. Two things differ from CityPersons' eval_MR_multisetup.py, on purpose: its points are
rounded to four decimals, and where no point has FPPI <= f it takes the curve's last point (an
index of -1) instead of a miss rate of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.matching import (
    FALSE_POSITIVE,
    IGNORED,
    NOBODY,
    TRUE_POSITIVE,
    Bools,
    Floats,
    Ints,
    Rule,
    match,
    overlaps,
)

__all__ = [
    "FALSE_POSITIVE",
    "FPPI_POINTS",
    "IGNORED",
    "TRUE_POSITIVE",
    "Matches",
    "average_precision",
    "build_matches",
    "log_average_miss_rate",
    "match_image",
    "match_images",
    "miss_rate_at",
    "miss_rate_curve",
    "recall",
    "score_at_fppi",
]

FPPI_POINTS: Floats = np.array([10.0 ** (-2 + k / 4) for k in range(9)])
LEAST_MISS_RATE = 1e-10


@dataclass(frozen=True, eq=False)
class Matches:
    """Detections of a set of images against its ground truth.

    Attributes:
        score: (D,) of all detections that take part, falling.
        outcome: (D,) ``TRUE_POSITIVE``, ``FALSE_POSITIVE`` or ``IGNORED``.
        image: (D,) index of the image of each.
        detection: (D,) index of each in the arrays that were matched.
        found_at: (G,) score of the detection that found each counting ground-truth box,
            -inf where none did.
        found_by: (G,) index of that detection in the arrays that were matched, `NOBODY` for none.
        height: (G,) height of these boxes, px.
        person: (G,) index of each in the arrays that were matched.
        person_image: (G,) index of the image of each.
        num_images: images in the set.
    """

    score: Floats
    outcome: NDArray[np.int8]
    image: Ints
    detection: Ints
    found_at: Floats
    found_by: Ints
    height: Floats
    person: Ints
    person_image: Ints
    num_images: int


def build_matches(
    outcome: NDArray[np.int8],
    found: Ints,
    keep: Bools,
    score: Floats,
    image: Ints,
    ignore: Bools,
    height: Floats,
    truth_image: Ints,
    num_images: int,
) -> Matches:
    """Sort what `match` returned.

    Args:
        outcome: (D,) as `match` returns it.
        found: (D,) likewise.
        keep: (D,) detections that take part.
        score: (D,) of the detections.
        image: (D,) index of their images, rising.
        ignore: (G,) of the ground truth.
        height: (G,) px.
        truth_image: (G,) index of their images, rising.
        num_images: images in the set, those without any box included.
    """
    kept = np.flatnonzero(keep)
    order = kept[np.argsort(-score[kept], kind="stable")]
    found_at = np.full(len(ignore), -np.inf)
    hit = found != NOBODY
    found_at[found[hit]] = score[hit]
    found_by = np.full(len(ignore), NOBODY, np.int64)
    found_by[found[hit]] = np.flatnonzero(hit)
    counting = np.flatnonzero(~ignore)
    return Matches(
        score[order],
        outcome[order],
        image[order],
        order,
        found_at[counting],
        found_by[counting],
        height[counting],
        counting,
        truth_image[counting],
        num_images,
    )


def match_images(
    detections: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    ground_truth: Sequence[tuple[NDArray[np.floating], NDArray[np.bool_]]],
    iou_threshold: float,
) -> Matches:
    """Match a set of images: (xyxy, score) and (xyxy, ignore) of each, in the same order."""
    if len(detections) != len(ground_truth):
        raise ValueError(f"{len(detections)} images of detections, {len(ground_truth)} of truth")
    xywh, image = _joined([boxes for boxes, _ in detections])
    truth, truth_image = _joined([boxes for boxes, _ in ground_truth])
    score = np.concatenate([np.zeros(0), *(s for _, s in detections)])
    ignore = np.concatenate([np.zeros(0, bool), *(i for _, i in ground_truth)])
    pairs = overlaps(xywh, image, truth, truth_image)
    outcome, found = match(pairs, score, image, ignore, Rule(iou_threshold))
    keep = np.ones(len(score), bool)
    return build_matches(
        outcome, found, keep, score, image, ignore, truth[:, 3], truth_image, len(ground_truth)
    )


def match_image(
    xyxy: NDArray[np.floating],
    score: NDArray[np.floating],
    ground_truth: NDArray[np.floating],
    ignore: NDArray[np.bool_],
    iou_threshold: float,
) -> tuple[NDArray[np.int8], Floats]:
    """Match the detections of one image.

    Args:
        xyxy: (D, 4) detections in any order.
        score: (D,).
        ground_truth: (G, 4) xyxy in the same px.
        ignore: (G,) bool.
        iou_threshold: least IoU (or share of the detection inside an ignored box) of a match.

    Returns:
        outcome (D,) int8 and found_at (G,): score of the matching detection, -inf for none and
        for ignored boxes.
    """
    matches = match_images([(xyxy, score)], [(ground_truth, ignore)], iou_threshold)
    outcome = np.zeros(len(score), np.int8)
    outcome[matches.detection] = matches.outcome
    found_at = np.full(len(ground_truth), -np.inf)
    found_at[matches.person] = matches.found_at
    return outcome, found_at


def miss_rate_curve(matches: Matches) -> tuple[Floats, Floats, Floats]:
    """FPPI, miss rate and score of each point of the curve, by falling score.

    The miss rates are nan when there is no counting ground truth.
    """
    counting = matches.outcome != IGNORED
    hit = matches.outcome[counting] == TRUE_POSITIVE
    fppi = np.cumsum(~hit) / matches.num_images
    number = len(matches.found_at)
    miss = 1 - np.cumsum(hit) / number if number else np.full(len(hit), np.nan)
    return fppi, miss, matches.score[counting]


def miss_rate_at(fppi: Floats, miss_rate: Floats, points: Floats) -> Floats:
    """Miss rate of the curve's last point with FPPI <= each of ``points``; 1 where none is."""
    last = np.searchsorted(fppi, points, side="right")
    return np.concatenate([[1.0], miss_rate])[last]


def log_average_miss_rate(matches: Matches) -> float:
    """MR⁻² as the module's text defines it; nan when there is no counting ground truth."""
    if len(matches.found_at) == 0:
        return float("nan")
    fppi, miss_rate, _ = miss_rate_curve(matches)
    return geometric_mean(miss_rate_at(fppi, miss_rate, FPPI_POINTS))


def geometric_mean(miss_rates: Floats) -> float:
    """exp(mean(log)) of miss rates, each at least 1e-10."""
    return float(np.exp(np.mean(np.log(np.maximum(LEAST_MISS_RATE, miss_rates)))))


def average_precision(matches: Matches) -> float:
    """Area under the precision-recall curve, precision made monotone, every point used.

    nan when there is no counting ground truth.
    """
    counting = matches.outcome != IGNORED
    hits = np.cumsum(matches.outcome[counting] == TRUE_POSITIVE)
    if len(matches.found_at) == 0:
        return float("nan")
    if len(hits) == 0:
        return 0.0
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    recall = hits / len(matches.found_at)
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def score_at_fppi(matches: Matches, fppi: float) -> float:
    """Least score threshold at which there are at most ``fppi`` false positives per image.

    Detections with a score of at least the threshold are kept; -inf when all may be.
    """
    allowed = int(np.floor(fppi * matches.num_images + 1e-9))
    false_scores = matches.score[matches.outcome == FALSE_POSITIVE]
    if len(false_scores) <= allowed:
        return float("-inf")
    return float(np.nextafter(false_scores[allowed], np.inf))


def recall(
    matches: Matches, threshold: float, min_height: float = 0.0, max_height: float = np.inf
) -> tuple[float, int]:
    """Share of the ground truth with min_height <= height < max_height found, and its number.

    nan for a share of none.
    """
    chosen = (matches.height >= min_height) & (matches.height < max_height)
    number = int(chosen.sum())
    if number == 0:
        return float("nan"), 0
    found = np.isfinite(matches.found_at[chosen]) & (matches.found_at[chosen] >= threshold)
    return float(found.mean()), number


def _joined(images: Sequence[NDArray[np.floating]]) -> tuple[Floats, Ints]:
    """Boxes of all images, xyxy, as xywh; and the image of each."""
    boxes = np.concatenate([np.zeros((0, 4)), *images])
    boxes[:, 2:] -= boxes[:, :2]
    return boxes, np.repeat(np.arange(len(images)), [len(image) for image in images])
