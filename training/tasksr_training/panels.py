"""Pictures of the systems side by side, the images chosen by rule from their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.ids import ImageId
from tasksr_ros.evaluation.metrics import match_image
from tasksr_training.coco import LabelledImage
from tasksr_training.detect import DetectConfig, ImageResult, System, detect_image

FOUND, FALSE, MISSED = (0, 220, 0), (255, 140, 0), (230, 0, 0)
"""RGB of boxes: a detection that is right, one that is wrong, a pedestrian not found."""

WINDOW = (80, 28)
"""Width and height of a panel, LR px."""

ZOOM = 12
"""Pixels of a panel per LR px."""


def choose(
    images: Sequence[LabelledImage],
    better: Mapping[ImageId, int],
    worse: Mapping[ImageId, int],
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
) -> dict[ImageId, int]:
    """Pedestrians of ``heights`` (HR px) found less false positives, per image id."""
    low, high = heights
    counts: dict[ImageId, int] = {}
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
    heights: tuple[float, float],
) -> NDArray[np.uint8]:
    """The part of an image with most of its distant pedestrians, a row per system, captions above.

    Args:
        systems: from top to bottom.
        image: of which they see a part.
        thresholds: least score of what is drawn, by the systems' names.
        scale_factor: how many times smaller LR is.
        heights: of distant pedestrians, HR px.
    """
    x0, y0, x1, y1 = window(image, scale_factor, heights)
    zoom = max(1, ZOOM // scale_factor)
    rows = []
    for system in systems:
        result = detect_image(image, system.sr, system.detector, system.reduced_by, DetectConfig())
        picture = marked(result, image, thresholds[system.name], zoom)[
            zoom * y0 : zoom * y1, zoom * x0 : zoom * x1
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


def window(
    image: LabelledImage, scale_factor: int, heights: tuple[float, float]
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the part of ``WINDOW`` that holds most of the distant pedestrians.

    Around the middle of two of them, or of all where several parts hold as many; of the other
    pedestrians where none is distant.
    """
    size = np.array(image.image.shape[1::-1])
    part = np.minimum(np.array(WINDOW) * scale_factor, size)
    boxes = _distant(image, heights)
    if not len(boxes):
        boxes = image.boxes[~image.ignore]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2 if len(boxes) else size[None] / 2
    around = ((middles[:, None] + middles[None]) / 2).reshape(-1, 2)
    corners = np.clip(around - part / 2, 0, size - part).astype(int)
    held = (boxes[None, :, :2] >= corners[:, None]) & (
        boxes[None, :, 2:] <= corners[:, None] + part
    )
    off = np.square(around - middles.mean(0)).sum(1)
    x0, y0 = corners[np.lexsort((off, -held.all(-1).sum(1)))[0]].tolist()
    return x0, y0, x0 + int(part[0]), y0 + int(part[1])


def _distant(image: LabelledImage, heights: tuple[float, float]) -> NDArray[np.float32]:
    height = image.boxes[:, 3] - image.boxes[:, 1]
    return image.boxes[~image.ignore & (height >= heights[0]) & (height < heights[1])]


def marked(
    result: ImageResult, image: LabelledImage, threshold: float, zoom: int
) -> NDArray[np.uint8]:
    """The image a detector saw, enlarged ``zoom`` times, with its boxes and what it missed."""
    canvas = np.repeat(np.repeat(result.seen, zoom, 0), zoom, 1)
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
        for x0, y0, x1, y1 in (boxes * zoom).round().astype(int).tolist():
            cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 2)
    return canvas
