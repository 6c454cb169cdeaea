"""The yardstick's figures: bands of native height, sets pooled, and paired intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tasksr_ros.evaluation.bootstrap import interval, sample
from tasksr_ros.evaluation.ground_truth import GroundTruth, read_ground_truth
from tasksr_ros.evaluation.matching import (
    FALSE_POSITIVE,
    IGNORED,
    NOBODY,
    Bools,
    Floats,
    Ints,
    Rule,
)
from tasksr_ros.evaluation.metrics import (
    Matches,
    log_average_miss_rate,
    recall,
    score_at_fppi,
)
from tasksr_ros.evaluation.predictions import read_predictions
from tasksr_ros.evaluation.protocols import Case, Protocol, Subset
from tasksr_ros.evaluation.samplers import Draws, PrecisionSampler
from tasksr_ros.evaluation.summary import Interval

INF = math.inf
FARTHEST, FAR, NEAR, EVERYONE = "12-32", "12-60", "60+", "12+"
BANDS = {
    EVERYONE: (12.0, INF),
    FAR: (12.0, 60.0),
    FARTHEST: (12.0, 32.0),
    "12-20": (12.0, 20.0),
    "20-32": (20.0, 32.0),
    "32-60": (32.0, 60.0),
    NEAR: (60.0, INF),
}
"""Native heights, px: low <= height < high."""
PROTOCOL = Protocol(
    "yardstick",
    {name: Subset(limits) for name, limits in BANDS.items()},
    FAR,
    upper_height_counts=False,
)
LABELLED_FROM = 25.0
"""Px; smaller people may lack a box in images whose ``dontcare_known`` is false."""
LEAST_PEOPLE = 20
"""A band with fewer has no precision worth a figure."""


@dataclass(frozen=True)
class Figures:
    """Of one row and one band of heights, in one set or all.

    Attributes:
        people: who counts.
        ap50: average precision at IoU .5, COCO's 101 recalls; None with hardly anyone.
        ap30: the same at IoU .3.
        miss_rate: log-average miss rate, MR⁻², at IoU .5.
        recall_01: at 0.1 false positives per image, of this band.
        recall_1: at 1 false positive per image.
        difference: ap50 less that of the row that it is compared with.
        interval: of the difference, 95 %.
    """

    people: int
    ap50: float | None
    ap30: float | None
    miss_rate: float | None
    recall_01: float | None
    recall_1: float | None
    difference: float | None = None
    interval: Interval = None


@dataclass(frozen=True, eq=False)
class Matched:
    """A row's detections in one set or all, matched band by band.

    Attributes:
        iou50: by band.
        iou30: by band.
    """

    iou50: dict[str, Matches]
    iou30: dict[str, Matches]


def match_file(truth_file: Path, predictions_file: Path) -> Matched:
    """Match a predictions file, over the images that it processed.

    Raises:
        EvaluationError: if one of the files does not serve.
    """
    everything = read_ground_truth(truth_file)
    found = read_predictions(predictions_file, everything)
    truth = everything
    if found.image_ids is not None:
        truth = everything.restrict(found.image_ids)
        found = found.restrict(everything, truth)
    case = Case.of(PROTOCOL, truth, found)
    by_iou = [
        {
            name: without_doubtful(case.matches(subset, Rule(iou)), truth, found.xywh[:, 3])
            for name, subset in PROTOCOL.subsets.items()
        }
        for iou in (0.5, 0.3)
    ]
    return Matched(*by_iou)


def without_doubtful(matches: Matches, truth: GroundTruth, height: Floats) -> Matches:
    """Blame nobody for finding small people where these are partly unlabelled.

    Args:
        matches: of the truth's images.
        truth: whose images may say ``dontcare_known``.
        height: (D,) of all detections, px.
    """
    known = np.array([i.get("dontcare_known", True) is not False for i in truth.images], bool)
    doubtful: Bools = (
        (matches.outcome == FALSE_POSITIVE)
        & ~known[matches.image]
        & (height[matches.detection] < LABELLED_FROM)
    )
    return replace(matches, outcome=np.where(doubtful, IGNORED, matches.outcome).astype(np.int8))


def pooled(some: Sequence[Matched]) -> Matched:
    """The images of several sets as one."""
    return Matched(
        {name: _joined([m.iou50[name] for m in some]) for name in BANDS},
        {name: _joined([m.iou30[name] for m in some]) for name in BANDS},
    )


def _joined(some: Sequence[Matches]) -> Matches:
    """Indices of detections and people are those within all sets, one after the other."""
    first = np.cumsum([0, *(m.num_images for m in some)])
    score = np.concatenate([m.score for m in some])
    order = np.argsort(-score, kind="stable")
    image = np.concatenate([m.image + k for m, k in zip(some, first, strict=False)])
    people = np.concatenate([m.person_image + k for m, k in zip(some, first, strict=False)])
    return Matches(
        score=score[order],
        outcome=np.concatenate([m.outcome for m in some])[order],
        image=image[order],
        detection=order,
        found_at=np.concatenate([m.found_at for m in some]),
        found_by=_found_by(some),
        height=np.concatenate([m.height for m in some]),
        person=np.arange(len(people)),
        person_image=people,
        num_images=int(first[-1]),
    )


def _found_by(some: Sequence[Matches]) -> Ints:
    """Who found each person, as an index into the scores of all sets, one after the other."""
    parts, first = [np.zeros(0, np.int64)], 0
    for m in some:
        place = np.full(1 + max(m.detection, default=0), NOBODY)
        place[m.detection] = first + np.arange(len(m.detection))
        parts.append(np.where(m.found_by == NOBODY, NOBODY, place[m.found_by]))
        first += len(m.detection)
    return np.concatenate(parts)


def figures(matched: Matched) -> dict[str, Figures]:
    """Of each band."""
    return {name: _of_band(matched.iou50[name], matched.iou30[name]) for name in BANDS}


def _of_band(iou50: Matches, iou30: Matches) -> Figures:
    people = len(iou50.height)
    shares = [recall(iou50, score_at_fppi(iou50, fppi))[0] for fppi in (0.1, 1.0)]
    enough = people >= LEAST_PEOPLE
    return Figures(
        people=people,
        ap50=ap(iou50) if enough else None,
        ap30=ap(iou30) if enough else None,
        miss_rate=log_average_miss_rate(iou50) if enough else None,
        recall_01=shares[0] if people else None,
        recall_1=shares[1] if people else None,
    )


def ap(matches: Matches) -> float:
    """Average precision at 101 recalls."""
    return float(_sampler(matches)(np.ones(matches.num_images, np.int32))[0])


def _sampler(matches: Matches) -> PrecisionSampler:
    people = np.bincount(matches.person_image, minlength=matches.num_images)
    return PrecisionSampler(matches.image, matches.outcome[None], people)


def ap_difference(best: Matches, row: Matches, samples: int, seed: int = 0) -> Interval:
    """95 % interval of AP of ``row`` less that of ``best``, of the same images drawn for both."""
    if samples == 0:
        return None
    a, b = _sampler(best), _sampler(row)

    def difference(draws: Draws) -> Floats:
        return b(draws) - a(draws)

    values = sample(difference, np.arange(best.num_images), samples, seed)
    return interval(values[:, 0], 0.95)


def compared(
    row: Matched,
    own: dict[str, Figures],
    best: Matched,
    theirs: dict[str, Figures],
    samples: int,
    bands: Sequence[str] = (FAR, NEAR),
) -> dict[str, Figures]:
    """A row's figures with the differences to another's, such as the best public one's."""
    result = dict(own)
    for band in bands:
        a, b = theirs[band].ap50, own[band].ap50
        if a is not None and b is not None:
            span = ap_difference(best.iou50[band], row.iou50[band], samples)
            result[band] = replace(own[band], difference=b - a, interval=span)
    return result
