"""Places without people that look like people: where a detector erred, or upright edges.

Where the predictions of a detector are given, hard places are its false positives, drawn in
proportion to their scores. Elsewhere they are windows of the shape of a pedestrian, in the rows
where the set has pedestrians and clear of every box, drawn in proportion to the square of their
mean horizontal gradient: poles, trunks, fences, door frames, rails.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_ros.evaluation.metrics import match_image
from tasksr_training.coco import LabelledImage
from tasksr_training.errors import TrainingDataError, plain

Boxes = NDArray[np.float32]

CELL = 32
"""px; a window is one cell wide and two cells high, and starts at any cell."""
LEAST_SCORE = 0.05
"""Predictions below are no false positives worth seeing."""
IOU = 0.3
"""A prediction that overlaps a pedestrian this much is a poor box, not a wrong one."""


class HardBackgrounds:
    """The hard places of a set of images."""

    def __init__(self, images: Sequence[LabelledImage]) -> None:
        rows = pedestrian_rows(images)
        found = [(i, *hard_places(image, rows)) for i, image in enumerate(images)]
        self._image = np.concatenate(
            [np.zeros(0, int), *(np.full(len(boxes), i) for i, boxes, _ in found)]
        )
        self._boxes = np.concatenate([np.zeros((0, 4), np.float32), *(b for _, b, _ in found)])
        self._sum = np.cumsum(np.concatenate([np.zeros(0), *(w for _, _, w in found)]))

    def __len__(self) -> int:
        return len(self._boxes)

    def draw(self, rng: np.random.Generator) -> tuple[int, Boxes]:
        """Index of an image and a (4,) box x0, y0, x1, y1 in it, image px."""
        at = int(np.searchsorted(self._sum, rng.random() * self._sum[-1], side="right"))
        at = min(at, len(self._boxes) - 1)
        return int(self._image[at]), self._boxes[at]


def hard_places(
    image: LabelledImage, rows: tuple[float, float]
) -> tuple[Boxes, NDArray[np.float64]]:
    """(K, 4) boxes and (K,) weights: known false positives, else windows with upright edges."""
    if image.false_positives is not None:
        return image.false_positives[:, :4], image.false_positives[:, 4].astype(np.float64)
    grey = cv2.cvtColor(image.image, cv2.COLOR_RGB2GRAY)
    edges = cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, 1, 0))
    across, down = grey.shape[1] // CELL, grey.shape[0] // CELL
    if across == 0 or down < 2:
        return np.zeros((0, 4), np.float32), np.zeros(0)
    cells = edges[: down * CELL, : across * CELL].reshape(down, CELL, across, CELL).mean((1, 3))
    y, x = np.mgrid[0 : down - 1, 0:across].reshape(2, -1) * CELL
    boxes = np.stack([x, y, x + CELL, y + 2 * CELL], 1).astype(np.float32)
    weights = ((cells[:-1] + cells[1:]) / 2).reshape(-1).astype(np.float64) ** 2
    middle = (boxes[:, 1] + boxes[:, 3]) / 2 / grey.shape[0]
    kept = (middle >= rows[0]) & (middle <= rows[1]) & ~overlaps(boxes, image.boxes) & (weights > 0)
    return boxes[kept], weights[kept]


def pedestrian_rows(images: Sequence[LabelledImage]) -> tuple[float, float]:
    """Top and bottom of where the pedestrians that count are, as shares of the image's height."""
    tops = [image.boxes[~image.ignore, 1] / image.image.shape[0] for image in images]
    bottoms = [image.boxes[~image.ignore, 3] / image.image.shape[0] for image in images]
    if sum(map(len, tops)) == 0:
        return 0.0, 1.0
    return float(np.concatenate(tops).min()), float(np.concatenate(bottoms).max())


def overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """(K,) whether each of (K, 4) boxes touches any of (M, 4) others."""
    a, b = boxes[:, None], others[None]
    apart = (
        (a[..., 0] >= b[..., 2])
        | (a[..., 2] <= b[..., 0])
        | (a[..., 1] >= b[..., 3])
        | (a[..., 3] <= b[..., 1])
    )
    return np.asarray((~apart).any(1))


def with_false_positives(images: Sequence[LabelledImage], path: Path) -> list[LabelledImage]:
    """Images with the false positives of a detector on them.

    Args:
        images: of one annotation file.
        path: predictions, a list of COCO results or ``detections`` of such, with ``image_id``,
            ``bbox`` and ``score``, in px of these images.

    Raises:
        TrainingDataError: when the file is missing or of another form, or when it has predictions
            on none of the images.
    """
    try:
        content = json.loads(path.read_bytes())
        detections = content["detections"] if isinstance(content, dict) else content
        rows: dict[ImageId | None, list[tuple[float, ...]]] = {}
        for d in detections:
            x, y, w, h = d["bbox"]
            if d["score"] >= LEAST_SCORE and w > 0 and h > 0:
                rows.setdefault(checked_id(d["image_id"]), []).append(
                    (x, y, x + w, y + h, d["score"])
                )
    except FileNotFoundError:
        raise TrainingDataError(f"{path}: expected predictions, there is no such file") from None
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingDataError(f"{path}: expected COCO results, got {plain(error)}") from error
    if not any(image.image_id in rows for image in images):
        raise TrainingDataError(f"{path}: expected predictions on these images, found none")
    return [
        replace(image, false_positives=_false(image, rows.get(image.image_id, [])))
        for image in images
    ]


def _false(image: LabelledImage, rows: Sequence[tuple[float, ...]]) -> Boxes:
    table = np.array(rows, np.float32).reshape(-1, 5)
    table = table[np.argsort(-table[:, 4], kind="stable")]
    outcome, _ = match_image(table[:, :4], table[:, 4], image.boxes, image.ignore, IOU)
    return np.asarray(table[outcome == 0], np.float32)
