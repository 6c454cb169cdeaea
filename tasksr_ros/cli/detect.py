"""A recording through the pipeline: annotated pictures and a predictions file, without ROS."""

from __future__ import annotations

import itertools
import json
import logging
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from tasksr_ros.config import PipelineConfig
from tasksr_ros.errors import TaskSRError
from tasksr_ros.io.annotate import draw
from tasksr_ros.io.frames import to_bgr
from tasksr_ros.io.predictions import coco_results
from tasksr_ros.io.recording import Recording, length, make_folder
from tasksr_ros.io.video_writer import VideoWriter, fitted, frame_rate
from tasksr_ros.model import load_model

logger = logging.getLogger(__name__)


def detect(recording: Recording, bundle: str, config: PipelineConfig, out: Path) -> None:
    """Detect in every frame; write predictions.json and annotated.mp4 (.png for one frame).

    Predictions are COCO results: image_id (the frame's number from 1), category_id, bbox (x, y,
    width, height in image px), score, stamp_ns. The video has the size of the first frame; frames
    of other sizes are scaled into it. What was found before an error is written all the same.

    Raises:
        TaskSRError: if the bundle, the engine, the region or the recording does not serve.
    """
    pipeline = load_model(bundle, config.engine, config.near).pipeline(config, recording.camera)
    make_folder(out)
    predictions: list[dict[str, Any]] = []
    number = 0
    total = length(recording)
    with ExitStack() as stack:
        stack.callback(_write_json, out / "predictions.json", predictions)
        bar = stack.enter_context(tqdm(recording, total=total, unit="frame"))
        video: VideoWriter | None = None
        for number, frame in enumerate(bar, 1):
            result = pipeline.run(frame)
            predictions += coco_results(result.detections, number, frame.stamp_ns)
            image = draw(to_bgr(frame), result.detections, [tile.rect for tile in result.tiles])
            if total == 1:
                cv2.imwrite(str(out / "annotated.png"), image)
                continue
            if video is None:
                fps = _frame_rate(recording)
                video = stack.enter_context(VideoWriter(out / "annotated.mp4", fps, frame.size))
            video.write(fitted(image, video.size))
    picture = "annotated.png" if total == 1 else "annotated.mp4"
    logger.info(
        "%d frames, %d detections: %s, predictions.json in %s",
        *(number, len(predictions), picture, out),
    )


def _write_json(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def _frame_rate(recording: Recording) -> float:
    """Of the recording's first frames."""
    stamps: list[int] = []
    with suppress(TaskSRError):  # whoever reads that far is told
        for frame in itertools.islice(recording, 10):
            stamps.append(frame.stamp_ns)
    return frame_rate(stamps)
