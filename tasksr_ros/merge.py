"""One list of detections from those of overlapping tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import Detections

CANDIDATES = 10
"""Boxes that are looked at, the strongest, for each detection that may be kept."""
_TOGETHER = 32
"""Boxes that are held against all after them in one go."""


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
    kept = np.ones(len(boxes), bool)
    left = np.arange(len(boxes))
    while len(left):
        for k, row in enumerate(_apart(boxes[left], cut[left], nms_iou)):
            if kept[left[k]]:
                kept[left[k + 1 :]] &= row[k + 1 :]
        left = left[_TOGETHER:]
        left = left[kept[left]]
    return kept


def _apart(boxes: NDArray[np.float64], cut: NDArray[np.bool_], nms_iou: float) -> NDArray[np.bool_]:
    """(M, N) which of the boxes do not overlap each of the first ``_TOGETHER``."""
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.T)
    area = _area(boxes)
    own = np.s_[:_TOGETHER, None]
    width = np.minimum(x1[own], x1) - np.maximum(x0[own], x0)
    height = np.minimum(y1[own], y1) - np.maximum(y0[own], y0)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = area[own] + area - shared
    smaller = np.minimum(area[own], area)
    return np.asarray(shared <= nms_iou * np.where(cut[own] | cut, smaller, union))


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1))
