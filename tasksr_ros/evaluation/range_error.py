"""How good the distances are that a run states: error, bias and calibration by distance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tasksr_ros.evaluation.matching import NOBODY, Bools, Floats
from tasksr_ros.evaluation.run_statistics import RunStatistics, bins_of
from tasksr_ros.evaluation.summary import Number, RangeBin, RangeError

NEAR_M = 60.0
"""People up to there make the headline."""

EDGES = (0, 10, 20, 40, 60, 80, 100, 120, 150)


def range_error(run: RunStatistics) -> RangeError | None:
    """Of the people found at the operating point whose true and stated distances are known."""
    matches, found = run.everyone, run.case.predictions
    hit = (matches.found_by != NOBODY) & (matches.found_at >= run.threshold)
    by, true = matches.found_by[hit], run.distance[hit]
    stated, deviation = found.distance[by], found.distance_sd[by]
    known = np.isfinite(true) & (true > 0) & np.isfinite(stated)
    if not known.any():
        return None
    columns = true[known], stated[known], deviation[known]
    return {
        "near": _bin(0.0, NEAR_M, *columns),
        "by_distance": [_bin(low, high, *columns) for low, high in bins_of(EDGES)],
    }


def _bin(low: float, high: float, true: Floats, stated: Floats, deviation: Floats) -> RangeBin:
    inside = (true >= low) & (true < high)
    error = (stated - true)[inside] / true[inside]
    relative = deviation[inside] / true[inside]
    told = np.isfinite(relative)
    return {
        "low": low,
        "high": high if math.isfinite(high) else None,
        "people": int(inside.sum()),
        "median_error": _median(np.abs(error)),
        "bias": _median(error),
        "deviation": _median(relative[told]),
        "within_two_sigma": _share(np.abs(error[told]) <= 2 * relative[told]),
    }


def _median(values: Floats) -> Number:
    return float(np.median(values)) if len(values) else None


def _share(values: Bools | Sequence[bool]) -> Number:
    return float(np.mean(values)) if len(values) else None
