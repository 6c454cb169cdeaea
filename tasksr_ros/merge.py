"""One list of detections from those of overlapping tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import Detections

CANDIDATES = 10
"""Boxes that are looked at, the strongest, for each detection that may be kept."""


def merge(
    detections: Detections, cut: NDArray[np.bool_], nms_iou: float, max_detections: int
) -> Detections:
    """Suppress the weaker of overlapping boxes of one class.

    Two boxes overlap by their intersection over union; where one of them is cut by the side of
    its tile, by the intersection over the smaller box, since it may be a part of the other. Whole
    boxes go before cut ones; whole ones by score, cut ones by score times area.

    Args:
        detections: of one frame, boxes in one space, in any order.
        cut: (N,) which boxes are cut by the side of their tile.
        nms_iou: a box is dropped if it overlaps more than this with a kept one.
        max_detections: at most this many are kept.

    Returns:
        the kept detections, sorted by falling score and then by corners, so that the result
        does not depend on the order given.
    """
    x0, y0, x1, y1 = detections.xyxy.T
    by_score = (y1, x1, y0, x0, detections.class_id, -detections.score)
    order = np.lexsort(by_score)[: CANDIDATES * max_detections]
    seen = np.where(cut, detections.score * _area(detections.xyxy.astype(np.float64)), np.inf)
    order = order[np.argsort(-seen[order], kind="stable")]
    kept: list[int] = []
    # Boxes of different classes never overlap once each class is moved to a place of its own.
    span = float(np.abs(detections.xyxy).max(initial=0)) * 2 + 1
    boxes = detections.xyxy.astype(np.float64) + (detections.class_id * span)[:, None]
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        shared, own, others = _overlap(boxes[best], boxes[rest])
        whole = _ratio(shared, own + others - shared)
        part = _ratio(shared, np.minimum(own, others))
        order = rest[np.where(cut[best] | cut[rest], part, whole) <= nms_iou]
    index = np.array(kept, np.intp)
    strongest = np.lexsort([key[index] for key in by_score])[:max_detections]
    return detections.select(index[strongest])


def _overlap(
    box: NDArray[np.float64], boxes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Areas of the intersections of a (4,) box with (N, 4) boxes, of the box, of the boxes."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(1)), _area(box[None]), _area(boxes)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part / whole, 0 where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1))
