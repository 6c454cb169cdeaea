"""Every frame of a recording through the pipeline, in order."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from tasksr_ros import blur
from tasksr_ros.config import ReplayConfig
from tasksr_ros.errors import ConfigError, ImageError, RecordingError
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import Recording, length
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.replay.journal import Journal
from tasksr_ros.replay.outcome import Outcome
from tasksr_ros.replay.read_ahead import Loaded, read_ahead, selected

logger = logging.getLogger(__name__)


def run_offline(
    recording: Recording, pipelines: Mapping[str, Pipeline], config: ReplayConfig, journal: Journal
) -> None:
    """Process the frames that the journal lacks, and finish it.

    Args:
        recording: to read.
        pipelines: by camera.
        config: which frames.
        journal: gets an outcome for each frame; unreadable ones count as well.

    Raises:
        EngineError: if the engine fails; the journal keeps what was done.
    """
    begun = time.perf_counter()
    already = len(journal.outcomes)
    missing = itertools.islice(selected(recording, config), already, None)
    warnings: list[str] = []
    busy = 0.0
    with (
        read_ahead(missing) as frames,
        tqdm(total=expected(recording, config), initial=already, unit="frame") as bar,
    ):
        try:
            for loaded in frames:
                outcome = _outcome(loaded, pipelines)
                journal.append(outcome)
                busy += outcome.latency_ms.get("total", 0.0) - outcome.latency_ms.get("decode", 0.0)
                bar.update()
        except RecordingError as error:  # what was read before it stands in the journal
            warnings.append(str(error))
        except KeyboardInterrupt:
            count = len(journal.outcomes)
            logger.info("%d frames are done: the same command goes on after them", count)
            raise
    for pipeline in pipelines.values():
        pipeline.samples.conclude()
    wall = time.perf_counter() - begun
    done = len(journal.outcomes) - already
    journal.finish(
        {
            "warnings": warnings + _missing_frames(recording, config, len(journal.outcomes)),
            "frames_per_second": done / wall if done else 0.0,
            "wall_s": wall,
            "pipeline_s": busy / 1e3,
        }
    )


def _outcome(loaded: Loaded, pipelines: Mapping[str, Pipeline]) -> Outcome:
    item, frame = loaded.pending, loaded.image
    place: dict[str, Any] = {"camera": item.camera, "index": item.index, "name": item.name}
    if not isinstance(frame, Frame):
        return Outcome(**place, stamp_ns=item.stamp_ns, error=loaded.error)
    try:
        result = pipelines[item.camera].run(frame)
    except (ConfigError, ImageError) as error:
        return Outcome(**place, stamp_ns=item.stamp_ns, size=frame.size, error=str(error))
    latency_ms = dict(result.latency_ms)
    latency_ms["decode"] += loaded.decode_ms  # most of it was done ahead
    latency_ms["total"] = sum(latency_ms.values())
    outcome = Outcome(
        **place,
        stamp_ns=frame.stamp_ns,
        size=frame.size,
        detections=result.detections,
        latency_ms=latency_ms,
        blur={} if result.blur is None else blur.to_json(result.blur, result.tiles),
    )
    ranges = result.ranges
    if ranges is None:
        return outcome
    return replace(outcome, depth_m=ranges.depth, deviation_m=ranges.deviation)


def expected(recording: Recording, config: ReplayConfig) -> int | None:
    """About how many frames will be processed, None where nothing tells."""
    total = length(recording)
    if total is None:
        return None
    span = recording.duration_s
    if config.start or config.duration:
        if not span:
            return None
        seconds = min(config.duration or span, max(0.0, span - config.start))
        total = min(total, round(total * seconds / span) + 1)
    return -(-total // config.every)


def _missing_frames(recording: Recording, config: ReplayConfig, done: int) -> list[str]:
    """Say so if a recording that is read to its end has fewer frames than it states."""
    stated = length(recording)
    if stated is None or config.every > 1 or config.start or config.duration or done >= stated:
        return []
    return [f"{recording.path} states {stated} frames, {done} were there"]
