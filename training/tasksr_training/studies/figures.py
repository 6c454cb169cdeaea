"""The figures of a system on a set, as one vector that can be resampled."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.matching import Floats, Rule
from tasksr_ros.evaluation.metrics import Matches, recall, score_at_fppi
from tasksr_ros.evaluation.predictions import Predictions
from tasksr_ros.evaluation.protocols import Case, Protocol, Subset
from tasksr_ros.evaluation.run_statistics import bin_index
from tasksr_ros.evaluation.samplers import (
    Draws,
    MissRateSampler,
    OperatingSampler,
    PrecisionSampler,
)
from tasksr_training.studies.measure import QUALITY

HEIGHT_EDGES = (8, 12, 16, 24, 40)
"""Of the bins of pedestrians' heights, LR px."""

BINS = tuple(f"{low}-{high}" for low, high in itertools.pairwise(HEIGHT_EDGES))
DISTANT = (8.0, 24.0)
"""Heights of distant pedestrians, LR px."""

FPPI = (0.1, 1.0)
"""False positives per image at which recall is given."""

REACH_FPPI = 0.1
REACH_SHARE = 0.9
"""Of the bound's recall: what recall must hold for the least height."""

NAMES = (
    *QUALITY,
    "ap50",
    "ap30",
    "miss_rate",
    "ap50_distant",
    "miss_rate_distant",
    *(name for f in FPPI for name in (f"recall@{f:g}", *(f"recall@{f:g}/{b}" for b in BINS))),
    "least_height",
)
"""``ap``: COCO's average precision at IoU .5 and .3; ``miss_rate``: MR⁻² at IoU .5; ``_distant``:
of pedestrians of ``DISTANT``, others ignored; ``least_height``: LR px down to which a recall holds
at ``REACH_FPPI``."""

LESS_IS_BETTER = ("miss_rate", "miss_rate_distant", "feature_distance", "least_height")
DETECTION = tuple(n for n in NAMES if n not in (*QUALITY, "least_height"))


def protocol(scale_factor: int) -> Protocol:
    """Who counts: everyone who is not ignored, or only the distant, at IoU .5."""
    low, high = (edge * scale_factor for edge in DISTANT)
    subsets = {"all": Subset(), "distant": Subset((low, high))}
    return Protocol("study", subsets, "all", Rule(0.5), upper_height_counts=False)


class Figures:
    """Detections of a system, matched, with the quality of the images that it saw.

    Args:
        truth: of the set.
        found: of its images.
        quality: values of ``QUALITY`` by image id; empty: not defined.
        scale_factor: HR px per LR px.
        reach_recall: recall that ``least_height`` refers to; None: it is not defined.
    """

    def __init__(
        self,
        truth: GroundTruth,
        found: Predictions,
        quality: Mapping[str, Mapping[str, float]],
        scale_factor: int,
        reach_recall: float | None = None,
    ) -> None:
        self.scale_factor = scale_factor
        rules = protocol(scale_factor)
        case = Case.of(rules, truth, found)
        self.everyone = case.matches(rules.subsets["all"])
        self._distant = case.matches(rules.subsets["distant"])
        loose = case.matches(rules.subsets["all"], Rule(0.3))
        self._precisions = [_precision(m) for m in (self.everyone, loose, self._distant)]
        self._miss_rates = [MissRateSampler(m) for m in (self.everyone, self._distant)]
        self._reach_recall = reach_recall
        self._quality = np.array(
            [
                [quality.get(str(i), {}).get(name, math.nan) for name in QUALITY]
                for i in truth.image_ids
            ]
        )

    @cached_property
    def _operating(self) -> list[OperatingSampler]:
        height = self.everyone.height
        edges = [edge * self.scale_factor for edge in HEIGHT_EDGES]
        bins = [(bin_index(height, edges), len(edges))]
        unknown = np.full(len(height), np.nan)
        recall_needed = self._reach_recall or 0.5
        return [OperatingSampler(self.everyone, f, recall_needed, unknown, bins) for f in FPPI]

    def vector(self, draws: Draws) -> Floats:
        """(len(NAMES),) of a sample: ``draws`` (N,) says how often each image is in it."""
        quality = draws @ self._quality / draws.sum()
        ap50, ap30, distant = (float(sampler(draws)[0]) for sampler in self._precisions)
        miss_rates = [sampler(draws) for sampler in self._miss_rates]
        recalls: list[float] = []
        reach = math.nan
        for fppi, sampler in zip(FPPI, self._operating, strict=True):
            total, _, _, least, (by_height,) = sampler(draws)
            recalls += [total, *by_height[:-1].tolist()]
            if fppi == REACH_FPPI and self._reach_recall is not None:
                reach = math.inf if math.isnan(least) else least / self.scale_factor
        return np.array(
            [*quality, ap50, ap30, miss_rates[0], distant, miss_rates[1], *recalls, reach]
        )

    def whole(self) -> Floats:
        """(len(NAMES),) of the set itself."""
        return self.vector(np.ones(self.everyone.num_images, np.int32))

    def pedestrians(self) -> dict[str, int]:
        """How many count: ``all``, and in each bin of heights."""
        edges = [edge * self.scale_factor for edge in HEIGHT_EDGES]
        index = bin_index(self.everyone.height, edges)
        return {
            "all": len(self.everyone.height),
            **{name: int((index == k).sum()) for k, name in enumerate(BINS)},
        }

    def threshold(self, fppi: float) -> float:
        """Score at and above which there are at most ``fppi`` false positives per image."""
        score = score_at_fppi(self.everyone, fppi)
        return score if math.isfinite(score) else 0.0


def reach_recall(bound: Figures) -> float:
    """The recall that a least height refers to, from the bound's figures."""
    return REACH_SHARE * recall(bound.everyone, score_at_fppi(bound.everyone, REACH_FPPI))[0]


def _precision(matches: Matches) -> PrecisionSampler:
    people = np.bincount(matches.person_image, minlength=matches.num_images)
    return PrecisionSampler(matches.image, matches.outcome[None], people)
