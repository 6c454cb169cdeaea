"""What a replay costs beyond the engine: replays a bag and runs its frames from memory, in turn.

.venv/bin/python scripts/measure_replay.py BAG --frames 20 --rounds 3
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import EngineConfig, PipelineConfig, RegionConfig, ReplayConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.frames import Frame
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.recordings import Recording, open_recording
from tasksr_ros.replay.journal import Journal
from tasksr_ros.replay.offline import run_offline


def main() -> None:
    """Print seconds per frame of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--bundle", default="tdsr-ss-x4")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    recording = open_recording(options.recording)
    bundle = load_bundle(options.bundle)
    region = RegionConfig(left=0.42, right=0.58, top=0.46, bottom=0.54)  # of 1080p, one tile
    config = PipelineConfig(region, engine=EngineConfig(options.engine))
    engine = build_engine(bundle, config.engine)
    camera = next(iter(recording.cameras))
    pipeline = Pipeline(engine, config, bundle.score_threshold, recording.camera)
    frames = list(itertools.islice(recording, options.frames))
    pipeline(frames[0])
    print(f"{len(pipeline.tiles(frames[0].size))} tile(s) of {engine.region_size} px per frame")
    alone, replayed = [], []
    for _ in range(options.rounds):
        alone.append(in_memory(pipeline, frames))
        replayed.append(as_replay(pipeline, recording, camera, len(frames)))
        print(f"engine alone {alone[-1]:.3f} s, replay {replayed[-1]:.3f} s per frame")
    a, b = statistics.median(alone), statistics.median(replayed)
    print(
        f"{recording.path.name}: {frames[0].size[0]}x{frames[0].size[1]} px, {len(frames)} frames"
    )
    print(f"median: engine alone {a:.3f} s, replay {b:.3f} s per frame: {b / a - 1:+.1%}")


def in_memory(pipeline: Pipeline, frames: list[Frame]) -> float:
    """Seconds per frame of the pipeline on decoded frames."""
    start = time.perf_counter()
    for frame in frames:
        pipeline(frame)
    return (time.perf_counter() - start) / len(frames)


def as_replay(pipeline: Pipeline, recording: Recording, camera: str, frames: int) -> float:
    """Seconds per frame of a replay of the recording's first frames."""
    stamps = [item.stamp_ns for item in itertools.islice(recording.pending(), frames + 1)]
    duration = (stamps[frames] - stamps[0]) / 1e9 if len(stamps) > frames else 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal", {}) as journal,
    ):
        start = time.perf_counter()
        run_offline(recording, {camera: pipeline}, ReplayConfig(duration=duration), journal)
        return (time.perf_counter() - start) / len(journal.outcomes)


if __name__ == "__main__":
    main()
