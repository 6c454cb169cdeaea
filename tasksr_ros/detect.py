"""A recording through the pipeline: annotated pictures and a predictions file, without ROS."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.annotate import VideoWriter, draw
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import PipelineConfig
from tasksr_ros.detections import Detections
from tasksr_ros.engines import build_engine
from tasksr_ros.errors import RecordingError
from tasksr_ros.frames import to_bgr
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.recordings import FALLBACK_FPS, Recording

logger = logging.getLogger(__name__)


def detect(recording: Recording, bundle: str, config: PipelineConfig, out: Path) -> None:
    """Detect in every frame; write predictions.json and annotated.mp4 (.png for one frame).

    Predictions are COCO results: image_id (the frame's number from 1), category_id, bbox (x, y,
    width, height in image px), score, stamp_ns.

    Raises:
        TaskSRError: if the bundle, the engine, the region or the recording does not serve.
    """
    model = load_bundle(bundle)
    engine = build_engine(model, config.engine)
    pipeline = Pipeline(engine, config, model.score_threshold, recording.camera)
    make_folder(out)
    predictions: list[dict[str, Any]] = []
    video: VideoWriter | None = None
    number = 0
    total = length(recording)
    for number, frame in enumerate(tqdm(recording, total=total, unit="frame"), 1):
        result = pipeline.run(frame)
        predictions += coco_results(result.detections, number, frame.stamp_ns)
        image = draw(to_bgr(frame), result.detections, [tile.rect for tile in result.tiles])
        if total == 1:
            cv2.imwrite(str(out / "annotated.png"), image)
            continue
        video = video or VideoWriter(
            out / "annotated.mp4", frames_per_second(recording), frame.size
        )
        video.write(image)
    if video is not None:
        video.close()
    (out / "predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
    logger.info("%d frames, %d detections, in %s", number, len(predictions), out)


def coco_results(detections: Detections, image_id: int, stamp_ns: int) -> list[dict[str, Any]]:
    """COCO results of one image; categories count from 1."""
    sizes: NDArray[np.float32] = detections.xyxy[:, 2:] - detections.xyxy[:, :2]
    return [
        {
            "image_id": image_id,
            "category_id": int(class_id) + 1,
            "bbox": [round(float(value), 3) for value in (*corners[:2], *size)],
            "score": round(float(score), 5),
            "stamp_ns": stamp_ns,
        }
        for corners, size, score, class_id in zip(
            detections.xyxy, sizes, detections.score, detections.class_id, strict=True
        )
    ]


def make_folder(path: Path) -> None:
    """Make an output folder.

    Raises:
        RecordingError: if that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"cannot write to {path}: {error.strerror}") from None


def frames_per_second(recording: Recording) -> float:
    """Of the recording's first seconds, by its stamps; at least 1, at most 60."""
    stamps = [frame.stamp_ns for frame in itertools.islice(recording, 10)]
    periods = np.diff(stamps)
    period = float(np.median(periods)) / 1e9 if len(periods) else 0.0
    return min(60.0, max(1.0, 1 / period)) if period > 0 else FALLBACK_FPS


def length(recording: Recording) -> int | None:
    """Number of frames, None where it is not known."""
    try:
        return len(recording)
    except TypeError:
        return None
