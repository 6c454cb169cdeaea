"""Pictures of the systems side by side, the images chosen by rule from their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.metrics import match_image
from tasksr_training.coco import LabelledImage
from tasksr_training.detect import HR, DetectConfig, ImageResult, detect_image
from tasksr_training.study.systems import System

FOUND, FALSE, MISSED = (0, 220, 0), (255, 140, 0), (230, 0, 0)
"""RGB of boxes: a detection that is right, one that is wrong, a pedestrian not found."""

ZOOM = 3


def choose(
    images: Sequence[LabelledImage],
    better: Mapping[int, int],
    worse: Mapping[int, int],
) -> dict[str, LabelledImage]:
    """Images with the largest gain, the largest loss and the median difference.

    Args:
        images: candidates; ties are decided by their order.
        better: pedestrians found per image id by the system in question.
        worse: the same by the system to compare with.
    """
    ranked = sorted(images, key=lambda i: better[i.image_id] - worse[i.image_id], reverse=True)
    return {"gain": ranked[0], "loss": ranked[-1], "median": ranked[len(ranked) // 2]}


def found_per_image(
    images: Sequence[LabelledImage],
    detections: Sequence[Mapping[str, Any]],
    threshold: float,
    heights: tuple[float, float],
) -> dict[int, int]:
    """Pedestrians of ``heights`` (HR px) found less false positives, per image id."""
    low, high = heights
    counts = {}
    for image in images:
        mine = [
            d for d in detections if d["image_id"] == image.image_id and d["score"] >= threshold
        ]
        boxes = np.array([d["bbox"] for d in mine], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        scores = np.array([d["score"] for d in mine], float)
        outcome, found_at = match_image(boxes, scores, image.boxes, image.ignore, 0.5)
        height = image.boxes[:, 3] - image.boxes[:, 1]
        distant = (height >= low) & (height < high)
        counts[image.image_id] = int((np.isfinite(found_at) & distant).sum()) - int(
            (outcome == 0).sum()
        )
    return counts


def panel(
    systems: Sequence[System],
    image: LabelledImage,
    thresholds: Mapping[str, float],
    scale_factor: int,
) -> NDArray[np.uint8]:
    """The part of an image with its distant pedestrians, a row per system, captions above."""
    x0, y0, x1, y1 = window(image)
    rows = []
    for system in systems:
        factor = HR if system.sr is None else scale_factor
        result = detect_image(image, system.sr, system.detector, factor, DetectConfig())
        picture = marked(result, image, thresholds[system.name])[
            ZOOM * y0 : ZOOM * y1, ZOOM * x0 : ZOOM * x1
        ]
        quality = f", PSNR-Y {result.psnr_y:.2f} dB" if np.isfinite(result.psnr_y) else ""
        caption = np.full((26, picture.shape[1], 3), 255, np.uint8)
        cv2.putText(
            caption,
            system.name + quality,
            (6, 19),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.55,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
        rows += [caption, picture]
    return np.concatenate(rows)


def window(image: LabelledImage) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a 320x112 px part around the median of the counting pedestrians."""
    height, width = image.image.shape[:2]
    boxes = image.boxes[~image.ignore]
    middle = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0) if len(boxes) else None
    x, y = (width / 2, height / 2) if middle is None else middle
    x0 = int(np.clip(x - 160, 0, max(0, width - 320)))
    y0 = int(np.clip(y - 56, 0, max(0, height - 112)))
    return x0, y0, min(width, x0 + 320), min(height, y0 + 112)


def marked(result: ImageResult, image: LabelledImage, threshold: float) -> NDArray[np.uint8]:
    """The image a detector saw, enlarged ``ZOOM`` times, with its boxes and what it missed."""
    canvas = np.repeat(np.repeat(result.seen, ZOOM, 0), ZOOM, 1)
    detections = result.detections.select(result.detections.score >= threshold)
    outcome, found_at = match_image(
        detections.xyxy, detections.score, image.boxes, image.ignore, 0.5
    )
    missed = image.boxes[~image.ignore & np.isneginf(found_at)]
    for boxes, colour in (
        (missed, MISSED),
        (detections.xyxy[outcome == 0], FALSE),
        (detections.xyxy[outcome == 1], FOUND),
    ):
        for x0, y0, x1, y1 in (boxes * ZOOM).round().astype(int).tolist():
            cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 2)
    return canvas
