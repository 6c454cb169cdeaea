"""KITTI's own figure: average precision at 40 recall points, as evaluate_object.cpp finds it.

Its matching runs over the ground truth, not the detections, and anew for each of up to 41 score
thresholds: each person, in the file's order, takes the free detection of the largest IoU (to find
the thresholds: of the highest score) above .5. A person outside of the limits who takes a
detection, and a detection below the least height, count as nothing; a detection more than half
inside an ignored region is no false positive. AP is the mean of the interpolated precision at
recall 1/40, 2/40, … 1; thresholds that were not reached add zeros.
"""

from __future__ import annotations

import itertools

import numpy as np

from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.matching import Bools, Floats, Ints, Overlaps
from tasksr_ros.evaluation.predictions import Predictions
from tasksr_ros.evaluation.protocols import Case, kept_detections, who_is_ignored

NUM_POINTS = 41


def kitti_ap(case: Case) -> dict[str, float]:
    """AP by subset; nan where no one counts."""
    return {
        name: _average_precision(
            case.truth,
            case.predictions,
            case.pairs,
            who_is_ignored(case.protocol, subset, case.truth)[1],
            kept_detections(case.protocol, subset, case.predictions.xywh[:, 3]),
            case.protocol.rule.iou or 0.5,
        )
        for name, subset in case.protocol.subsets.items()
    }


def _average_precision(
    truth: GroundTruth,
    found: Predictions,
    pairs: Overlaps,
    outside: Bools,
    tall: Bools,
    iou: float,
) -> float:
    people = int((~truth.ignore & ~outside).sum())
    if people == 0:
        return float("nan")
    region = truth.ignore[pairs.ground_truth]
    harmless = np.zeros(len(found.score), bool)
    harmless[pairs.detection[region & (pairs.covered > iou)]] = True
    chosen = np.flatnonzero(~region & (pairs.iou > iou))
    chosen = chosen[np.lexsort((pairs.detection[chosen], pairs.ground_truth[chosen]))]
    person, detection = pairs.ground_truth[chosen], pairs.detection[chosen]
    overlap = pairs.iou[chosen]
    points = thresholds(_scores_of_hits(person, detection, found.score, outside, tall), people)
    hits, used = _hits_at(points, person, detection, overlap, found.score, outside, tall)
    blamed = np.sort(found.score[tall & ~harmless])
    false = len(blamed) - np.searchsorted(blamed, points, "left")
    false = false - used[:, tall & ~harmless].sum(1)
    precision = np.zeros(NUM_POINTS)
    precision[: len(points)] = hits / np.maximum(1, hits + false)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[1:].mean())


def thresholds(scores: Floats, people: int) -> Floats:
    """Scores at which recall is nearest to 0, 1/40, … 1, falling.

    Args:
        scores: of the true positives.
        people: number of people who count.
    """
    scores = np.sort(scores)[::-1]
    points: list[float] = []
    wanted = 0.0
    for k, score in enumerate(scores.tolist()):
        last = k == len(scores) - 1
        here, after = (k + 1) / people, (k + 1 if last else k + 2) / people
        if after - wanted < wanted - here and not last:
            continue
        points.append(score)
        wanted += 1.0 / (NUM_POINTS - 1.0)
    return np.array(points[:NUM_POINTS])


def _groups(person: Ints) -> list[slice]:
    edges = [*np.flatnonzero(np.diff(person, prepend=-1)).tolist(), len(person)]
    return [slice(low, high) for low, high in itertools.pairwise(edges)]


def _scores_of_hits(
    person: Ints, detection: Ints, score: Floats, outside: Bools, tall: Bools
) -> Floats:
    """Scores of the true positives when each person takes the free detection of highest score."""
    free = np.ones(len(score), bool)
    hits = []
    for group in _groups(person):
        candidates = detection[group]
        candidates = candidates[free[candidates]]
        if len(candidates) == 0:
            continue
        best = candidates[int(score[candidates].argmax())]
        free[best] = False
        if tall[best] and not outside[person[group.start]]:
            hits.append(score[best])
    return np.array(hits, float)


def _hits_at(
    points: Floats,
    person: Ints,
    detection: Ints,
    overlap: Floats,
    score: Floats,
    outside: Bools,
    tall: Bools,
) -> tuple[Floats, Bools]:
    """True positives (T,) and which detections were taken (T, D), per threshold."""
    free = score[None] >= points[:, None]
    taken = np.zeros_like(free)
    hits = np.zeros(len(points))
    rows = np.arange(len(points))
    for group in _groups(person):
        d = detection[group]
        open_ = free[:, d] & ~taken[:, d]
        # Tall ones by IoU; if there is none, the first of the others.
        rank = np.where(tall[d], overlap[group], 0.0) - np.where(tall[d], 0.0, 1.0)
        best = np.where(open_, rank, -np.inf).argmax(1)
        some = open_.any(1)
        taken[rows[some], d[best[some]]] = True
        if not outside[person[group.start]]:
            hits += some & tall[d[best]]
    return hits, taken
