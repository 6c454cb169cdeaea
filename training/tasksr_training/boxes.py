"""Overlap of boxes as tensors, for losses and targets."""

from __future__ import annotations

import torch
from torch import Tensor


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of (..., 4) xyxy boxes, broadcast against each other, in [0, 1]."""
    intersection, union = _intersection_and_union(a, b)
    return intersection / union.clamp(min=1e-6)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of (..., 4) xyxy boxes, pair by pair, in (-1, 1]."""
    intersection, union = _intersection_and_union(a, b)
    around_low = torch.minimum(a[..., :2], b[..., :2])
    around_high = torch.maximum(a[..., 2:], b[..., 2:])
    around = (around_high - around_low).prod(-1).clamp(min=1e-6)
    return intersection / union.clamp(min=1e-6) - (around - union) / around


def _intersection_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (high - low).clamp(min=0).prod(-1)
    return intersection, _area(a) + _area(b) - intersection


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)
