"""A drive seen with super-resolution of video, of single images, and with tracking behind these.

Tracking is the honest way to use time with the same detector: a detection counts as strong as the
greatest threshold at which the tracker publishes it. Every row goes the deployed way, `tasksr
replay` and the functions of `tasksr evaluate`; a finished replay is not run again. What is
measured must not have been trained on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.yardstick_figures import ap
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.bundle import load_bundle
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import EngineConfig, RegionConfig, ReplayConfig, TrackingConfig
from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError
from tasksr_ros.evaluation.bootstrap import interval, sample
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.matching import Floats, Rule
from tasksr_ros.evaluation.metrics import Matches, recall, score_at_fppi
from tasksr_ros.evaluation.predictions import read_predictions
from tasksr_ros.evaluation.protocols import Case, Protocol, Subset
from tasksr_ros.evaluation.samplers import Draws, PrecisionSampler
from tasksr_ros.evaluation.summary import Interval
from tasksr_ros.io.recording import make_folder
from tasksr_ros.options import build, flatten, option
from tasksr_ros.replay.job import Job
from tasksr_ros.replay.run import replay
from tasksr_ros.replay.run_file import beside
from tasksr_ros.tracking import Tracker

VIDEO, STILL, TRACKED = "video", "still", "still + tracking"
START_NS = 1_600_000_000_000_000_000
LEAST_SCORE = 0.01
THRESHOLDS = np.geomspace(LEAST_SCORE, 0.95, 60)
"""At which the tracker is tried."""
BLOCK = 10
"""Frames in a row that are drawn together for the intervals: they are alike."""


@dataclass(frozen=True)
class VideoBenchmarkConfig:
    """A drive seen with super-resolution of video, of single images, and with tracking."""

    ground_truth: str = option("", "COCO file with sequence and frame of images; must be given")
    video: str = option("", "bundle with super-resolution of video")
    still: str = option("", "bundle with that of single images, or none, and the same detector")
    sequence: str = option("", "of the ground truth; one empty name: all")
    first_frame: int = option(0, "number of the first frame", low=0)
    last_frame: int = option(10**9, "number of the last frame", low=0)
    frame_rate: float = option(30.0, "of the frames' numbers, Hz", low=0.1, high=1000)
    region: str = option("full", "far, full, or a YAML file of region parameters")
    low: float = option(12.0, "least height of people who count, px", low=0)
    high: float = option(32.0, "greatest height of people who count, px", low=0)
    fppi: float = option(0.3, "false positives per image at which recall is given", low=0)
    samples: int = option(1000, "of the bootstrap; 0: no intervals", low=0)
    out: str = option("out/video", "folder for the replays")
    engine: EngineConfig = field(default_factory=EngineConfig)


Difference = tuple[float, Interval]
"""And its interval of 95 %; none of a system to itself."""


@dataclass(frozen=True)
class Row:
    """One system.

    Attributes:
        system: which.
        people: who count.
        ap50: at IoU .5, people of these heights.
        recall: at the false positives per image.
        over_still: ap50 less that of the still bundle, and its interval of 95 %.
        over_tracked: ap50 less that of tracking behind it, likewise.
        frame_ms: median of a frame's time.
        flow_ms: of this, optical flow.
    """

    system: str
    people: int
    ap50: float
    recall: float
    over_still: Difference
    over_tracked: Difference
    frame_ms: float
    flow_ms: float


COLUMNS: Columns = {
    "system": lambda r: r.system,
    "people": lambda r: f"{r.people}",
    "AP50": lambda r: f"{r.ap50:.3f}",
    "recall": lambda r: f"{r.recall:.3f}",
    "AP50 - still": lambda r: _text(r.over_still),
    "AP50 - tracked": lambda r: _text(r.over_tracked),
    "ms a frame": lambda r: f"{r.frame_ms:.0f}",
    "flow, ms": lambda r: f"{r.flow_ms:.0f}",
}


def benchmark_video(config: VideoBenchmarkConfig) -> list[Row]:
    """Replay and evaluate the three systems.

    Raises:
        TaskSRError: if a file or bundle does not serve.
    """
    if not load_bundle(config.video).neighbours:
        raise ConfigError(f"video must have super-resolution of video, got {config.video}")
    if load_bundle(config.still).neighbours:
        raise ConfigError(f"still must have none of video, got {config.still}")
    out = Path(config.out)
    make_folder(out / "drive")
    truth = write_drive(config, out / "drive")
    files = {
        name: _replayed(name, bundle, truth, config)
        for name, bundle in ((STILL, config.still), (VIDEO, config.video))
    }
    files[TRACKED] = out / "tracked.json"
    entries = json.loads(files[STILL].read_text(encoding="utf-8"))
    files[TRACKED].write_text(json.dumps(rescored(entries, TrackingConfig())), encoding="utf-8")
    matched = {name: _matches(truth, file, config) for name, file in files.items()}
    return [
        _row(name, matched, files[STILL if name == TRACKED else name], config) for name in matched
    ]


def write_drive(config: VideoBenchmarkConfig, folder: Path) -> Path:
    """Links to the chosen frames, named by their time, and their ground truth.

    Raises:
        ConfigError: if there are none.
    """
    source = Path(config.ground_truth)
    if not source.is_file():
        raise ConfigError(f"ground_truth must be a COCO file, got {config.ground_truth!r}")
    truth = json.loads(source.read_text(encoding="utf-8"))
    images = [
        image
        for image in truth["images"]
        if config.sequence in ("", image.get("sequence"))
        and config.first_frame <= image["frame"] <= config.last_frame
    ]
    if not images:
        raise ConfigError(f"{source}: no image of {config.sequence or 'any sequence'} is chosen")
    named = [_linked(image, source.parent, folder, config.frame_rate) for image in images]
    ids = {image["id"] for image in images}
    chosen = [a for a in truth["annotations"] if a["image_id"] in ids]
    path = folder / "truth.json"
    path.write_text(json.dumps({**truth, "images": named, "annotations": chosen}))
    return path


def _linked(image: dict[str, Any], source: Path, folder: Path, rate: float) -> dict[str, Any]:
    file = (source / image["file_name"]).resolve()
    stamp_ns = START_NS + round(image["frame"] * 1e9 / rate)
    link = folder / f"{stamp_ns}{file.suffix}"
    link.unlink(missing_ok=True)
    link.symlink_to(file)
    return {**image, "file_name": link.name, "stamp_ns": stamp_ns}


def _replayed(name: str, bundle: str, truth: Path, config: VideoBenchmarkConfig) -> Path:
    values = {f"engine.{key}": value for key, value in flatten(config.engine).items()}
    predictions = Path(config.out) / f"{name}-{load_bundle(bundle).sha256[:8]}.json"
    job = Job(
        input=truth.parent,
        predictions=predictions,
        bundle=bundle,
        region=config.region,
        values=values,
        config=build(ReplayConfig, {"least_score": LEAST_SCORE}),
        ground_truth=(str(truth),),
    )
    replay(job)
    return predictions


def rescored(entries: Sequence[dict[str, Any]], config: TrackingConfig) -> list[dict[str, Any]]:
    """Predictions whose score is the greatest threshold at which the tracker publishes them.

    Args:
        entries: COCO results with stamps, of one camera.
        config: of the tracker.
    """
    frames: dict[int, list[int]] = {}
    for index, entry in enumerate(entries):
        frames.setdefault(entry["stamp_ns"], []).append(index)
    score = np.array([entry["score"] for entry in entries], float)
    for threshold in THRESHOLDS:
        published = list(_published(entries, frames, config, float(threshold)))
        score[published] = np.maximum(score[published], threshold)
    return [{**entry, "score": float(s)} for entry, s in zip(entries, score, strict=True)]


def _published(
    entries: Sequence[dict[str, Any]],
    frames: dict[int, list[int]],
    config: TrackingConfig,
    threshold: float,
) -> Iterator[int]:
    """Indices of what the tracker publishes at a threshold."""
    tracker = Tracker(config, RegionConfig(), threshold)
    for stamp_ns in sorted(frames):
        indices = frames[stamp_ns]
        boxes = np.array([entries[k]["bbox"] for k in indices], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found = Detections.from_arrays(boxes, np.array([entries[k]["score"] for k in indices]))
        by_box = {box.tobytes(): k for box, k in zip(found.xyxy, indices, strict=True)}
        yield from (by_box[box.tobytes()] for box in tracker.update(found, stamp_ns).xyxy)


def _matches(truth_file: Path, file: Path, config: VideoBenchmarkConfig) -> Matches:
    """People of the chosen heights and detections, over all images."""
    name = f"{config.low:g}-{config.high:g}"
    protocol = Protocol(
        "video", {name: Subset((config.low, config.high))}, name, upper_height_counts=False
    )
    truth = read_ground_truth(truth_file)
    case = Case.of(protocol, truth, read_predictions(file, truth))
    return case.matches(protocol.subsets[name], Rule(0.5))


def _row(
    name: str, matched: dict[str, Matches], replayed: Path, config: VideoBenchmarkConfig
) -> Row:
    own = matched[name]
    latency = json.loads(beside(replayed, ".run.json").read_text(encoding="utf-8"))["latency_ms"]
    return Row(
        name,
        len(own.height),
        ap(own),
        recall(own, score_at_fppi(own, config.fppi))[0],
        *(
            (
                ap(own) - ap(matched[other]),
                None if name == other else _interval(matched[other], own, config.samples),
            )
            for other in (STILL, TRACKED)
        ),
        float(np.median(latency["total"])),
        float(np.median(latency.get("flow", [0.0]))),
    )


def _text(difference: Difference) -> str:
    value, bounds = difference
    return f"{value:+.3f}" + ("" if bounds is None else " [{:+.3f}, {:+.3f}]".format(*bounds))


def _interval(other: Matches, own: Matches, samples: int) -> Interval:
    """Of AP less the other's, blocks of frames drawn for both."""
    if samples == 0:
        return None
    a, b = (
        PrecisionSampler(
            m.image, m.outcome[None], np.bincount(m.person_image, minlength=m.num_images)
        )
        for m in (other, own)
    )

    def difference(draws: Draws) -> Floats:
        return b(draws) - a(draws)

    values = sample(difference, np.arange(own.num_images) // BLOCK, samples, seed=0)
    return interval(values[:, 0], 0.95)


def bars(rows: list[Row]) -> list[Bar]:
    """AP50 of each system."""
    return [Bar("AP50", r.system, r.ap50, f"{r.ap50:.3f}") for r in rows]


BENCHMARK = Benchmark("video", VideoBenchmarkConfig, benchmark_video, COLUMNS, bars, "AP50")


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
