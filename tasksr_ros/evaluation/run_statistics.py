"""One run, matched: all its figures as one vector that can be resampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasksr_ros.config import EvaluationConfig
from tasksr_ros.evaluation.bootstrap import sample, units
from tasksr_ros.evaluation.coco_ap import NAMES as AP_NAMES
from tasksr_ros.evaluation.coco_ap import ApSampler
from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.matching import FALSE_POSITIVE, Floats, Ints
from tasksr_ros.evaluation.metrics import Matches, score_at_fppi
from tasksr_ros.evaluation.predictions import Predictions
from tasksr_ros.evaluation.protocols import Case, Protocol
from tasksr_ros.evaluation.samplers import Draws, MissRateSampler, OperatingSampler

HEIGHT_EDGES = (0, 10, 15, 20, 30, 40, 50, 80, 120)
DISTANCE_EDGES = (0, 20, 40, 60, 80, 100, 125, 150, 200)
VISIBLE = 0.65
"""Least visible share of a person who is counted as mostly visible, as Caltech's *reasonable*."""
NS_PER_HOUR = 3600e9


def bins_of(edges: Sequence[float]) -> list[tuple[float, float]]:
    """(low, high) of each bin, the last without an upper limit."""
    return list(zip(edges, [*edges[1:], math.inf], strict=True))


def bin_index(value: Floats, edges: Sequence[float]) -> Ints:
    """Index of the bin of each value; -1 for nan and what lies below the first."""
    index = np.searchsorted(np.array(edges, float), value, side="right") - 1
    return np.where(np.isnan(value), -1, index).astype(np.int64)


@dataclass(frozen=True, eq=False)
class RunStatistics:
    """A run on its images.

    Attributes:
        case: detections and ground truth.
        config: what is measured.
        subsets: matches per subset of the protocol.
        everyone: matches of the headline's people at any height.
        hours: of recording in all images; None where unknown.
    """

    case: Case
    config: EvaluationConfig
    subsets: dict[str, Matches]
    everyone: Matches
    hours: float | None

    @classmethod
    def of(
        cls,
        truth: GroundTruth,
        found: Predictions,
        protocol: Protocol,
        config: EvaluationConfig,
    ) -> RunStatistics:
        """Match; ``found`` must be restricted to the images of ``truth``."""
        case = Case.of(protocol, truth, found)
        return cls(
            case,
            config,
            {name: case.matches(subset) for name, subset in protocol.subsets.items()},
            case.matches(protocol.everyone),
            recorded_hours(truth, config.frame_rate),
        )

    @cached_property
    def threshold(self) -> float:
        """Least score at the operating point; -inf: all are kept."""
        return score_at_fppi(self.everyone, self.config.fppi)

    @cached_property
    def distance(self) -> Floats:
        """(G,) m, of the people of ``everyone``."""
        return self.case.truth.distance[self.everyone.person]

    @cached_property
    def visibility(self) -> Floats:
        """(G,) share of each of them that is visible, 1 where the truth does not say."""
        return self.case.truth.visibility[self.everyone.person]

    @cached_property
    def operating(self) -> OperatingSampler:
        """Figures at the operating point, of any sample."""
        return OperatingSampler(
            self.everyone,
            self.config.fppi,
            self.config.recall,
            self.distance,
            [
                (bin_index(self.everyone.height, HEIGHT_EDGES), len(HEIGHT_EDGES)),
                (bin_index(self.distance, DISTANCE_EDGES), len(DISTANCE_EDGES)),
            ],
        )

    @cached_property
    def names(self) -> list[str]:
        """Of the elements of the vector; bins are numbered, such as ``recall_by_height.0``."""
        return [
            *(f"log_average_miss_rate.{name}" for name in self.subsets),
            *(f"ap.{name}" for name in AP_NAMES),
            "recall",
            "false_positives_per_hour",
            "range_m",
            "min_height_px",
            *(f"recall_by_height.{k}" for k in range(len(HEIGHT_EDGES))),
            *(f"recall_by_distance.{k}" for k in range(len(DISTANCE_EDGES))),
        ]

    @cached_property
    def _samplers(self) -> tuple[list[MissRateSampler], ApSampler]:
        truth, found = self.case.truth, self.case.predictions
        return [MissRateSampler(m) for m in self.subsets.values()], ApSampler.of(truth, found)

    def vector(self, draws: Draws) -> Floats:
        """(K,) figures of a sample, nan where not defined.

        A recall that holds for no one reaches 0 m, and no height (infinite).
        """
        miss_rates, precisions = self._samplers
        recall, false, distance, height, bins = self.operating(draws)
        if math.isnan(distance) and np.isfinite(self.distance).any():
            distance = 0.0
        if math.isnan(height) and len(self.everyone.height):
            height = math.inf
        hours = math.nan if self.hours is None else self.hours * draws.sum() / len(draws)
        head = [recall, false / hours, distance, height]
        rates = [rate(draws) for rate in miss_rates]
        return np.concatenate([rates, precisions(draws), head, *bins])

    def samples(self, by_sequence: bool = False) -> Floats:
        """(S, K) figures of drawn sets of images, or of whole sequences."""
        truth = self.case.truth
        unit = units(truth.sequences()) if by_sequence else np.arange(truth.num_images)
        return sample(self.vector, unit, self.config.samples, self.config.seed)

    def false_positives(self) -> Ints:
        """Indices into ``everyone`` of the false positives at the operating point."""
        matches = self.everyone
        return np.flatnonzero(
            (matches.outcome == FALSE_POSITIVE) & (matches.score >= self.threshold)
        )


def recorded_hours(truth: GroundTruth, frame_rate: float) -> float | None:
    """Time that the images stand for: per camera and sequence, images times their mean distance.

    Without stamps, the images over the frame rate; None where neither is known, or a sequence
    has one image.
    """
    if frame_rate > 0:
        return truth.num_images / frame_rate / 3600
    stamps: dict[tuple[object, object], list[int]] = {}
    for entry in truth.images:
        stamp = entry.get("stamp_ns")
        if not isinstance(stamp, int):
            return None
        stamps.setdefault((entry.get("sequence"), entry.get("camera")), []).append(stamp)
    total = 0.0
    for times in stamps.values():
        span = max(times) - min(times)
        if span <= 0:
            return None
        total += span * len(times) / (len(times) - 1)
    return total / NS_PER_HOUR
