"""What tracking gives: ids that last, and recall at equal false positives.

The predictions must go down to weak scores, as those of ``tasksr replay`` do. Ground truth is COCO
with ``sequence``, ``stamp_ns`` (or ``frame``) of images and ``track_id`` of annotations (without it
nobody's id can switch).
Without predictions, detections are simulated, of people who move as in the ground truth, between
its frames in straight lines.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.benchmarks.config import BUNDLE
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.bundle import load_bundle
from tasksr_ros.camera import CameraModel
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import MODEL_SCORE_THRESHOLD, RegionConfig, TrackingConfig
from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError
from tasksr_ros.evaluation.matching import overlaps
from tasksr_ros.evaluation.tracking import People, TrackScores, score_sequence
from tasksr_ros.io.calibration import read_calibration
from tasksr_ros.options import option
from tasksr_ros.tracking import Tracker

FPPI = (0.1, 0.3, 1.0)
FIRST_AT = 0.3
"""False positives per image at which people are first found."""
Sequence = list[tuple[int, People, Detections]]


@dataclass(frozen=True)
class TrackingBenchmarkConfig:
    """What tracking gives: ids that last, and recall at equal false positives."""

    ground_truth: str = option("", "COCO file; must be given")
    predictions: str = option("", "COCO results; none: simulated, at several frame rates")
    threshold: float = option(
        MODEL_SCORE_THRESHOLD, "score threshold; -1: the default bundle's", low=-1, high=1
    )
    weak_scores: tuple[float, ...] = option(
        (0.8, 0.6, 0.4), "values of tracking.weak_score", low=0, high=1
    )
    iou: float = option(0.3, "least IoU of a match", low=0, high=1)
    camera: str = option("", "only images of this camera")
    fps: float = option(0.0, "of ground truth that has frames but no stamps, Hz", low=0)
    calibration: str = option("", "intrinsics; none: no gating by height")
    region: RegionConfig = field(default_factory=RegionConfig)


@dataclass(frozen=True)
class Row:
    """One kind of tracking, or of simulated detector, over all sequences.

    Attributes:
        system: which.
        recall_at: by false positives per image (``FPPI``); of a simulated detector empty.
        people: that count.
        found: of them, at the score threshold.
        fppi: false positives per image there.
        with_id: of those found.
        switches: of ids.
        fragments: of tracks.
        first_m: distance at which people are first found at ``FIRST_AT`` false positives per image,
            mean, m; None where distances are not known, or nobody is found.
    """

    system: str
    recall_at: dict[str, float]
    people: int
    found: int
    fppi: float
    with_id: int
    switches: int
    fragments: int
    first_m: float | None = None


COLUMNS: Columns = {
    "system": lambda r: r.system,
    **{
        f"recall at {fppi:g} per image": lambda r, key=f"{fppi:g}": (  # type: ignore[misc]
            f"{r.recall_at[key]:.3f}" if r.recall_at else "-"
        )
        for fppi in FPPI
    },
    "found": lambda r: f"{r.found} of {r.people}",
    "false per image": lambda r: f"{r.fppi:.2f}",
    "with an id": lambda r: f"{r.with_id}",
    "switches": lambda r: f"{r.switches}",
    "fragments": lambda r: f"{r.fragments}",
    "first found, m": lambda r: "-" if r.first_m is None else f"{r.first_m:.1f}",
}


def benchmark_tracking(config: TrackingBenchmarkConfig) -> list[Row]:
    """Measure each kind of tracking, or of simulated detector.

    Raises:
        ConfigError: without ground truth.
    """
    if not config.ground_truth:
        raise ConfigError("ground_truth must be a COCO file, got none")
    sequences = read(config)
    return list(_track(sequences, config) if config.predictions else _simulate(sequences, config))


def _track(sequences: list[Sequence], config: TrackingBenchmarkConfig) -> Iterator[Row]:
    threshold = config.threshold
    if threshold == MODEL_SCORE_THRESHOLD:
        threshold = load_bundle(BUNDLE).score_threshold
    camera = read_calibration(config.calibration) if config.calibration else None
    variants: dict[str, TrackingConfig | None] = {
        "off": None,
        "ids only": TrackingConfig(weak_score=1.0),
        **{f"weak {share:g}": TrackingConfig(weak_score=share) for share in config.weak_scores},
    }
    lowest = min(d.score.min(initial=1) for s in sequences for _, _, d in s)
    distances = read_distances(config)
    for name, tracking in variants.items():
        low = lowest / (tracking.weak_score if tracking else 1.0)
        curve, first_m = [], None
        for score in np.linspace(0.95, low, 40):
            runs = tracked(sequences, tracking, float(score), config, camera)
            curve.append(measure(runs, config.iou))
            if curve[-1].fppi <= FIRST_AT:
                first_m = first_found(runs, distances, config.iou)
            if curve[-1].fppi > 2 * max(FPPI):
                break
        found = measure(tracked(sequences, tracking, threshold, config, camera), config.iou)
        yield _row(name, found, {f"{fppi:g}": at(curve, fppi) for fppi in FPPI}, first_m)


def _simulate(sequences: list[Sequence], config: TrackingBenchmarkConfig) -> Iterator[Row]:
    """A perfect and a bad detector, between the frames too."""
    for steps in (1, 2, 5, 15):
        for name, missed, false in (("perfect", 0.0, 0.0), ("bad", 0.3, 1.0)):
            rng = np.random.default_rng(0)
            total = TrackScores()
            for sequence in sequences:
                tracker = Tracker(TrackingConfig(weak_score=1.0), config.region, 0.5)
                total += score_sequence(
                    [
                        (people, tracker.update(simulated(people, missed, false, rng), stamp_ns))
                        for stamp_ns, people in between(sequence, steps)
                    ],
                    config.iou,
                )
            yield _row(f"{name} detector, {steps} x the frames", total, {})


def _row(
    system: str, s: TrackScores, recall_at: dict[str, float], first_m: float | None = None
) -> Row:
    sums = s.people, s.found, s.fppi, s.with_id, s.switches, s.fragments
    return Row(system, recall_at, *sums, first_m)


def tracked(
    sequences: list[Sequence],
    tracking: TrackingConfig | None,
    threshold: float,
    config: TrackingBenchmarkConfig,
    camera: CameraModel | None,
) -> list[Sequence]:
    """The sequences with what is published; without tracking, detections have no ids."""
    runs = []
    for sequence in sequences:
        tracker = Tracker(tracking, config.region, threshold) if tracking else None
        runs.append(
            [
                (
                    stamp_ns,
                    people,
                    tracker.update(detections, stamp_ns, camera)
                    if tracker
                    else detections.select(detections.score >= threshold),
                )
                for stamp_ns, people, detections in sequence
            ]
        )
    return runs


def measure(runs: list[Sequence], iou: float) -> TrackScores:
    """Scores over all sequences."""
    scored = [score_sequence([(p, d) for _, p, d in run], iou) for run in runs]
    return sum(scored, TrackScores())


def first_found(
    runs: list[Sequence], distances: dict[tuple[int, str], float], iou: float
) -> float | None:
    """Mean distance at which each person was first found, 0 for who never was; m."""
    first: dict[str, float] = {}
    for run in runs:
        for stamp_ns, people, detections in run:
            rows = [np.zeros(len(b), np.int64) for b in (detections, people.person)]
            pairs = overlaps(_xywh(detections.xyxy), rows[0], _xywh(people.xyxy), rows[1])
            hit = set(pairs.ground_truth[pairs.iou >= iou].tolist())
            for k, person in enumerate(people.person):
                distance = distances.get((stamp_ns, person))
                if distance is not None and not people.ignore[k]:
                    first.setdefault(person, 0.0)
                    if k in hit and not first[person]:
                        first[person] = distance
    return float(np.mean(list(first.values()))) if first else None


def _xywh(xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)


def between(sequence: Sequence, steps: int) -> Iterator[tuple[int, People]]:
    """The people of each frame, and of steps - 1 frames up to the next, of who is in both."""
    for (stamp, people, _), (next_stamp, next_people, _) in itertools.pairwise(sequence):
        yield stamp, people
        later = dict(zip(next_people.person, next_people.xyxy, strict=True))
        both = [k for k, person in enumerate(people.person) if person in later]
        names = tuple(people.person[k] for k in both)
        ends = np.array([later[name] for name in names]).reshape(-1, 4)
        for step in range(1, steps):
            share = step / steps
            boxes = people.xyxy[both] * (1 - share) + ends * share
            middle = People(boxes, names, np.zeros(len(names), bool))
            yield round(stamp + share * (next_stamp - stamp)), middle


def simulated(people: People, missed: float, false: float, rng: np.random.Generator) -> Detections:
    """Boxes off by 4 % of the height, some people missed, some boxes of nobody in their midst."""
    height = (people.xyxy[:, 3] - people.xyxy[:, 1])[:, None]
    noisy = people.xyxy + rng.normal(0, 0.04, people.xyxy.shape) * height
    kept = noisy[rng.random(len(noisy)) >= missed]
    kept[:, 2:] = np.maximum(kept[:, 2:], kept[:, :2] + 1)
    nobody = rng.uniform((0, 400, 30), (1600, 600, 200), (rng.poisson(false), 3))
    x, y, h = nobody.T
    boxes = np.concatenate((kept, np.stack((x, y, x + h / 3, y + h), 1)))
    return Detections.from_arrays(boxes, np.full(len(boxes), 0.9))


def at(curve: list[TrackScores], fppi: float) -> float:
    """Recall at so many false positives per image, between the nearest measured points."""
    points = np.array(sorted((s.fppi, s.recall) for s in curve))
    return float(np.interp(fppi, points[:, 0], points[:, 1]))


def read(config: TrackingBenchmarkConfig) -> list[Sequence]:
    """Sequences in the order of their stamps: (stamp, ground truth, detections) per image."""
    truth = json.loads(Path(config.ground_truth).read_text())
    people: dict[int, list[dict[str, Any]]] = defaultdict(list)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in truth["annotations"]:
        people[annotation["image_id"]].append(annotation)
    for result in json.loads(Path(config.predictions).read_text()) if config.predictions else ():
        found[result["image_id"]].append(result)
    sequences: dict[tuple[str, str], Sequence] = defaultdict(list)
    for image in truth["images"]:
        if config.camera in ("", image.get("camera")):
            key = image["sequence"], image.get("camera", "")
            entry = stamp(image, config.fps), as_people(people[image["id"]])
            sequences[key].append((*entry, as_detections(found[image["id"]])))
    return [sorted(s, key=lambda entry: entry[0]) for s in sequences.values()]


def read_distances(config: TrackingBenchmarkConfig) -> dict[tuple[int, str], float]:
    """Of people by their frame's stamp and their name, m."""
    truth = json.loads(Path(config.ground_truth).read_text())
    stamps = {image["id"]: stamp(image, config.fps) for image in truth["images"]}
    return {
        (stamps[a["image_id"]], str(a["track_id"])): float(a["distance_m"])
        for a in truth["annotations"]
        if a.get("distance_m") and a.get("track_id") is not None
    }


def stamp(image: dict[str, Any], fps: float) -> int:
    """Acquisition time in ns."""
    return int(round(image["frame"] * 1e9 / fps) if fps else image["stamp_ns"])


def as_people(annotations: list[dict[str, Any]]) -> People:
    """Ground truth of one image; who has no track_id has one of his own."""
    return People(
        corners(annotations),
        tuple(str(a.get("track_id", f"annotation {a['id']}")) for a in annotations),
        np.array([bool(a["ignore"]) for a in annotations], bool),
    )


def as_detections(results: list[dict[str, Any]]) -> Detections:
    """Detections of one image."""
    return Detections.from_arrays(corners(results), np.array([r["score"] for r in results]))


def corners(entries: list[dict[str, Any]]) -> NDArray[np.float64]:
    """(N, 4) x0, y0, x1, y1."""
    boxes = np.array([entry["bbox"] for entry in entries], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def bars(rows: list[Row]) -> list[Bar]:
    """Found people, and switches of their ids."""
    return [
        Bar(of, r.system, value, f"{value}")
        for of in ("found", "switches")
        for r in rows
        for value in (getattr(r, of),)
    ]


BENCHMARK = Benchmark(
    "tracking", TrackingBenchmarkConfig, benchmark_tracking, COLUMNS, bars, "people"
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
