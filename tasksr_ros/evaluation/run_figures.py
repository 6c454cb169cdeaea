"""All figures of one run, as the summary has them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tasksr_ros.evaluation import coco_ap, kitti
from tasksr_ros.evaluation.bootstrap import interval
from tasksr_ros.evaluation.by_sequence import by_sequence
from tasksr_ros.evaluation.curves import curves
from tasksr_ros.evaluation.gallery import gallery
from tasksr_ros.evaluation.matching import FALSE_POSITIVE, Floats, Rule
from tasksr_ros.evaluation.metrics import log_average_miss_rate, score_at_fppi
from tasksr_ros.evaluation.predictions import Predictions
from tasksr_ros.evaluation.range_error import range_error
from tasksr_ros.evaluation.reliability import calibration
from tasksr_ros.evaluation.run_statistics import (
    DISTANCE_EDGES,
    HEIGHT_EDGES,
    VISIBLE,
    RunStatistics,
    bin_index,
    bins_of,
)
from tasksr_ros.evaluation.samplers import Reach
from tasksr_ros.evaluation.summary import (
    AtMatch,
    Bin,
    Interval,
    Latency,
    Number,
    OperatingPoint,
    Run,
)
from tasksr_ros.evaluation.tracks import tracks

RULES = (Rule(0.5), Rule(0.3), Rule(None))


class Intervals:
    """Intervals of a run's figures by name.

    Args:
        run: the run.
        samples: (S, K) of it; no rows: no intervals.
    """

    def __init__(self, run: RunStatistics, samples: Floats) -> None:
        self._columns = dict(zip(run.names, samples.T, strict=True)) if len(samples) else {}
        self._confidence = run.config.confidence

    def __getitem__(self, name: str) -> Interval:
        if name not in self._columns:
            return None
        return interval(self._columns[name], self._confidence)


class Undefined(dict[str, str]):
    """Why figures are not defined, by name."""

    def number(self, name: str, value: float, reason: str) -> Number:
        """The value, or None and the reason noted where it is nan."""
        if math.isfinite(value):
            return float(value)
        self[name] = reason
        return None


def run_figures(run: RunStatistics, samples: Floats) -> Run:
    """The figures; ``samples`` are `RunStatistics.samples` of it."""
    found, matches = run.case.predictions, run.everyone
    intervals, undefined = Intervals(run, samples), Undefined()
    precision = coco_ap.average_precision(run.case.truth, found)
    ones = np.ones(run.case.truth.num_images, np.int32)
    is_found = np.isfinite(matches.found_at) & (matches.found_at >= run.threshold)
    distance = run.operating.by_distance(is_found, ones)
    height = run.operating.by_height(is_found, ones)
    nobody = "no pedestrian counts"
    false_positives = len(run.false_positives())
    per_hour = math.nan if run.hours is None else false_positives / run.hours
    if matches.found_at.size and not np.isfinite(run.distance).any():
        undefined["recall_by_distance"] = "no pedestrian has distance_m"
    return {
        "name": found.name,
        "path": str(found.path),
        "sha256": found.sha256,
        "info": dict(found.info),
        "images": run.case.truth.num_images,
        "detections": len(found.score),
        "problems": found.problems,
        "log_average_miss_rate": {
            name: undefined.number(
                f"log_average_miss_rate.{name}",
                log_average_miss_rate(subset),
                "no pedestrian in this subset",
            )
            for name, subset in run.subsets.items()
        },
        "log_average_miss_rate_interval": {
            name: intervals[f"log_average_miss_rate.{name}"] for name in run.subsets
        },
        "subset_pedestrians": {name: len(s.found_at) for name, s in run.subsets.items()},
        "ap": {
            name: undefined.number(
                f"ap.{name}", value, "no small pedestrian" if name == "ap_small" else nobody
            )
            for name, value in precision.values.items()
        },
        "ap_interval": {name: intervals[f"ap.{name}"] for name in coco_ap.NAMES},
        "kitti_ap": _kitti(run, undefined),
        "operating_point": operating_point(run, intervals, undefined),
        "range_m": undefined.number("range_m", distance.value, _why_no_range(run, distance)),
        "range_m_interval": intervals["range_m"] if math.isfinite(distance.value) else None,
        "range_m_is_limit": distance.is_limit,
        "min_height_px": undefined.number(
            "min_height_px", -height.value, _why_no_range(run, height, needs_distance=False)
        ),
        "min_height_px_interval": intervals["min_height_px"],
        "min_height_px_is_limit": height.is_limit,
        "false_positives_per_hour": undefined.number(
            "false_positives_per_hour",
            per_hour,
            "the recording's time is not known: images need stamp_ns (at least two per sequence), "
            "or a frame rate be given",
        ),
        "false_positives_per_hour_interval": intervals["false_positives_per_hour"],
        "at_match": [_at_match(run, rule) for rule in RULES],
        "curves": curves(run.subsets, precision.curves),
        "recall_by_height": _bins(
            run,
            "recall_by_height",
            HEIGHT_EDGES,
            matches.height,
            found.xywh[matches.detection, 3],
            intervals,
        ),
        "recall_by_distance": _bins(
            run, "recall_by_distance", DISTANCE_EDGES, run.distance, _far(run), intervals
        ),
        "by_sequence": by_sequence(run, undefined),
        "calibration": calibration(
            matches.score,
            matches.outcome,
            found.xywh[matches.detection, 3],
            bins_of(HEIGHT_EDGES),
        ),
        "tracks": tracks(
            run.case.truth,
            matches,
            run.threshold,
            confidence=run.config.confidence,
            samples=run.config.samples,
            seed=run.config.seed,
        ),
        "range_error": range_error(run),
        "latency": latency(found),
        "gallery": gallery(run.case, matches, run.threshold),
        "undefined": undefined,
    }


def operating_point(
    run: RunStatistics, intervals: Intervals, undefined: Undefined
) -> OperatingPoint:
    """Counts at the threshold with the most detections that keeps to the FPPI."""
    matches = run.everyone
    hits = int((np.isfinite(matches.found_at) & (matches.found_at >= run.threshold)).sum())
    people, false = len(matches.found_at), len(run.false_positives())
    recall = undefined.number(
        "operating_point.recall", hits / people if people else math.nan, "no pedestrian counts"
    )
    precision = hits / (hits + false) if hits + false else math.nan
    return {
        "fppi": run.config.fppi,
        "fppi_reached": false / matches.num_images,
        "score_threshold": run.threshold if math.isfinite(run.threshold) else None,
        "true_positives": hits,
        "false_positives": false,
        "false_negatives": people - hits,
        "recall": recall,
        "recall_interval": intervals["recall"],
        "miss_rate": None if recall is None else 1 - recall,
        "precision": undefined.number(
            "operating_point.precision", precision, "no detection at this threshold"
        ),
    }


def latency(found: Predictions) -> Latency | None:
    """Percentiles per stage; None where the run wrote no times."""
    if not found.latency_ms:
        return None
    stages = {}
    for stage, times in found.latency_ms.items():
        values = np.array(times, float)
        row = {f"p{q}": float(np.percentile(values, q)) for q in (50, 90, 95, 99)}
        stages[stage] = {
            "frames": len(values),
            "mean": float(values.mean()),
            **row,
            "max": float(values.max()),
        }
    return {"stages": stages}


def _kitti(run: RunStatistics, undefined: Undefined) -> dict[str, Number] | None:
    if run.case.protocol.name != "kitti":
        return None
    return {
        name: undefined.number(f"kitti_ap.{name}", value, "no pedestrian in this subset")
        for name, value in kitti.kitti_ap(run.case).items()
    }


def _why_no_range(run: RunStatistics, reach: Reach, needs_distance: bool = True) -> str:
    if len(run.everyone.found_at) == 0:
        return "no pedestrian counts"
    if needs_distance and not np.isfinite(run.distance).any():
        return "no pedestrian has distance_m"
    return (
        f"recall does not hold {run.config.recall:g} at {run.config.fppi:g} false positives per "
        f"image, not even for the {'nearest' if needs_distance else 'tallest'}"
    )


def _at_match(run: RunStatistics, rule: Rule) -> AtMatch:
    """Headline figures under another rule of matching."""
    case, protocol = run.case, run.case.protocol
    headline = case.matches(protocol.subsets[protocol.headline], rule)
    matches = case.matches(protocol.everyone, rule)
    threshold = score_at_fppi(matches, run.config.fppi)
    is_found = np.isfinite(matches.found_at) & (matches.found_at >= threshold)
    ones = np.ones(matches.num_images, np.int32)
    recall = is_found.mean() if len(is_found) else math.nan
    distance, height = run.operating.by_distance, run.operating.by_height
    return {
        "match": "centre" if rule.iou is None else "iou",
        "iou": rule.iou,
        "log_average_miss_rate": _number(log_average_miss_rate(headline)),
        "ap": _number(coco_ap.precision_of(matches)),
        "recall": _number(float(recall)),
        "range_m": _number(distance(is_found, ones).value),
        "min_height_px": _number(-height(is_found, ones).value),
    }


def _number(value: float) -> Number:
    return float(value) if math.isfinite(value) else None


def _far(run: RunStatistics) -> Floats:
    """(D,) distance of the detections of ``everyone``, m: their own, else from their height.

    A person of height h px at distance d keeps h·d; its median over the ground truth serves.
    """
    matches, found = run.everyone, run.case.predictions
    stated = found.distance[matches.detection]
    height = found.xywh[matches.detection, 3]
    known = np.isfinite(run.distance)
    if not known.any():
        return stated
    scale = float(np.median(matches.height[known] * run.distance[known]))
    estimated = np.divide(scale, height, out=np.full(len(height), np.nan), where=height > 0)
    return np.where(np.isnan(stated), estimated, stated)


def _bins(
    run: RunStatistics,
    name: str,
    edges: Sequence[float],
    people: Floats,
    detections: Floats,
    intervals: Intervals,
) -> list[Bin]:
    """Recall of the people and false positives of the detections, per bin of a quantity."""
    matches = run.everyone
    hit = np.isfinite(matches.found_at) & (matches.found_at >= run.threshold)
    index = bin_index(people, edges)
    false = (matches.outcome == FALSE_POSITIVE) & (matches.score >= run.threshold)
    false_index = bin_index(detections[false], edges)
    placed = not np.isnan(detections[false]).any()
    told, clear = run.case.truth.has_visibility, run.visibility >= VISIBLE
    rows: list[Bin] = []
    for k, (low, high) in enumerate(bins_of(edges)):
        here = index == k
        number, found = int(here.sum()), int((hit & here).sum())
        recall = found / number if number else None
        wrong = int((false_index == k).sum()) if placed else None
        rows.append(
            {
                "low": low,
                "high": high if math.isfinite(high) else None,
                "pedestrians": number,
                "found": found,
                "recall": recall,
                "recall_interval": None if recall is None else intervals[f"{name}.{k}"],
                "visible": int((here & clear).sum()) if told else None,
                "visible_found": int((here & clear & hit).sum()) if told else None,
                "miss_rate": None if recall is None else 1 - recall,
                "false_positives": wrong,
                "fppi": None if wrong is None else wrong / matches.num_images,
            }
        )
    return rows
