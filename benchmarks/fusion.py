"""Several detectors' boxes made one: weighted boxes fusion (Solovyev et al., arXiv 1910.13302)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasksr_ros.evaluation.matching import Floats

SAME_IOU = 0.55
"""As in the paper."""


def fuse(
    boxes: Sequence[Floats], scores: Sequence[Floats], iou: float = SAME_IOU
) -> tuple[Floats, Floats]:
    """Fuse the detections of one image and class.

    Strongest first, each box joins the cluster whose fused box it overlaps most, if by more than
    ``iou``, else it begins one. A cluster's box is the mean of its boxes, weighted by score; its
    score is their mean, less where not all detectors agree.

    Args:
        boxes: (N, 4) xyxy of each detector.
        scores: (N,) of each detector.
        iou: above this two boxes are of one person.

    Returns:
        (K, 4) boxes and (K,) scores, falling.
    """
    all_boxes = np.concatenate([np.zeros((0, 4)), *boxes])
    all_scores = np.concatenate([np.zeros(0), *scores])
    weighted = np.zeros((len(all_scores), 4))  # sums over the clusters' boxes
    total, number = np.zeros(len(all_scores)), np.zeros(len(all_scores), int)
    count = 0
    for k in np.argsort(-all_scores, kind="stable"):
        overlap = _iou(all_boxes[k], weighted[:count] / total[:count, None])
        place = int(overlap.argmax()) if count else 0
        if count == 0 or overlap[place] <= iou:
            place, count = count, count + 1
        weighted[place] += all_scores[k] * all_boxes[k]
        total[place] += all_scores[k]
        number[place] += 1
    fused = weighted[:count] / total[:count, None]
    score = total[:count] / number[:count] * np.minimum(number[:count], len(boxes)) / len(boxes)
    order = np.argsort(-score, kind="stable")
    return fused[order], score[order]


def _iou(box: Floats, others: Floats) -> Floats:
    """(N,) of one box with each of (N, 4)."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared: Floats = np.maximum(high - low, 0).prod(1)
    areas = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1)
    return shared / np.maximum(areas - shared, 1e-9)
