"""A recording through the pipeline: annotated pictures and a predictions file, without ROS."""

from __future__ import annotations

import itertools
import json
import logging
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from tasksr_ros.blur import Blur, summary
from tasksr_ros.config import PipelineConfig
from tasksr_ros.errors import ConfigError, ImageError, RecordingError
from tasksr_ros.io.annotate import draw, draw_blur
from tasksr_ros.io.frames import Frame, to_bgr
from tasksr_ros.io.predictions import coco_results
from tasksr_ros.io.recording import Pending, Readable, Recording, length, make_folder
from tasksr_ros.io.video_writer import VideoWriter, fitted, frame_rate
from tasksr_ros.model import load_model
from tasksr_ros.pipeline import Pipeline, Result

logger = logging.getLogger(__name__)

_RATE_FRAMES = 10
_HEIGHTS_PX = (20, 32, 60)
PREDICTIONS, VIDEO, PICTURE = "predictions.json", "annotated.mp4", "annotated.png"


def detect(recording: Recording, bundle: str, config: PipelineConfig, out: Path) -> None:
    """Detect in every frame; write predictions.json and annotated.mp4 (.png for one frame).

    Predictions are COCO results: image_id (the frame's number from 1), category_id, bbox (x, y,
    width, height in image px), score, stamp_ns. The video has the size of the first frame; frames
    of other sizes are scaled into it. Frames that cannot be read are left out, as in a replay.
    What was found before an error or an interruption is written all the same.

    Raises:
        TaskSRError: if the bundle, the engine, the region or the recording does not serve.
    """
    make_folder(out)
    total = length(recording)
    picture = PICTURE if total == 1 else VIDEO
    pipeline = load_model(bundle, config.engine, config.near).pipeline(config, recording.camera)
    _tell_replaced(out, picture)
    predictions: list[dict[str, Any]] = []
    blurs: list[Blur] = []
    frames = Readable(recording, lambda item: _looked_at(item, pipeline))
    with ExitStack() as stack:
        stack.callback(lambda: _write_json(out / PREDICTIONS, predictions, frames.read))
        bar = stack.enter_context(tqdm(frames, total=total, unit="frame"))
        video: VideoWriter | None = None
        for frame, result in bar:
            ranges = result.ranges
            known = () if ranges is None else (ranges.depth, ranges.deviation)
            predictions += coco_results(result.detections, frames.count, frame.stamp_ns, *known)
            image = draw(to_bgr(frame), result.detections, [tile.rect for tile in result.tiles])
            draw_blur(image, result.blur)
            if result.blur is not None:
                blurs.append(result.blur.frame)
            if total == 1:
                cv2.imwrite(str(out / PICTURE), image)
                continue
            if video is None:
                fps = _frame_rate(recording)
                video = stack.enter_context(VideoWriter(out / VIDEO, fps, frame.size))
            video.write(fitted(image, video.size))
    pipeline.samples.conclude()
    frames.tell()
    logger.info(
        "%d frames, %d detections%s: %s, %s in %s",
        *(frames.read, len(predictions), by_height(predictions), picture, PREDICTIONS, out),
    )
    if blurs:
        logger.info("blur: %s", summary(blurs))


def _looked_at(item: Pending, pipeline: Pipeline) -> tuple[Frame, Result]:
    """A frame and what is found in it; one that the region does not fit is unreadable."""
    frame = item.load()
    try:
        return frame, pipeline.run(frame)
    except ConfigError as error:
        raise ImageError(str(error)) from error


def by_height(predictions: list[dict[str, Any]]) -> str:
    """How many are how high: where one bundle sees further than another shows here first."""
    if not predictions:
        return ""
    bins = np.searchsorted(_HEIGHTS_PX, [p["bbox"][3] for p in predictions], side="right")
    small, *between, large = np.bincount(bins, minlength=len(_HEIGHTS_PX) + 1)
    limits = zip(itertools.pairwise(_HEIGHTS_PX), between, strict=True)
    parts = [f"{count} of {low}-{high}" for (low, high), count in limits]
    first, last = _HEIGHTS_PX[0], _HEIGHTS_PX[-1]
    return f" ({small} below {first} px, {', '.join(parts)}, {large} of {last} and more)"


def _tell_replaced(out: Path, picture: str) -> None:
    there = [name for name in (PREDICTIONS, picture) if (out / name).exists()]
    if there:
        logger.warning("%s of an earlier run in %s: replaced", ", ".join(there), out)


def _write_json(path: Path, values: list[dict[str, Any]], frames: int) -> None:
    """Write what was found in so many frames; of none, an earlier file stays."""
    if frames:
        path.write_text(json.dumps(values), encoding="utf-8")


def _frame_rate(recording: Recording) -> float:
    """Of the recording's first frames."""
    stamps: list[int] = []
    with suppress(RecordingError):  # whoever reads that far is told
        for item in itertools.islice(recording.pending(), _RATE_FRAMES):
            stamps.append(item.stamp_ns)
    return frame_rate(stamps)
