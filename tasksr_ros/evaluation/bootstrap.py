"""Intervals by the bootstrap: figures of many image sets drawn with replacement.

What is drawn are images, or whole sequences, whose images are alike. Two runs are compared on the
same draws (paired): the difference's interval is that of the differences of the samples, and it is
much narrower than the runs' own intervals suggest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tasksr_ros.evaluation.matching import Floats, Ints
from tasksr_ros.evaluation.samplers import Draws
from tasksr_ros.evaluation.summary import Interval


def sample(statistic: Callable[[Draws], Floats], unit: Ints, samples: int, seed: int) -> Floats:
    """(samples, K) values of a statistic on drawn sets.

    Args:
        statistic: draws (N,) of the images -> (K,).
        unit: (N,) what is drawn together: the index of the image itself, or of its sequence.
        samples: how many sets to draw.
        seed: of the draws; the same seed and units give the same sets.
    """
    rng = np.random.default_rng(seed)
    number = int(unit.max()) + 1
    rows = []
    for _ in range(samples):
        drawn = np.bincount(rng.integers(number, size=number), minlength=number)
        rows.append(statistic(drawn[unit].astype(np.int32)))
    return np.array(rows, float)


def interval(values: Floats, confidence: float) -> Interval:
    """Percentiles of (S,) samples that hold ``confidence`` of them; None where they have none.

    Samples in which the figure is not defined (nan) are left out; with more of these than
    others, or with an infinite end, there is no interval.
    """
    defined = values[~np.isnan(values)]
    if len(defined) == 0 or len(defined) * 2 < len(values):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail], method="closest_observation")
    return [float(low), float(high)] if np.isfinite([low, high]).all() else None


def units(groups: Sequence[str | None]) -> Ints:
    """(N,) index of the group of each image; images without one are a group each."""
    index: dict[str | int, int] = {}
    names = [k if group is None else group for k, group in enumerate(groups)]
    return np.array([index.setdefault(name, len(index)) for name in names], np.int64)
