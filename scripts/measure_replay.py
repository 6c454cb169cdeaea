"""What a replay adds to the engine's own time, on 1080p bags.

.venv/bin/python scripts/measure_replay.py --frames 20 --rounds 5

Replays a bag and, in turn, lets the engine alone look at the same regions in memory. Without a
BAG, a generated drive of 1920x1080 px is measured twice, as raw images and as JPEG. `--region
default` looks at the default band (21 tiles of 1080p), `--region tile` at one tile: the more tiles,
the less of the time is not the engine's.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import (
    DetectionConfig,
    EngineConfig,
    PipelineConfig,
    RegionConfig,
    ReplayConfig,
)
from tasksr_ros.drive.coco import write_coco
from tasksr_ros.drive.config import DriveConfig
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.generated_drive import GeneratedDrive
from tasksr_ros.make_bag import make_bag
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.recordings import Recording, open_recording
from tasksr_ros.replay.journal import Journal
from tasksr_ros.replay.offline import run_offline

ONE_TILE = RegionConfig(left=0.42, right=0.58, top=0.46, bottom=0.54)  # of 1920x1080 px


def main() -> None:
    """Print seconds per frame of both, and what the replay adds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", nargs="*", type=Path)
    parser.add_argument("--bundle", default="tdsr-ss-x4")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--region", default="default", choices=("default", "tile"))
    parser.add_argument("--frames", type=int, default=20, help="per round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    config = PipelineConfig(
        ONE_TILE if options.region == "tile" else RegionConfig(),
        DetectionConfig(ReplayConfig().least_score),
        EngineConfig(options.engine),
    )
    engine = build_engine(bundle, config.engine)
    with bags(options.bag, options.frames) as paths:
        for path in paths:
            recording = open_recording(path)
            pipeline = Pipeline(engine, config, bundle.score_threshold, recording.camera)
            measure(recording, pipeline, options.frames, options.rounds)


@contextmanager
def bags(given: list[Path], frames: int) -> Iterator[list[Path]]:
    """The bags to measure; generated where none is given."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        drive, made = Path(folder) / "drive", []
        write_coco(GeneratedDrive(DriveConfig(width=1920, height=1080, num_frames=frames)), drive)
        for name, compressed in (("raw", False), ("jpeg", True)):
            made.append(make_bag(drive, Path(folder) / name, compressed=compressed))
        yield made


def measure(recording: Recording, pipeline: Pipeline, frames: int, rounds: int) -> None:
    """Measure one bag, both ways in turn."""
    items = list(itertools.islice(recording, frames))
    regions = [pipeline.prepare(frame).regions.copy() for frame in items]  # it uses its own again
    width, height = items[0].size
    pipeline(items[0])  # the first call is no measurement
    selection = first(recording, frames)
    alone, replayed = [], []
    for _ in range(rounds):
        alone.append(timed(lambda: engine_alone(pipeline.engine, regions), len(regions)))
        replayed.append(timed(lambda: replay(pipeline, recording, selection), len(regions)))
        print(f"  engine {said(alone[-1])}, replay {said(replayed[-1])}", flush=True)
    a, b = median(alone), median(replayed)
    print(
        f"{recording.path.name}: {width}x{height} px, {len(regions[0])} tile(s), {len(items)} "
        f"frames: engine {said(a)}, replay {said(b)} per frame: {b[0] / a[0] - 1:+.1%} of wall "
        f"time, {b[1] / a[1] - 1:+.1%} of CPU time",
        flush=True,
    )


def engine_alone(engine: Engine, regions: list) -> None:
    """The engine on regions in memory."""
    for some in regions:
        engine(some)


def first(recording: Recording, frames: int) -> ReplayConfig:
    """Selects the recording's first frames."""
    stamps = [item.stamp_ns for item in itertools.islice(recording.pending(), frames + 1)]
    return ReplayConfig(
        duration=(stamps[frames] - stamps[0]) / 1e9 if len(stamps) > frames else 0.0
    )


def replay(pipeline: Pipeline, recording: Recording, selection: ReplayConfig) -> None:
    """A replay of those frames."""
    camera = next(iter(recording.cameras))
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal", {}) as journal,
    ):
        run_offline(recording, {camera: pipeline}, selection, journal)


def timed(run: Callable[[], None], frames: int) -> tuple[float, float]:
    """Wall and CPU seconds per frame."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return (time.perf_counter() - wall) / frames, (time.process_time() - cpu) / frames


def median(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Of wall and of CPU seconds."""
    wall, cpu = zip(*times, strict=True)
    return statistics.median(wall), statistics.median(cpu)


def said(times: tuple[float, float]) -> str:
    """Both in ms."""
    return f"{times[0] * 1e3:.0f} ms ({times[1] * 1e3:.0f} of CPU)"


if __name__ == "__main__":
    main()
