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
    # Boxes of different classes never overlap once each class is moved to a place of its own.
    span = float(np.abs(detections.xyxy).max(initial=0)) * 2 + 1
    boxes = detections.xyxy.astype(np.float64) + (detections.class_id * span)[:, None]
    index = order[_kept(boxes[order], cut[order], nms_iou)]
    strongest = np.lexsort([key[index] for key in by_score])[:max_detections]
    return detections.select(index[strongest])


def _kept(boxes: NDArray[np.float64], cut: NDArray[np.bool_], nms_iou: float) -> NDArray[np.bool_]:
    """(N,) which of the (N, 4) boxes overlap no kept one before them."""
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.T)
    area = _area(boxes)
    kept = np.ones(len(boxes), bool)
    for k in range(len(boxes)):
        if not kept[k]:
            continue
        rest = slice(k + 1, None)
        width = np.minimum(x1[k], x1[rest]) - np.maximum(x0[k], x0[rest])
        height = np.minimum(y1[k], y1[rest]) - np.maximum(y0[k], y0[rest])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = area[k] + area[rest] - shared
        smaller = np.minimum(area[k], area[rest])
        kept[rest] &= shared <= nms_iou * np.where(cut[k] | cut[rest], smaller, union)
    return kept


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1))
