"""What a replay adds to the engine's own time, on 1080p bags.

A replay of a bag and, in turn, the engine alone on the same regions in memory. The more tiles, the
less of the time is not the engine's.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.benchmarks.config import BUNDLE
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.benchmarks.timing import time_in_turns
from tasksr_ros.bundle import load_bundle
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import (
    DetectionConfig,
    EngineConfig,
    PipelineConfig,
    RegionConfig,
    ReplayConfig,
)
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.io.make_bag import make_bag
from tasksr_ros.io.recording import Recording
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.options import option
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.replay.journal import Journal
from tasksr_ros.replay.offline import run_offline
from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.config import DriveConfig
from tasksr_ros.synthetic.drive import GeneratedDrive

ONE_TILE = RegionConfig(left=0.42, right=0.58, top=0.46, bottom=0.54)  # of 1920x1080 px


@dataclass(frozen=True)
class ReplayBenchmarkConfig:
    """What a replay adds to the engine's own time, on 1080p bags."""

    bags: tuple[str, ...] = option((), "to replay; none: a generated drive, raw and as JPEG")
    bundle: str = option(BUNDLE, "model")
    region: Literal["default", "tile"] = option("default", "default: the default band; tile: one")
    frames: int = option(20, "of each bag", low=1)
    rounds: int = option(5, "timed replays of each bag", low=1)
    engine: EngineConfig = field(default_factory=EngineConfig)


@dataclass(frozen=True)
class Row:
    """One bag; medians for each frame.

    Attributes:
        bag: its name.
        size: WIDTHxHEIGHT of its images, px.
        tiles: regions of a frame.
        frames: that were replayed.
        engine_ms: the engine alone, time passed.
        replay_ms: the replay.
        wall_added: what the replay takes longer, as a share.
        cpu_added: the same of processor time.
    """

    bag: str
    size: str
    tiles: int
    frames: int
    engine_ms: float
    replay_ms: float
    wall_added: float
    cpu_added: float


COLUMNS: Columns = {
    "bag": lambda r: r.bag,
    "image": lambda r: r.size,
    "tiles": lambda r: f"{r.tiles}",
    "frames": lambda r: f"{r.frames}",
    "engine alone, ms": lambda r: f"{r.engine_ms:.0f}",
    "replay, ms": lambda r: f"{r.replay_ms:.0f}",
    "added, wall": lambda r: f"{r.wall_added:+.1%}",
    "added, CPU": lambda r: f"{r.cpu_added:+.1%}",
}


def benchmark_replay(config: ReplayBenchmarkConfig) -> list[Row]:
    """Measure each bag."""
    bundle = load_bundle(config.bundle)
    settings = PipelineConfig(
        ONE_TILE if config.region == "tile" else RegionConfig(),
        DetectionConfig(ReplayConfig().least_score),
        config.engine,
    )
    engine = build_engine(bundle, config.engine)
    rows = []
    with _bags(config) as paths:
        for path in paths:
            recording = open_recording(path)
            pipeline = Pipeline(engine, settings, bundle.score_threshold, recording.camera)
            rows.append(_measure(recording, pipeline, config))
    return rows


@contextmanager
def _bags(config: ReplayBenchmarkConfig) -> Iterator[Sequence[str | Path]]:
    """The bags to measure; generated where none is given."""
    if config.bags:
        yield config.bags
        return
    with tempfile.TemporaryDirectory() as folder:
        drive = Path(folder) / "drive"
        generated = GeneratedDrive(DriveConfig(width=1920, height=1080, num_frames=config.frames))
        write_coco(generated, drive)
        yield [
            make_bag(drive, Path(folder) / name, compressed=name == "jpeg")
            for name in ("raw", "jpeg")
        ]


def _measure(recording: Recording, pipeline: Pipeline, config: ReplayBenchmarkConfig) -> Row:
    items = list(itertools.islice(recording, config.frames))
    prepared = (pipeline.prepare(frame).regions for frame in items)
    regions = [r.copy() for r in prepared if r is not None]  # the pipeline uses its own again
    pipeline(items[0])  # the first call is no measurement
    selection = _first(recording, config.frames)
    calls = {
        "engine": lambda: _engine_alone(pipeline.engine, regions),
        "replay": lambda: _replay(pipeline, recording, selection),
    }
    taken = time_in_turns(calls, config.rounds, 0)
    alone, replayed = taken["engine"], taken["replay"]
    width, height = items[0].size
    return Row(
        bag=recording.path.name,
        size=f"{width}x{height}",
        tiles=len(regions[0]),
        frames=len(items),
        engine_ms=alone.wall_ms() / len(items),
        replay_ms=replayed.wall_ms() / len(items),
        wall_added=replayed.wall_ms() / alone.wall_ms() - 1,
        cpu_added=replayed.cpu_ms / alone.cpu_ms - 1,
    )


def _engine_alone(engine: Engine, regions: list[NDArray[np.uint8]]) -> None:
    for some in regions:
        engine(some)


def _first(recording: Recording, frames: int) -> ReplayConfig:
    """Selects the recording's first frames."""
    stamps = [item.stamp_ns for item in itertools.islice(recording.pending(), frames + 1)]
    return ReplayConfig(
        duration=(stamps[frames] - stamps[0]) / 1e9 if len(stamps) > frames else 0.0
    )


def _replay(pipeline: Pipeline, recording: Recording, selection: ReplayConfig) -> None:
    camera = next(iter(recording.cameras))
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal", {}) as journal,
    ):
        run_offline(recording, {camera: pipeline}, selection, journal)


def bars(rows: list[Row]) -> list[Bar]:
    """Both times."""
    return [
        Bar(f"{r.bag}, {r.tiles} tile(s)", name, ms, f"{ms:.0f} ms")
        for r in rows
        for name, ms in (("engine alone", r.engine_ms), ("replay", r.replay_ms))
    ]


BENCHMARK = Benchmark(
    "replay", ReplayBenchmarkConfig, benchmark_replay, COLUMNS, bars, "wall time of a frame, ms"
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
