"""The boxes worth a look: strongest false positives, tallest misses, gains and losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.matching import FALSE_POSITIVE, Floats
from tasksr_ros.evaluation.metrics import Matches
from tasksr_ros.evaluation.protocols import Case
from tasksr_ros.evaluation.summary import Example, Gallery

MAX_EXAMPLES = 60


def gallery(case: Case, matches: Matches, threshold: float) -> Gallery:
    """False positives, highest score first, and misses at the threshold, tallest first."""
    truth, found = case.truth, case.predictions
    false = np.flatnonzero(matches.outcome == FALSE_POSITIVE)[:MAX_EXAMPLES]
    hit = np.isfinite(matches.found_at) & (matches.found_at >= threshold)
    missed = np.flatnonzero(~hit)
    missed = missed[np.argsort(-matches.height[missed], kind="stable")][:MAX_EXAMPLES]
    near = np.full(len(truth.image), -np.inf)
    np.maximum.at(near, case.pairs.ground_truth, found.score[case.pairs.detection])
    return {
        "false_positives": [
            example(
                truth,
                int(matches.image[k]),
                found.xywh[matches.detection[k]],
                "false_positive",
                distance=float(found.distance[matches.detection[k]]),
                score=float(matches.score[k]),
            )
            for k in false
        ],
        "misses": [person(truth, matches, int(k), "miss", near=near) for k in missed],
    }


def person(
    truth: GroundTruth,
    matches: Matches,
    k: int,
    outcome: str,
    *,
    near: Floats | None = None,
    scores: tuple[float, float] = (-math.inf, -math.inf),
) -> Example:
    """Person ``k`` of ``matches`` as an example."""
    box = int(matches.person[k])
    return example(
        truth,
        int(matches.person_image[k]),
        truth.xywh[box],
        outcome,
        height=float(matches.height[k]),
        distance=float(truth.distance[box]),
        score=-math.inf if near is None else float(near[box]),
        scores=scores,
    )


def example(
    truth: GroundTruth,
    image: int,
    xywh: Floats,
    outcome: str,
    *,
    height: float | None = None,
    distance: float = math.nan,
    score: float = -math.inf,
    scores: tuple[float, float] = (-math.inf, -math.inf),
) -> Example:
    """One box; scores of -inf and distances of nan become None."""
    entry: Any = truth.images[image]
    return {
        "image_id": truth.image_ids[image],
        "file_name": entry.get("file_name"),
        "sequence": truth.sequence_of(image),
        "stamp_ns": entry.get("stamp_ns"),
        "bbox": [round(v, 2) for v in xywh.tolist()],
        "height": round(float(xywh[3]) if height is None else height, 2),
        "distance_m": _finite(distance),
        "outcome": outcome,
        "score": _finite(score),
        "score_a": _finite(scores[0]),
        "score_b": _finite(scores[1]),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
