"""Weighted boxes fusion: what several detectors say of one image, as one list.

Solovyev et al., "Weighted boxes fusion", arXiv 1910.13302, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fuse(found: Sequence[Floats], iou_threshold: float = 0.55) -> Floats:
    """Fuse the boxes of several detectors.

    Boxes are taken by falling score; each joins the fused box that it overlaps most, if by more
    than ``iou_threshold``, or begins a new one. A fused box is the mean of its boxes weighted by
    their scores; its score is their mean score times min(boxes, detectors) / detectors.

    Args:
        found: of each detector (K, 5) x0, y0, x1, y1, score, without duplicates.
        iou_threshold: in [0, 1].

    Returns:
        (F, 5) x0, y0, x1, y1, score, by falling score.
    """
    boxes = np.concatenate([np.zeros((0, 5)), *found])
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    members: list[list[Floats]] = []
    fused = np.zeros((0, 5))
    for box in boxes:
        overlap = box_iou(box[None, :4], fused[:, :4])[0]
        best = int(overlap.argmax()) if len(overlap) else -1
        if best >= 0 and overlap[best] > iou_threshold:
            members[best].append(box)
            fused[best] = _mean(members[best])
        else:
            members.append([box])
            fused = np.concatenate([fused, box[None]])
    count = np.array([len(m) for m in members])
    fused[:, 4] *= np.minimum(count, len(found)) / max(len(found), 1)
    return fused[np.argsort(-fused[:, 4], kind="stable")]


def _mean(boxes: Sequence[Floats]) -> Floats:
    stacked = np.stack(boxes)
    weights = stacked[:, 4:] / stacked[:, 4].sum()
    return np.append((stacked[:, :4] * weights).sum(0), stacked[:, 4].mean())


def box_iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """(A, B) intersection over union of (A, 4) and (B, 4) xyxy boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).clip(0).prod(-1) for x in (a, b))
    return np.asarray(shared / np.maximum(area_a[:, None] + area_b - shared, 1e-9), np.float64)
