"""The table of sequences."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np

from tasksr_ros.evaluation import coco_ap
from tasksr_ros.evaluation.bootstrap import units
from tasksr_ros.evaluation.matching import FALSE_POSITIVE, Ints, Rule
from tasksr_ros.evaluation.metrics import Matches, log_average_miss_rate
from tasksr_ros.evaluation.run_statistics import RunStatistics
from tasksr_ros.evaluation.summary import SequenceRow

MAX_SEQUENCES = 1000


def by_sequence(run: RunStatistics, undefined: dict[str, str]) -> list[SequenceRow]:
    """One row per sequence, in the order of the ground truth; [] where there are none.

    All rows are at the threshold of the whole set.
    """
    names = run.case.truth.sequences()
    if all(name is None for name in names):
        undefined["by_sequence"] = "no image has a sequence"
        return []
    groups = ["(none)" if name is None else name for name in names]
    of_image = units(groups)
    if of_image.max() >= MAX_SEQUENCES:
        undefined["by_sequence"] = f"more than {MAX_SEQUENCES} sequences"
        return []
    titles = list(dict.fromkeys(groups))
    protocol = run.case.protocol
    headline = split(run.subsets[protocol.headline], of_image)
    everyone = split(run.everyone, of_image)
    at_half = split(run.case.matches(protocol.everyone, Rule(0.5)), of_image)
    return [
        _row(title, run.threshold, *parts)
        for title, *parts in zip(titles, everyone, headline, at_half, strict=True)
    ]


def split(matches: Matches, group: Ints) -> list[Matches]:
    """The matches of each group of images; ``group`` (N,) is the group's index of each image."""
    number = int(group.max()) + 1
    sizes = np.bincount(group, minlength=number)
    found = _parts(group[matches.image], number)
    people = _parts(group[matches.person_image], number)
    return [
        replace(
            matches,
            score=matches.score[d],
            outcome=matches.outcome[d],
            image=matches.image[d],
            detection=matches.detection[d],
            found_at=matches.found_at[p],
            height=matches.height[p],
            person=matches.person[p],
            person_image=matches.person_image[p],
            num_images=int(size),
        )
        for d, p, size in zip(found, people, sizes, strict=True)
    ]


def _parts(group: Ints, number: int) -> list[Ints]:
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(number + 1))
    return [order[low:high] for low, high in itertools.pairwise(edges)]


def _row(
    title: str, threshold: float, everyone: Matches, headline: Matches, at_half: Matches
) -> SequenceRow:
    hit = np.isfinite(everyone.found_at) & (everyone.found_at >= threshold)
    false = (everyone.outcome == FALSE_POSITIVE) & (everyone.score >= threshold)
    miss_rate, ap50 = log_average_miss_rate(headline), coco_ap.precision_of(at_half)
    return {
        "sequence": title,
        "images": everyone.num_images,
        "pedestrians": len(hit),
        "found": int(hit.sum()),
        "recall": float(hit.mean()) if len(hit) else None,
        "false_positives": int(false.sum()),
        "fppi": float(false.sum()) / everyone.num_images,
        "log_average_miss_rate": None if math.isnan(miss_rate) else miss_rate,
        "ap50": None if math.isnan(ap50) else ap50,
    }
