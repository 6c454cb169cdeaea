"""Two runs on the same images: differences with paired intervals, and who was gained and lost."""

from __future__ import annotations

import math

import numpy as np

from tasksr_ros.evaluation.bootstrap import interval
from tasksr_ros.evaluation.gallery import MAX_EXAMPLES, person
from tasksr_ros.evaluation.matching import Bools, Floats
from tasksr_ros.evaluation.run_statistics import (
    DISTANCE_EDGES,
    HEIGHT_EDGES,
    RunStatistics,
    bin_index,
    bins_of,
)
from tasksr_ros.evaluation.summary import (
    BinDifference,
    Comparison,
    Difference,
    Example,
    ImageDifference,
    Interval,
)

MAX_IMAGES = 200
LESS_IS_BETTER = ("log_average_miss_rate", "false_positives_per_hour", "min_height_px")


def compare(
    a: RunStatistics,
    b: RunStatistics,
    samples_a: Floats,
    samples_b: Floats,
    indices: tuple[int, int],
) -> Comparison:
    """Compare two runs over the same images.

    Args:
        a: the run to compare with.
        b: the other, of the same ground truth, protocol and config.
        samples_a: `RunStatistics.samples` of ``a`` over images.
        samples_b: of ``b``.
        indices: of the runs in the summary.
    """
    truth = a.case.truth
    some_sequences = len(set(truth.sequences())) > 1 and a.config.samples > 0
    by_sequence = _paired(a.samples(True), b.samples(True)) if some_sequences else None
    by_image = _paired(samples_a, samples_b) if a.config.samples else None
    undefined: dict[str, str] = {}
    if not some_sequences:
        undefined["interval_sequences"] = "there are fewer than two sequences, or no samples"
    return {
        "a": indices[0],
        "b": indices[1],
        "images": truth.num_images,
        "differences": _differences(a, b, by_image, by_sequence, undefined),
        "recall_by_height": _bins(a, b, "recall_by_height", HEIGHT_EDGES, by_image),
        "recall_by_distance": _bins(a, b, "recall_by_distance", DISTANCE_EDGES, by_image),
        "by_image": _images(a, b),
        "gains": _examples(a, b, "gain"),
        "losses": _examples(a, b, "loss"),
        "undefined": undefined,
    }


def _paired(samples_a: Floats, samples_b: Floats) -> Floats:
    """Differences of the same draws; nan where neither has an end (infinite less infinite)."""
    with np.errstate(invalid="ignore"):
        return samples_b - samples_a


def _differences(
    a: RunStatistics,
    b: RunStatistics,
    by_image: Floats | None,
    by_sequence: Floats | None,
    undefined: dict[str, str],
) -> dict[str, Difference]:
    ones = np.ones(a.case.truth.num_images, np.int32)
    values = zip(a.names, a.vector(ones).tolist(), b.vector(ones).tolist(), strict=True)
    rows: dict[str, Difference] = {}
    for k, (name, of_a, of_b) in enumerate(values):
        if name.startswith("recall_by_"):
            continue
        # What recall holds for no one reaches 0 m: a sample may say so, a figure may not.
        of_a, of_b = (math.nan if name == "range_m" and v == 0 else v for v in (of_a, of_b))
        both = math.isfinite(of_a) and math.isfinite(of_b)
        if not both:
            undefined[name] = "not defined for both runs: see undefined of each"
        intervals = [
            _interval(samples, k, a.config.confidence) if both else None
            for samples in (by_image, by_sequence)
        ]
        rows[name] = {
            "a": of_a if math.isfinite(of_a) else None,
            "b": of_b if math.isfinite(of_b) else None,
            "difference": of_b - of_a if both else None,
            "interval_images": intervals[0],
            "interval_sequences": intervals[1],
            "better": better(intervals, name.startswith(LESS_IS_BETTER)),
        }
    return rows


def better(intervals: list[Interval], less_is_better: bool) -> str | None:
    """Say "b" or "a" where every interval there is of b - a lies on that side of 0."""
    known = [i for i in intervals if i is not None]
    if known and all(low > 0 for low, _ in known):
        return "a" if less_is_better else "b"
    if known and all(high < 0 for _, high in known):
        return "b" if less_is_better else "a"
    return None


def _interval(samples: Floats | None, column: int, confidence: float) -> Interval:
    return None if samples is None else interval(samples[:, column], confidence)


def _bins(
    a: RunStatistics,
    b: RunStatistics,
    name: str,
    edges: tuple[int, ...],
    by_image: Floats | None,
) -> list[BinDifference]:
    people = a.everyone.height if name == "recall_by_height" else a.distance
    index = bin_index(people, edges)
    change = _found(b).astype(float) - _found(a)
    rows: list[BinDifference] = []
    for k, (low, high) in enumerate(bins_of(edges)):
        inside = index == k
        number = int(inside.sum())
        column = a.names.index(f"{name}.{k}")
        rows.append(
            {
                "low": low,
                "high": high if math.isfinite(high) else None,
                "pedestrians": number,
                "difference": float(change[inside].mean()) if number else None,
                "interval": _interval(by_image, column, a.config.confidence) if number else None,
            }
        )
    return rows


def _found(run: RunStatistics) -> Bools:
    """(G,) who was found at the run's operating point."""
    found_at = run.everyone.found_at
    return np.isfinite(found_at) & (found_at >= run.threshold)


def _images(a: RunStatistics, b: RunStatistics) -> list[ImageDifference]:
    """Images where anything differs, largest change of people and false positives first."""
    number = a.case.truth.num_images
    in_a, in_b, image = _found(a), _found(b), a.everyone.person_image
    gained = np.bincount(image[in_b & ~in_a], minlength=number)
    lost = np.bincount(image[in_a & ~in_b], minlength=number)
    false = [
        np.bincount(run.everyone.image[run.false_positives()], minlength=number) for run in (a, b)
    ]
    change = gained + lost + np.abs(false[1] - false[0])
    order = np.argsort(-change, kind="stable")
    return [
        {
            "image_id": a.case.truth.image_ids[k],
            "gained": int(gained[k]),
            "lost": int(lost[k]),
            "false_positives_a": int(false[0][k]),
            "false_positives_b": int(false[1][k]),
        }
        for k in order[:MAX_IMAGES].tolist()
        if change[k]
    ]


def _examples(a: RunStatistics, b: RunStatistics, outcome: str) -> list[Example]:
    """People whom only one of the two found, highest score first."""
    in_a, in_b = _found(a), _found(b)
    only = in_b & ~in_a if outcome == "gain" else in_a & ~in_b
    score = (b if outcome == "gain" else a).everyone.found_at
    chosen = np.flatnonzero(only)
    chosen = chosen[np.argsort(-score[chosen], kind="stable")][:MAX_EXAMPLES]
    return [
        person(
            a.case.truth,
            a.everyone,
            k,
            outcome,
            scores=(float(a.everyone.found_at[k]), float(b.everyone.found_at[k])),
        )
        for k in chosen.tolist()
    ]
