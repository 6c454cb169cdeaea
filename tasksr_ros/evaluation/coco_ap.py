"""Average precision as COCO defines it, by faster-coco-eval, and what its intervals need.

``ap`` is the mean over IoU .5 to .95, ``ap50`` and ``ap30`` are at one IoU, ``ap_small`` is
``ap`` of people below 32² px. Ignored boxes are COCO's crowds; at most 100 detections per image
count. COCO knows neither heights nor visibility: everyone who is not ignored counts, whatever the
protocol. The detections' outcomes are found once more here, for all thresholds at once, since the
library keeps its own to itself; the tests hold the two against each other.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.matching import (
    FALSE_POSITIVE,
    IGNORED,
    NOBODY,
    TRUE_POSITIVE,
    Bools,
    Floats,
    Ints,
    Overlaps,
    Rule,
    assign,
    overlaps,
)
from tasksr_ros.evaluation.metrics import Matches
from tasksr_ros.evaluation.predictions import Predictions
from tasksr_ros.evaluation.samplers import PrecisionSampler

IOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
LOOSE_IOU = 0.3
NAMES = ("ap", "ap50", "ap30", "ap_small")
SMALL_AREA = 32.0**2
MAX_DETECTIONS = 100


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """AP of one run.

    Attributes:
        values: by name; nan where no one counts.
        curves: (101,) precision at recall 0, .01, … 1 by IoU, "0.5" and "0.3".
    """

    values: dict[str, float]
    curves: dict[str, Floats]


def average_precision(truth: GroundTruth, found: Predictions) -> AveragePrecision:
    """AP by the library."""
    truth = truth.without_neighbours()
    if truth.ignore.all():
        return AveragePrecision(dict.fromkeys(NAMES, float("nan")), {})
    precision = _library(truth, found)
    with_people = {
        "ap": precision[1:, :, 0],
        "ap50": precision[1, :, 0],
        "ap30": precision[0, :, 0],
        "ap_small": precision[1:, :, 1],
    }
    values = {
        name: float("nan") if (part < 0).any() else float(part.mean())
        for name, part in with_people.items()
    }
    return AveragePrecision(values, {"0.5": precision[1, :, 0], "0.3": precision[0, :, 0]})


def _library(truth: GroundTruth, found: Predictions) -> Floats:
    """(11, 101, 2) precision at LOOSE_IOU and IOUS, recalls, all and small; -1 without people."""
    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)  # it announces every step
    crowd = truth.ignore.astype(int)
    people = _coco(
        truth.num_images, truth.image, truth.xywh, truth.area, iscrowd=crowd, ignore=crowd
    )
    detections = _coco(
        truth.num_images,
        found.image,
        found.xywh,
        found.xywh[:, 2] * found.xywh[:, 3],
        score=found.score,
        iscrowd=np.zeros(len(found.score), int),
    )
    evaluation = _package().COCOeval_faster(people, detections, "bbox")
    evaluation.params.iouThrs = np.array([LOOSE_IOU, *IOUS])
    evaluation.params.areaRng = [[0, 1e10], [0, SMALL_AREA]]
    evaluation.params.areaRngLbl = ["all", "small"]
    evaluation.params.maxDets = [1, 10, MAX_DETECTIONS]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"], float)[:, :, 0, :, -1]


def _coco(
    num_images: int, image: Ints, xywh: Floats, area: Floats, **columns: NDArray[np.generic]
) -> Any:
    """Boxes as the library's COCO object; ``columns`` (K,) are further keys of each."""
    given = {"bbox": xywh, "area": area, **columns}
    rows = zip((image + 1).tolist(), *(column.tolist() for column in given.values()), strict=True)
    annotations = [
        {"id": k, "image_id": i, "category_id": 1, **dict(zip(given, values, strict=True))}
        for k, (i, *values) in enumerate(rows, 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = _package().COCO()
        coco.dataset = {
            "images": [{"id": k + 1} for k in range(num_images)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "pedestrian"}],
        }
        coco.createIndex()
    return coco


def _package() -> Any:
    """The library, asked for when it is needed: it has no rosdep key."""
    try:
        return importlib.import_module("faster_coco_eval")
    except ImportError as error:
        raise EvaluationError(
            f"AP needs the package faster-coco-eval (pip install faster-coco-eval), got: {error}"
        ) from None


@dataclass(frozen=True, eq=False)
class ApSampler:
    """AP of drawn sets: ``NAMES`` in their order."""

    everyone: PrecisionSampler
    small: PrecisionSampler

    @classmethod
    def of(cls, truth: GroundTruth, found: Predictions) -> ApSampler:
        """Find the outcomes of all detections at all thresholds."""
        truth = truth.without_neighbours()
        pairs = overlaps(found.xywh, found.image, truth.xywh, truth.image)
        kept = strongest(found, MAX_DETECTIONS)
        order = np.flatnonzero(kept)
        order = order[np.argsort(-found.score[order], kind="stable")]
        samplers = []
        for limit, ious in ((np.inf, (LOOSE_IOU, *IOUS)), (SMALL_AREA, IOUS)):
            rows = [outcomes(truth, found, pairs, kept, iou, limit)[order] for iou in ious]
            counting = ~truth.ignore & (truth.area <= limit)
            people = np.bincount(truth.image[counting], minlength=truth.num_images)
            samplers.append(PrecisionSampler(found.image[order], np.array(rows), people))
        return cls(*samplers)

    def __call__(self, draws: NDArray[np.int32]) -> Floats:
        """(4,) of a sample."""
        every = self.everyone(draws)
        return np.array([every[1:].mean(), every[1], every[0], self.small(draws).mean()])


def strongest(found: Predictions, number: int) -> Bools:
    """(D,) the ``number`` detections of the highest scores in each image."""
    order = np.lexsort((-found.score, found.image))
    image = found.image[order]
    place = np.arange(len(image)) - np.searchsorted(image, image, "left")
    kept = np.zeros(len(image), bool)
    kept[order[place < number]] = True
    return kept


def outcomes(
    truth: GroundTruth,
    found: Predictions,
    pairs: Overlaps,
    kept: Bools,
    iou: float,
    largest_area: float,
) -> NDArray[np.int8]:
    """(D,) outcome of each detection by COCO's rule.

    It differs from `matching.match` in what lies outside of the range of areas: such ground truth
    is ignored, but met by IoU and only once; such detections are ignored if they meet nothing.
    """
    outside = truth.area > largest_area
    ignore = truth.ignore | outside
    crowd = truth.ignore[pairs.ground_truth]
    value = np.where(crowd, pairs.covered, pairs.iou)
    fits = Rule(min(iou, 1 - 1e-10)).fits(value, pairs.centred) & kept[pairs.detection]
    counting = ~ignore[pairs.ground_truth]
    person = _assign(pairs, fits & counting, value, found, truth.ignore)
    unmet = person[pairs.detection] == NOBODY
    met_ignored = _assign(pairs, fits & ~counting & unmet, value, found, truth.ignore) != NOBODY
    outcome = np.full(len(found.score), FALSE_POSITIVE, np.int8)
    outcome[found.xywh[:, 2] * found.xywh[:, 3] > largest_area] = IGNORED
    outcome[met_ignored] = IGNORED
    outcome[person != NOBODY] = TRUE_POSITIVE
    return outcome


def _assign(
    pairs: Overlaps, candidate: Bools, value: Floats, found: Predictions, reusable: Bools
) -> Ints:
    return assign(pairs, candidate, value, found.score, found.image, reusable)


def precision_of(matches: Matches) -> float:
    """COCO's form of AP (101 recalls) of other matches; nan where no one counts."""
    once = np.ones(matches.num_images, np.int32)
    image = np.zeros(len(matches.image), np.int64)
    people = np.zeros(matches.num_images, np.int64)
    people[0] = len(matches.found_at)
    return float(PrecisionSampler(image, matches.outcome[None], people)(once)[0])
