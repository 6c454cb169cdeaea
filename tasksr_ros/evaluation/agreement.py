"""Whether two predictions files say the same: live and offline, or one engine and another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.ground_truth import load_json
from tasksr_ros.evaluation.matching import NOBODY, Floats, Ints, assign, overlaps
from tasksr_ros.evaluation.predictions import RUN_SUFFIX

LEAST_IOU = 0.99
LARGEST_SCORE_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Agreement:
    """Two files on the frames that both processed.

    Attributes:
        frames: that both processed.
        frames_of_one: that only one of them processed.
        pairs: detections of both that overlap, each with its partner.
        unpaired: detections of either in those frames without a partner.
        least_iou: of the pairs; 1 without any.
        score_difference: the largest of the pairs; 0 without any.
    """

    frames: int
    frames_of_one: int
    pairs: int
    unpaired: int
    least_iou: float
    score_difference: float

    @property
    def holds(self) -> bool:
        """Whether there are pairs only, of IoU > .99 and scores within 1e-3."""
        return (
            self.frames > 0
            and self.unpaired == 0
            and self.least_iou > LEAST_IOU
            and self.score_difference <= LARGEST_SCORE_DIFFERENCE
        )

    def __str__(self) -> str:
        return (
            f"{self.frames} frames of both, {self.frames_of_one} of one only; {self.pairs} pairs "
            f"of detections, {self.unpaired} without a partner; least IoU {self.least_iou:.5f}, "
            f"largest difference of scores {self.score_difference:.1e}: "
            f"{'they agree' if self.holds else 'they differ'}"
        )


def agreement(a: Path, b: Path) -> Agreement:
    """Compare predictions files that lie beside their ``.run.json``.

    Each detection of ``b``, strongest first, is paired with the free one of ``a`` that overlaps
    it most.

    Raises:
        EvaluationError: if a file cannot be read.
    """
    frames_a, frames_b = _frames(a), _frames(b)
    common = sorted(frames_a & frames_b, key=str)
    xywh_a, score_a, image_a = _detections(a, common)
    xywh_b, score_b, image_b = _detections(b, common)
    pairs = overlaps(xywh_b, image_b, xywh_a, image_a)
    every, reusable = np.ones(len(pairs.iou), bool), np.zeros(len(score_a), bool)
    partner = assign(pairs, every, pairs.iou, score_b, image_b, reusable)
    chosen = partner[pairs.detection] == pairs.ground_truth
    paired = partner != NOBODY
    difference = np.abs(score_b[paired] - score_a[partner[paired]])
    number = int(paired.sum())
    return Agreement(
        frames=len(common),
        frames_of_one=len(frames_a ^ frames_b),
        pairs=number,
        unpaired=len(score_a) + len(score_b) - 2 * number,
        least_iou=float(pairs.iou[chosen].min(initial=1.0)),
        score_difference=float(difference.max(initial=0.0)),
    )


def _frames(path: Path) -> set[Any]:
    run, _ = load_json(path.with_name(path.stem + RUN_SUFFIX))
    try:
        return set(run["image_ids"])
    except (KeyError, TypeError):
        raise EvaluationError(f"{path} must lie beside a {RUN_SUFFIX} with image_ids") from None


def _detections(path: Path, frames: Sequence[Any]) -> tuple[Floats, Floats, Ints]:
    """(D, 4) xywh, (D,) scores and (D,) places in ``frames``, rising."""
    entries, _ = load_json(path)
    place = {image_id: k for k, image_id in enumerate(frames)}
    try:
        rows = [
            (place[e["image_id"]], *map(float, e["bbox"]), float(e["score"]))
            for e in entries
            if e["image_id"] in place
        ]
        table = np.array(rows, float).reshape(-1, 6)
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"{path}: expected COCO results, got {json.dumps(entries)[:80]} ({error!r})"
        ) from None
    table = table[np.argsort(table[:, 0], kind="stable")]
    return table[:, 1:5], table[:, 5], table[:, 0].astype(np.int64)
