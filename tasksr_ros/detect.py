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
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.annotate import VideoWriter, draw
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import PipelineConfig
from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.engines import build_engine
from tasksr_ros.errors import TaskSRError
from tasksr_ros.frames import to_bgr
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.recordings import FALLBACK_FPS, Recording, length, make_folder

logger = logging.getLogger(__name__)


def detect(recording: Recording, bundle: str, config: PipelineConfig, out: Path) -> None:
    """Detect in every frame; write predictions.json and annotated.mp4 (.png for one frame).

    Predictions are COCO results: image_id (the frame's number from 1), category_id, bbox (x, y,
    width, height in image px), score, stamp_ns. The video has the size of the first frame; frames
    of other sizes are scaled into it. What was found before an error is written all the same.

    Raises:
        TaskSRError: if the bundle, the engine, the region or the recording does not serve.
    """
    model = load_bundle(bundle)
    engine = build_engine(model, config.engine)
    pipeline = Pipeline(engine, config, model.score_threshold, recording.camera)
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
                fps = frames_per_second(recording)
                video = stack.enter_context(VideoWriter(out / "annotated.mp4", fps, frame.size))
            video.write(fitted(image, video.size))
    logger.info("%d frames, %d detections, in %s", number, len(predictions), out)


def _write_json(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def coco_results(
    detections: Detections, image_id: int | str, stamp_ns: int
) -> list[dict[str, Any]]:
    """COCO results of one image; categories count from 1, ``track_id`` where there is one."""
    sizes: NDArray[np.float32] = detections.xyxy[:, 2:] - detections.xyxy[:, :2]
    found = []
    for k, (corners, size) in enumerate(zip(detections.xyxy, sizes, strict=True)):
        entry = {
            "image_id": image_id,
            "category_id": int(detections.class_id[k]) + 1,
            "bbox": [round(float(value), 3) for value in (*corners[:2], *size)],
            "score": round(float(detections.score[k]), 5),
            "stamp_ns": stamp_ns,
        }
        if detections.track_id[k] != NO_TRACK:
            entry["track_id"] = int(detections.track_id[k])
        found.append(entry)
    return found


def frames_per_second(recording: Recording) -> float:
    """Of the recording's first seconds, by its stamps; at least 1, at most 60."""
    stamps: list[int] = []
    with suppress(TaskSRError):  # whoever reads that far is told
        for frame in itertools.islice(recording, 10):
            stamps.append(frame.stamp_ns)
    periods = np.diff(stamps)
    period = float(np.median(periods)) / 1e9 if len(periods) else 0.0
    return min(60.0, max(1.0, 1 / period)) if period > 0 else FALLBACK_FPS


def fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image in a video's size: scaled as far as it fits, in the middle of black borders.

    Args:
        image: (H, W, 3) uint8; returned as it is where it has that size.
        size: (width, height) of the video, px.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(scale * width)), max(1, round(scale * height))
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[y : y + inner[1], x : x + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA
    )
    return canvas
