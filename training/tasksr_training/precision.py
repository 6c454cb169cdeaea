"""Detections of the OpenVINO engine in several precisions, for ``tasksr evaluate``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import SIZE_MULTIPLE, EngineConfig
from tasksr_ros.detections import Detections
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.merge import merge
from tasksr_training.coco import LabelledImage, read_set
from tasksr_training.degradations import downscale
from tasksr_training.detect import DetectConfig, to_pixels, to_tensor


def precision_predictions(
    data: Path,
    out: Path,
    bundle: str = "tdsr-ss-x4",
    name: str = "camvid/val.json",
    calibration: str = "",
    precisions: Sequence[str] = ("fp32", "bf16", "int8"),
    threads: int = 0,
) -> None:
    """Run the OpenVINO engine in several precisions on images that are reduced bicubically.

    Writes a predictions file for each, in px of the images as they are, so that ``tasksr evaluate
    --ground-truth DATA/NAME --predictions OUT/*.json`` says what a precision costs.

    Args:
        data: folder that the image set's path starts from.
        out: folder for the predictions and the engines' models.
        bundle: name or folder.
        name: COCO JSON file relative to the data folder.
        calibration: images, video or bag for int8.
        precisions: of the engine.
        threads: CPU threads; 0: all.
    """
    images = read_set(data, name)
    out.mkdir(parents=True, exist_ok=True)
    for precision in precisions:
        config = EngineConfig(
            name="openvino",
            threads=threads,
            cache_dir=str(out / "engines"),
            precision=precision,  # type: ignore[arg-type]
            calibration=calibration,
        )
        found = _detect_all(bundle, config, images)
        (out / f"{precision}.json").write_text(json.dumps(found))


def _detect_all(
    bundle_name: str, config: EngineConfig, images: Sequence[LabelledImage]
) -> list[dict[str, Any]]:
    """COCO results; one engine for each size of image."""
    bundle = load_bundle(bundle_name)
    engines: dict[tuple[int, int], Engine] = {}
    results = []
    for image in tqdm(images, desc=config.precision, mininterval=5):
        lr = _reduced(image.image, bundle.scale_factor)
        size = lr.shape[1], lr.shape[0]
        if size not in engines:
            engines[size] = build_engine(replace(bundle, region_size=size), config)
        boxes, scores = engines[size](lr[None])
        results += _as_coco(_kept(boxes[0], scores[0], image), image.image_id)
    return results


def _reduced(image: NDArray[np.uint8], scale_factor: int) -> NDArray[np.uint8]:
    """The LR image, of the HR image padded by its edge to a size that the detector takes."""
    height, width = image.shape[:2]
    padding = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
    return to_pixels(downscale(F.pad(to_tensor(image), padding, mode="replicate"), scale_factor))


def _kept(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], image: LabelledImage
) -> Detections:
    config = DetectConfig()
    strong = scores >= config.min_score
    height, width = image.image.shape[:2]
    xyxy = boxes[strong].clip(0, [width, height, width, height])
    found = Detections.from_arrays(xyxy, scores[strong])
    return merge(found, np.zeros(len(found), bool), config.nms_iou, config.max_detections)


def _as_coco(found: Detections, image_id: int) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
        }
        for (x0, y0, x1, y1), score in zip(found.xyxy.tolist(), found.score.tolist(), strict=True)
    ]
