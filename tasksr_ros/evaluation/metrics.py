"""Detection metrics: pure functions over arrays.

Matching follows pdollar/toolbox's bbGt.m: per image, strongest detection first; ground truth that
counts is preferred and matched once; ignored ground truth is matched by intersection over the
detection's area, any number of times, and such detections count as nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FALSE_POSITIVE, TRUE_POSITIVE, IGNORED = 0, 1, -1


@dataclass(frozen=True, eq=False)
class Matches:
    """Detections of a set of images against its ground truth.

    Attributes:
        score: (D,) of all detections, falling.
        outcome: (D,) ``TRUE_POSITIVE``, ``FALSE_POSITIVE`` or ``IGNORED``.
        found_at: (G,) score of the detection that found each counting ground-truth box,
            -inf where none did.
        height: (G,) height of these boxes, px.
        num_images: images in the set.
    """

    score: NDArray[np.float64]
    outcome: NDArray[np.int8]
    found_at: NDArray[np.float64]
    height: NDArray[np.float64]
    num_images: int


def match_image(
    xyxy: NDArray[np.floating],
    score: NDArray[np.floating],
    ground_truth: NDArray[np.floating],
    ignore: NDArray[np.bool_],
    iou_threshold: float,
) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
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
    outcome = np.zeros(len(score), np.int8)
    found_at = np.full(len(ground_truth), -np.inf)
    if len(ground_truth) == 0:
        return outcome, found_at
    shared = _intersections(xyxy, ground_truth)
    own, theirs = _areas(xyxy)[:, None], _areas(ground_truth)[None]
    iou = shared / np.maximum(own + theirs - shared, 1e-9)
    covered = shared / np.maximum(own, 1e-9)
    for d in np.argsort(-np.asarray(score, float), kind="stable"):
        free = ~ignore & np.isneginf(found_at)
        candidates = np.where(free, iou[d], -1.0)
        best = int(candidates.argmax())
        if candidates[best] >= iou_threshold:
            outcome[d], found_at[best] = TRUE_POSITIVE, score[d]
        elif (ignore & (covered[d] >= iou_threshold)).any():
            outcome[d] = IGNORED
    return outcome, found_at


def match_images(
    detections: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    ground_truth: Sequence[tuple[NDArray[np.floating], NDArray[np.bool_]]],
    iou_threshold: float,
) -> Matches:
    """Match a set of images: (xyxy, score) and (xyxy, ignore) of each, in the same order."""
    scores: list[NDArray[np.float64]] = [np.zeros(0)]
    outcomes: list[NDArray[np.int8]] = [np.zeros(0, np.int8)]
    found: list[NDArray[np.float64]] = [np.zeros(0)]
    heights: list[NDArray[np.float64]] = [np.zeros(0)]
    for (xyxy, score), (boxes, ignore) in zip(detections, ground_truth, strict=True):
        outcome, found_at = match_image(xyxy, score, boxes, ignore, iou_threshold)
        scores.append(score.astype(np.float64))
        outcomes.append(outcome)
        found.append(found_at[~ignore])
        heights.append((boxes[:, 3] - boxes[:, 1])[~ignore].astype(np.float64))
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return Matches(
        all_scores[order],
        np.concatenate(outcomes)[order],
        np.concatenate(found),
        np.concatenate(heights),
        len(ground_truth),
    )


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


def _intersections(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(2), float)


def _areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1), float)
