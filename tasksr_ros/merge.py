"""One list of detections from those of overlapping tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import Detections


def merge(detections: Detections, nms_iou: float, max_detections: int) -> Detections:
    """Suppress the weaker of overlapping boxes of one class, strongest first.

    Args:
        detections: of one frame, boxes in one space, in any order.
        nms_iou: a box is dropped if its intersection over union with a stronger kept one is
            greater than this.
        max_detections: at most this many are kept.

    Returns:
        the kept detections, sorted by falling score and then by corners, so that the result
        does not depend on the order given.
    """
    x0, y0, x1, y1 = detections.xyxy.T
    order = np.lexsort((y1, x1, y0, x0, detections.class_id, -detections.score))
    kept: list[int] = []
    # Boxes of different classes never overlap once each class is moved to a place of its own.
    span = float(np.abs(detections.xyxy).max(initial=0)) * 2 + 1
    shifted = detections.xyxy.astype(np.float64) + (detections.class_id * span)[:, None]
    while len(order) and len(kept) < max_detections:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[iou(shifted[best], shifted[rest]) <= nms_iou]
    return detections.select(np.array(kept, np.intp))


def iou(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a (4,) box with (N, 4) boxes; 0 for empty boxes."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    intersection: NDArray[np.float64] = np.clip(high - low, 0, None).prod(1)
    union = _area(box[None]) + _area(boxes) - intersection
    shared = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return np.asarray(shared)


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1))
