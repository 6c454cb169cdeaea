"""The figures of a summary, each with a caption that says what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasksr_ros.evaluation.report import plots
from tasksr_ros.evaluation.report.plots import MAX_SERIES, Curve
from tasksr_ros.evaluation.report.quantities import MINUS, bin_name, number, subset_words
from tasksr_ros.evaluation.summary import (
    Bin,
    BinDifference,
    Comparison,
    Number,
    Reliability,
    Run,
    Summary,
)

_GAP = float("nan")
LEAST_DETECTIONS = 5
"""Of a point in a reliability figure: the share of fewer says nothing."""
PERCENTILES = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
        title: a few words.
        caption: what is measured.
        svg: the picture; empty where there is nothing to show.
        missing: why there is nothing to show.
    """

    title: str
    caption: str = ""
    svg: str = ""
    missing: str = ""


def miss_rate(summary: Summary, subset: str) -> Figure:
    """Miss rate over false positives per image of one subset."""
    title = f"Miss rate and false positives: {subset}"
    curves = [
        Curve(k, found["fppi"], found["miss_rate"])
        for k, run in enumerate(summary["runs"][:MAX_SERIES])
        if (found := run["curves"]["miss_rate_fppi"].get(subset)) and found["fppi"]
    ]
    if not curves:
        return Figure(title, missing=_reason(summary, f"log_average_miss_rate.{subset}"))
    people = max(run["subset_pedestrians"].get(subset, 0) for run in summary["runs"])
    caption = (
        f"Share of the people missed against false positives per image, as the score threshold "
        f"falls; {subset_words(summary['protocol']['subsets'][subset])}, {people} people. MR⁻² "
        f"averages over the shaded range. Lower left is better."
    )
    return Figure(title, caption, plots.miss_rate_curve(curves, title))


def precision_recall(summary: Summary, iou: str) -> Figure:
    """Precision over recall at one IoU, a key of the summary."""
    title = f"Precision and recall at IoU {iou}"
    curves = [
        Curve(k, found["recall"], found["precision"])
        for k, run in enumerate(summary["runs"][:MAX_SERIES])
        if (found := run["curves"]["precision_recall"].get(iou)) and found["recall"]
    ]
    if not curves:
        return Figure(title, missing=_reason(summary, "ap"))
    caption = (
        f"A detection is right where it overlaps a person by an IoU of at least {iou}. Best "
        f"precision at each recall or beyond, all sizes. Upper right is better."
    )
    return Figure(title, caption, plots.precision_recall(curves, title))


def recall_by_height(summary: Summary) -> Figure:
    """Recall per bin of height at the operating point."""
    bins = [run["recall_by_height"] for run in summary["runs"][:MAX_SERIES]]
    return _recall(summary, "Recall by height", "height in the image, px", bins)


def recall_by_distance(summary: Summary) -> Figure:
    """Recall per bin of distance at the operating point."""
    title = "Recall by distance"
    if not summary["ground_truth"]["has_distance"]:
        return Figure(title, missing="the ground truth has no distances")
    bins = [run["recall_by_distance"] for run in summary["runs"][:MAX_SERIES]]
    return _recall(summary, title, "distance, m", bins)


def difference_by_height(summary: Summary, found: Comparison, names: Sequence[str]) -> Figure:
    """Paired difference of recall per bin of height; ``names`` of all runs."""
    bins = found["recall_by_height"]
    return _difference(summary, found, names, "height", "height in the image, px", bins)


def difference_by_distance(summary: Summary, found: Comparison, names: Sequence[str]) -> Figure:
    """Paired difference of recall per bin of distance; ``names`` of all runs."""
    return _difference(
        summary, found, names, "distance", "distance, m", found["recall_by_distance"]
    )


def reliability(summary: Summary, names: Sequence[str]) -> list[Figure]:
    """Reliability of the scores, per bin of height; bins without detections are left out."""
    calibrations = [run["calibration"] for run in summary["runs"][:MAX_SERIES]]
    places = min(len(found["by_height"]) for found in calibrations)
    by_bin = [[found["all"] for found in calibrations]]
    by_bin += [[found["by_height"][k] for found in calibrations] for k in range(places)]
    return [_reliability(found, names) for found in by_bin if any(map(_points, found))]


def latency(summary: Summary) -> Figure:
    """Percentiles of the time per stage."""
    title = "Time per frame, by stage"
    runs = summary["runs"][:MAX_SERIES]
    stages = stage_names(summary)
    if not stages:
        return Figure(title, missing="no predictions file has times beside it (.run.json)")
    values = [[_percentiles(run, stage) for stage in stages] for run in runs]
    caption = (
        "Marker: median; thick line: to the 95th percentile; tick: 99th. Stages that overlap in "
        "time add up to more than the total."
    )
    return Figure(title, caption, plots.latency(stages, values, title))


def stage_names(summary: Summary) -> list[str]:
    """Stages of all runs in the order first met, the total last."""
    measured = [run["latency"]["stages"] for run in summary["runs"] if run["latency"]]
    unique = list(dict.fromkeys(name for stages in measured for name in stages))
    return sorted(unique, key=lambda name: name == "total")


def _recall(summary: Summary, title: str, unit: str, by_run: Sequence[Sequence[Bin]]) -> Figure:
    found = [{(b["low"], b["high"]): b for b in bins if b["pedestrians"]} for bins in by_run]
    edges = sorted({edge for bins in found for edge in bins}, key=lambda edge: edge[0])
    if not edges:
        return Figure(title, missing="no bin has a person that counts")
    labels = []
    for edge in edges:
        people = dict.fromkeys(str(bins[edge]["pedestrians"]) for bins in found if edge in bins)
        labels.append(f"{bin_name(*edge)}\nn {'/'.join(people)}")
    curves = [
        _banded(
            series,
            [bins[edge]["recall"] if edge in bins else None for edge in edges],
            [bins[edge]["recall_interval"] if edge in bins else None for edge in edges],
        )
        for series, bins in enumerate(found)
    ]
    caption = (
        f"Share of the people found at {summary['settings']['fppi']:g} false positives per image, "
        f"with the {_confidence(summary)} interval; n: people that count. Bins without people "
        f"are left out."
    )
    return Figure(title, caption, plots.by_bin(curves, labels, unit, title))


def _difference(
    summary: Summary,
    comparison: Comparison,
    names: Sequence[str],
    what: str,
    unit: str,
    bins: Sequence[BinDifference],
) -> Figure:
    a, b = names[comparison["a"]], names[comparison["b"]]
    title = f"Recall by {what}: {b} {MINUS} {a}"
    shown = [found for found in bins if found["difference"] is not None]
    if not shown:
        return Figure(title, missing="no bin has people that count in both runs")
    labels = [f"{bin_name(f['low'], f['high'])}\nn {f['pedestrians']}" for f in shown]
    curve = _banded(
        comparison["b"], [f["difference"] for f in shown], [f["interval"] for f in shown]
    )
    caption = (
        f"Paired difference on the {comparison['images']} images that both processed, with its "
        f"{_confidence(summary)} interval. Above zero {b} finds more."
    )
    return Figure(title, caption, plots.difference_by_bin(curve, labels, unit, title))


def _reliability(of_bin: Sequence[Reliability], names: Sequence[str]) -> Figure:
    height = bin_name(of_bin[0]["low"], of_bin[0]["high"])
    title = "All heights" if height == "all" else f"{height} px"
    curves = [
        Curve(k, [mean for mean, _ in points], [right for _, right in points])
        for k, points in enumerate(map(_points, of_bin))
        if points
    ]
    counts = [number(found["detections"], 0) for found in of_bin]
    named = zip(names, counts, strict=False) if len(counts) > 1 else [("", counts[0])]
    words = ", ".join(f"{name} {count}".strip() for name, count in named)
    return Figure(title, f"{words} detections", plots.reliability(curves, f"Reliability: {title}"))


def _banded(
    series: int, values: Sequence[Number], intervals: Sequence[Sequence[float] | None]
) -> Curve:
    ends = [interval or (_GAP, _GAP) for interval in intervals]
    return Curve(
        series,
        range(len(values)),
        [_GAP if value is None else value for value in values],
        [low for low, _ in ends],
        [high for _, high in ends],
    )


def _points(found: Reliability) -> list[tuple[float, float]]:
    return [
        (b["mean_score"], b["precision"])
        for b in found["bins"]
        if b["detections"] >= LEAST_DETECTIONS
        and b["mean_score"] is not None
        and b["precision"] is not None
    ]


def _percentiles(run: Run, stage: str) -> list[float]:
    found = (run["latency"] or {"stages": {}})["stages"].get(stage, {})
    return [found.get(name, _GAP) for name in PERCENTILES]


def _confidence(summary: Summary) -> str:
    return f"{100 * summary['settings']['confidence']:g} %"


def _reason(summary: Summary, name: str) -> str:
    for run in summary["runs"]:
        for key, reason in run["undefined"].items():
            if key == name or key.startswith(f"{name}."):
                return reason
    return "nothing to show"
