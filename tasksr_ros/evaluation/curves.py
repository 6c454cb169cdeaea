"""The curves of a report, thinned to what a figure can show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasksr_ros.evaluation.matching import Floats
from tasksr_ros.evaluation.metrics import Matches, miss_rate_curve
from tasksr_ros.evaluation.samplers import RECALL_POINTS
from tasksr_ros.evaluation.summary import Curves, MissRateCurve

MAX_POINTS = 500


def curves(subsets: Mapping[str, Matches], precision: Mapping[str, Floats]) -> Curves:
    """Miss rate over FPPI per subset that has people, and precision over recall per IoU."""
    return {
        "miss_rate_fppi": {name: _miss_rate(m) for name, m in subsets.items() if len(m.found_at)},
        "precision_recall": {
            iou: {"recall": RECALL_POINTS.round(2).tolist(), "precision": values.tolist()}
            for iou, values in precision.items()
        },
    }


def _miss_rate(matches: Matches) -> MissRateCurve:
    fppi, miss_rate, score = miss_rate_curve(matches)
    # Of the points with the same FPPI the last is the lowest.
    last = np.flatnonzero(np.append(np.diff(fppi) > 0, True)) if len(fppi) else np.zeros(0, int)
    if len(last) > MAX_POINTS:
        even = np.geomspace(1, len(last), MAX_POINTS).round().astype(int) - 1
        last = last[np.unique(even)]
    return {
        "fppi": fppi[last].tolist(),
        "miss_rate": miss_rate[last].tolist(),
        "score": score[last].tolist(),
    }
