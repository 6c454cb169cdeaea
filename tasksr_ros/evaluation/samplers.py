"""Figures of a resampled image set, quickly: the inner loop of the bootstrap.

A sample is a number of times that each image was drawn, (N,) whole numbers. What does not change
between samples, above all the matching and the order of the scores, is prepared once; a sample
then costs a few cumulative sums. With every image once each figure is that of `metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.matching import FALSE_POSITIVE, TRUE_POSITIVE, Floats, Ints
from tasksr_ros.evaluation.metrics import FPPI_POINTS, Matches, geometric_mean

Draws = NDArray[np.int32]
RECALL_POINTS: Floats = np.linspace(0.0, 1.0, 101)
_SLACK = 1e-9


class MissRateSampler:
    """`metrics.log_average_miss_rate` of samples.

    Args:
        matches: of one subset.
    """

    def __init__(self, matches: Matches) -> None:
        false = matches.outcome == FALSE_POSITIVE
        hit = matches.outcome == TRUE_POSITIVE
        self._false_image = matches.image[false]
        self._hit_image = matches.image[hit]
        self._hits_before = np.append(np.cumsum(hit)[false], hit.sum())
        self._people = np.bincount(matches.person_image, minlength=matches.num_images)

    def __call__(self, draws: Draws) -> float:
        """Nan where no one was drawn who counts."""
        people = int(self._people @ draws)
        if people == 0:
            return float("nan")
        fppi = np.cumsum(draws[self._false_image], dtype=np.int32) / int(draws.sum())
        hits = np.concatenate([[0], np.cumsum(draws[self._hit_image], dtype=np.int32)])
        allowed = np.searchsorted(fppi, FPPI_POINTS, side="right")
        return geometric_mean(1 - hits[self._hits_before[allowed]] / people)


class PrecisionSampler:
    """COCO's average precision at 101 recalls, for several thresholds of IoU at once.

    Args:
        image: (D,) image of each detection, by falling score.
        outcomes: (T, D) outcome of each detection per threshold.
        people: (N,) counting people in each image.
    """

    def __init__(self, image: Ints, outcomes: NDArray[np.int8], people: Ints) -> None:
        used = np.isin(outcomes, (TRUE_POSITIVE, FALSE_POSITIVE)).any(0)
        image, outcomes = image[used], outcomes[:, used]
        self._image = image
        self._people = people
        self._hits: list[Ints] = []  # position of each true positive
        self._ignored: list[tuple[Ints, Ints]] = []  # positions; number before each true positive
        for outcome in outcomes:
            at = np.flatnonzero(outcome == TRUE_POSITIVE)
            ignored = (outcome != TRUE_POSITIVE) & (outcome != FALSE_POSITIVE)
            self._hits.append(at)
            self._ignored.append((np.flatnonzero(ignored), np.cumsum(ignored)[at]))

    def __call__(self, draws: Draws) -> Floats:
        """(T,) average precision; nan where no one was drawn."""
        return np.array([curve.mean() for curve in self.curves(draws)])

    def curves(self, draws: Draws) -> list[Floats]:
        """(101,) precision per threshold."""
        people = int(self._people @ draws)
        if people == 0:
            return [np.full(len(RECALL_POINTS), np.nan) for _ in self._hits]
        drawn = draws.take(self._image)
        seen = np.cumsum(drawn, dtype=np.int32)
        needed = _least_hits(people)
        curves = []
        for at, (ignored, before) in zip(self._hits, self._ignored, strict=True):
            hits = np.cumsum(drawn.take(at), dtype=np.int32)
            counted = seen.take(at)
            if len(ignored):
                skipped = np.cumsum(drawn.take(ignored), dtype=np.int32)
                counted -= np.append(np.int32(0), skipped).take(before)
            precision = np.append(hits / np.maximum(counted, 1, out=counted), 0.0)
            # The best from each recall on: of the stretch to the next one, and of all later ones.
            best = np.maximum.reduceat(precision, np.searchsorted(hits, needed))
            curves.append(np.maximum.accumulate(best[::-1])[::-1])
        return curves


def _least_hits(people: int) -> Ints:
    """(101,) number of hits from which hits / people reaches each of the recalls."""
    hits = np.ceil(RECALL_POINTS * people)
    hits -= (hits - 1) / people >= RECALL_POINTS
    hits += hits / people < RECALL_POINTS
    return hits.astype(np.int32)


@dataclass(frozen=True)
class Reach:
    """How far recall holds: see `reach`.

    Attributes:
        value: the distance or height, nan where recall does not hold for anyone.
        is_limit: whether it holds for the farthest or smallest person there is.
    """

    value: float
    is_limit: bool


class ReachSampler:
    """Up to which value of a quantity, such as a distance, recall holds.

    It is the value that best divides the found from the missed: every stretch of values that
    ends there has a recall of at least ``recall``, every stretch that begins behind it has less.
    That is where the non-increasing recall fitted to the data by least squares (isotonic
    regression) falls below ``recall``. It needs no bins, and someone found alone behind many
    who were missed does not move it.

    Args:
        value: (G,) of each person; nan: the person is left out.
        image: (G,) image of each.
        recall: share that must be found.
    """

    def __init__(self, value: Floats, image: Ints, recall: float) -> None:
        known = np.flatnonzero(np.isfinite(value))
        self._order = known[np.argsort(value[known], kind="stable")]
        self._image = image[self._order]
        self._values, number = np.unique(value[self._order], return_counts=True)
        self._ends = np.cumsum(number) - 1
        self._recall = recall

    def __call__(self, found: NDArray[np.bool_], draws: Draws) -> Reach:
        """Of a sample; ``found`` (G,) says who was found."""
        weight = draws.take(self._image)
        people = np.cumsum(weight, dtype=np.int32).take(self._ends)
        hits = np.cumsum(weight * found.take(self._order), dtype=np.int32).take(self._ends)
        nearest = int(np.searchsorted(people, 1))  # of those drawn
        gain = hits[nearest:] - self._recall * people[nearest:]
        if len(gain) == 0 or gain.max() < -_SLACK:
            return Reach(float("nan"), False)
        last = people[nearest + np.flatnonzero(gain >= gain.max() - _SLACK)[-1]]
        value = self._values[np.searchsorted(people, last)]  # those behind may not be drawn
        return Reach(float(value), bool(last == people[-1]))


class OperatingSampler:
    """Figures at a number of false positives per image.

    Args:
        matches: of everyone, of any height.
        fppi: false positives per image that are allowed.
        recall: that defines how far it reaches.
        distance: (G,) of the people of ``matches``, m, nan where unknown.
        bins: groupings of these people: the bin's index of each (-1: none) and how many bins.
    """

    def __init__(
        self,
        matches: Matches,
        fppi: float,
        recall: float,
        distance: Floats,
        bins: Sequence[tuple[Ints, int]],
    ) -> None:
        self._matches = matches
        self._fppi = fppi
        false = matches.outcome == FALSE_POSITIVE
        self._false_score = matches.score[false]
        self._false_image = matches.image[false]
        self._bins = [_Bins(index, number) for index, number in bins]
        self.by_distance = ReachSampler(distance, matches.person_image, recall)
        self.by_height = ReachSampler(-matches.height, matches.person_image, recall)

    def threshold(self, draws: Draws) -> float:
        """Scores above this are kept; -inf when all may be."""
        fppi = np.cumsum(draws[self._false_image], dtype=np.int32) / int(draws.sum())
        allowed = int(np.searchsorted(fppi, self._fppi, side="right"))
        return float(self._false_score[allowed]) if allowed < len(fppi) else float("-inf")

    def __call__(self, draws: Draws) -> tuple[float, float, float, float, list[Floats]]:
        """Recall, false positives, range (m), least height (px) and recall per bin."""
        above = self.threshold(draws)
        found = self._matches.found_at > above
        weight = draws.take(self._matches.person_image)
        hits = weight * found
        people = int(weight.sum())
        false = int(draws[self._false_image[self._false_score > above]].sum())
        return (
            int(hits.sum()) / people if people else float("nan"),
            float(false),
            self.by_distance(found, draws).value,
            -self.by_height(found, draws).value,
            [bins.share(hits, weight) for bins in self._bins],
        )


class _Bins:
    """People by bin: ``index`` (G,) of each, -1 for none, of ``number`` bins."""

    def __init__(self, index: Ints, number: int) -> None:
        self._order = np.argsort(index, kind="stable")
        self._edges = np.searchsorted(index[self._order], np.arange(number + 1))

    def share(self, part: Draws, whole: Draws) -> Floats:
        """(number,) sum of ``part`` (G,) over that of ``whole`` in each bin; nan in empty ones."""
        sums, people = self._sums(part), self._sums(whole)
        share: Floats = np.full(len(people), np.nan)
        np.divide(sums, people, out=share, where=people > 0)
        return share

    def _sums(self, values: Draws) -> NDArray[np.int32]:
        total = np.cumsum(values.take(self._order), dtype=np.int32)
        return np.diff(np.append(np.int32(0), total).take(self._edges))
