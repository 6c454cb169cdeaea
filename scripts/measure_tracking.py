"""Measure what tracking gives: ids that last, and recall at equal false positives.

    scripts/measure_tracking.py GROUND_TRUTH.json PREDICTIONS.json
    scripts/measure_tracking.py GROUND_TRUTH.json --simulate

The predictions must go down to weak scores (`--detection.score_threshold 0.15`). Ground truth is
COCO with `sequence`, `stamp_ns` (or `frame`) of images and `track_id` of annotations. Simulated
are detections, of people who move as in the ground truth, between its frames in straight lines.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_ros.bundle import load_bundle
from tasksr_ros.calibration import read_calibration
from tasksr_ros.camera import CameraModel
from tasksr_ros.config import NodeConfig, RegionConfig, TrackingConfig
from tasksr_ros.detections import Detections
from tasksr_ros.evaluation.tracking import People, TrackScores, score_sequence
from tasksr_ros.tracking import Tracker

FPPI = (0.1, 0.3, 1.0)
Sequence = list[tuple[int, People, Detections]]


def main() -> None:
    """Print the tables."""
    options = parser().parse_args()
    if options.simulate:
        return simulate(read(options), options.iou)
    camera = read_calibration(options.calibration) if options.calibration else None
    mounting = RegionConfig(camera_height=options.camera_height, camera_pitch=options.camera_pitch)
    sequences = read(options)
    variants = {
        "off": None,
        "ids only": TrackingConfig(weak_score=1.0),
        **{f"weak {share:g}": TrackingConfig(weak_score=share) for share in options.weak_score},
    }
    print(f"{sum(map(len, sequences))} images in {len(sequences)} sequences, IoU {options.iou:g}")
    print(f"{'':10}" + "".join(f"  recall at {fppi:g}/image" for fppi in FPPI))
    lowest = min(d.score.min(initial=1) for s in sequences for _, _, d in s)
    for name, config in variants.items():
        low = lowest / (config.weak_score if config else 1.0)
        curve = [
            measure(sequences, config, threshold, options.iou, camera, mounting)
            for threshold in np.linspace(low, 0.95, 40)
        ]
        recall = [at(curve, fppi) for fppi in FPPI]
        print(f"{name:10}" + "".join(f"  {value:>18.3f}" for value in recall))
    print(f"\nat the score threshold {options.threshold:g}:")
    for name, config in variants.items():
        s = measure(sequences, config, options.threshold, options.iou, camera, mounting)
        print(
            f"{name:10}  recall {s.recall:.3f} ({s.found}/{s.people})  false positives per image "
            f"{s.fppi:.2f}  found with an id {s.with_id}  switches {s.switches}  "
            f"fragments {s.fragments}"
        )


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description="Measure what tracking gives.")
    p.add_argument("ground_truth", type=Path)
    p.add_argument("predictions", type=Path, nargs="?")
    p.add_argument("--simulate", action="store_true", help="the detector, at several frame rates")
    shipped = load_bundle(NodeConfig().bundle).score_threshold
    p.add_argument("--threshold", type=float, default=shipped, help="score threshold (%(default)s)")
    p.add_argument("--weak-score", type=float, nargs="+", default=[0.8, 0.6, 0.4])
    p.add_argument("--iou", type=float, default=0.3, help="least IoU of a match (%(default)s)")
    p.add_argument("--camera", help="only images of this camera")
    p.add_argument("--fps", type=float, help="of ground truth that has frames but no stamps")
    p.add_argument("--calibration", help="intrinsics; without, no gating by height")
    p.add_argument("--camera-height", type=float, default=RegionConfig().camera_height)
    p.add_argument("--camera-pitch", type=float, default=RegionConfig().camera_pitch)
    return p


def measure(
    sequences: list[Sequence],
    config: TrackingConfig | None,
    threshold: float,
    iou: float,
    camera: CameraModel | None,
    mounting: RegionConfig,
) -> TrackScores:
    """Scores over all sequences; without a config, detections have no ids."""
    total = TrackScores()
    for sequence in sequences:
        tracker = Tracker(config, mounting, threshold) if config else None
        frames = []
        for stamp_ns, people, detections in sequence:
            if tracker:
                tracked = tracker.update(detections, stamp_ns, camera)
            else:
                tracked = detections.select(detections.score >= threshold)
            frames.append((people, tracked))
        total += score_sequence(frames, iou)
    return total


def simulate(sequences: list[Sequence], iou: float) -> None:
    """Print switches of ids for a perfect and for a bad detector, between the frames too."""
    print("frames of the ground truth times   missed   false/image   found   with an id   switches")
    for steps in (1, 2, 5, 15):
        for missed, false in ((0.0, 0.0), (0.3, 1.0)):
            rng = np.random.default_rng(0)
            total = TrackScores()
            for sequence in sequences:
                tracker = Tracker(TrackingConfig(weak_score=1.0), RegionConfig(), 0.5)
                total += score_sequence(
                    [
                        (people, tracker.update(simulated(people, missed, false, rng), stamp_ns))
                        for stamp_ns, people in between(sequence, steps)
                    ],
                    iou,
                )
            print(
                f"{steps:32}   {missed:6.1f}   {false:11.1f}   {total.found:5}   "
                f"{total.with_id:10}   {total.switches:8}"
            )


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
    points = sorted((s.fppi, s.recall) for s in curve)
    return float(np.interp(fppi, *zip(*points, strict=True)))


def read(options: argparse.Namespace) -> list[Sequence]:
    """Sequences in the order of their stamps: (stamp, ground truth, detections) per image."""
    truth = json.loads(options.ground_truth.read_text())
    people: dict[int, list[dict[str, Any]]] = defaultdict(list)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in truth["annotations"]:
        people[annotation["image_id"]].append(annotation)
    for result in json.loads(options.predictions.read_text()) if options.predictions else ():
        found[result["image_id"]].append(result)
    sequences: dict[tuple[str, str], Sequence] = defaultdict(list)
    for image in truth["images"]:
        if options.camera in (None, image.get("camera")):
            key = image["sequence"], image.get("camera", "")
            entry = stamp(image, options.fps), as_people(people[image["id"]])
            sequences[key].append((*entry, as_detections(found[image["id"]])))
    return [sorted(s, key=lambda entry: entry[0]) for s in sequences.values()]


def stamp(image: dict[str, Any], fps: float | None) -> int:
    """Acquisition time in ns."""
    return image["stamp_ns"] if fps is None else round(image["frame"] * 1e9 / fps)


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


def corners(entries: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(N, 4) x0, y0, x1, y1."""
    boxes = np.array([entry["bbox"] for entry in entries], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


if __name__ == "__main__":
    main()
