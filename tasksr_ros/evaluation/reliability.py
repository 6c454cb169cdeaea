"""Do scores mean what they say? Reliability and expected calibration error (ECE)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.matching import IGNORED, TRUE_POSITIVE, Bools, Floats
from tasksr_ros.evaluation.summary import Calibration, Number, Reliability, ScoreBin

NUM_BINS = 10


def calibration(
    score: Floats, outcome: NDArray[np.int8], height: Floats, height_bins: list[tuple[float, float]]
) -> Calibration:
    """Reliability of all detections and of those in each bin of heights.

    Args:
        score: (D,).
        outcome: (D,); ignored detections are left out.
        height: (D,) of the detections, px.
        height_bins: low <= height < high.
    """
    counting = outcome != IGNORED
    score, hit, height = score[counting], outcome[counting] == TRUE_POSITIVE, height[counting]
    rows = []
    for low, high in height_bins:
        inside = (height >= low) & (height < high)
        rows.append(reliability(score[inside], hit[inside], low, high))
    return {"all": reliability(score, hit, None, None), "by_height": rows}


def reliability(score: Floats, hit: Bools, low: Number, high: Number) -> Reliability:
    """Ten bins of equal width over the scores, and ECE = Σ n/N |precision - mean score|.

    ``ece`` is None without detections, or if a score lies outside of 0..1: it is no probability.
    """
    bins: list[ScoreBin] = []
    total = 0.0
    index = np.clip((score * NUM_BINS).astype(int), 0, NUM_BINS - 1)
    for k in range(NUM_BINS):
        inside = index == k
        number = int(inside.sum())
        mean = float(score[inside].mean()) if number else None
        precision = float(hit[inside].mean()) if number else None
        if mean is not None and precision is not None:
            total += number * abs(precision - mean)
        bins.append(
            {
                "low": k / NUM_BINS,
                "high": (k + 1) / NUM_BINS,
                "detections": number,
                "mean_score": mean,
                "precision": precision,
            }
        )
    probabilities = len(score) > 0 and bool(((score >= 0) & (score <= 1)).all())
    return {
        "low": low,
        "high": None if high is None or math.isinf(high) else high,
        "detections": len(score),
        "ece": total / len(score) if probabilities else None,
        "bins": bins,
    }
