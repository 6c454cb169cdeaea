"""How far what a detector sees in one image is from what it sees in another."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tasksr_training.adapt.frozen import Seen
from tasksr_training.boxes import giou, iou

_LEAST = 1e-6
_SAME = 0.3
"""Least IoU of boxes of sorted lists that stand for the same place."""
_WORTH_PAIRING = 0.01
"""Score of a sorted list's box from which on its partner is looked for."""


def agreement(
    got: Seen, wanted: Seen, least_score: float, focus: float = 2.0, weight: Tensor | None = None
) -> dict[str, Tensor]:
    """Distances of a detector's outputs on SR from those on HR; 0 where they agree.

    Args:
        got: on SR.
        wanted: on HR, without gradients.
        least_score: boxes count where the wanted score is above this.
        focus: exponent of the weight of the scores' distance.
        weight: (N, A) of the boxes; None: 1.

    Returns:
        ``scores``: cross-entropy of the scores, weighted by their difference to the power of
        ``focus`` (the form of the quality focal loss, Li et al., arXiv 2006.04388), summed over
        all boxes;
        ``boxes``: Kullback-Leibler divergence of the distributions of the distances, mean of the
        sides, else 1 - generalised IoU; weighted by the wanted score. Both are divided by the sum
        of the wanted scores above ``least_score``, at least 1. ``features``: mean absolute
        distance in units of the mean absolute wanted feature, where there are any.
    """
    weight = torch.ones_like(wanted.scores) if weight is None else weight
    strong = wanted.scores * (wanted.scores > least_score)
    people = strong.sum().clamp(min=1)
    losses = {
        "scores": (weight * focal_distance(got.scores, wanted.scores, focus)).sum() / people,
        "boxes": _box_distance(got, wanted, weight * strong) / people,
    }
    if wanted.features:
        pairs = zip(got.features, wanted.features, strict=True)
        distances = [(g - w).abs().mean() / w.abs().mean().clamp(min=_LEAST) for g, w in pairs]
        losses["features"] = torch.stack(distances).mean()
    return losses


def focal_distance(scores: Tensor, wanted: Tensor, focus: float) -> Tensor:
    """|wanted - score|^focus · cross-entropy of both, of each element; scores in [0, 1]."""
    entropy = F.binary_cross_entropy(
        scores.clamp(_LEAST, 1 - _LEAST), wanted.clamp(0, 1), reduction="none"
    )
    return (wanted - scores).abs().pow(focus) * entropy


def _box_distance(got: Seen, wanted: Seen, weight: Tensor) -> Tensor:
    chosen = weight > 0
    if not chosen.any():
        return got.boxes.sum() * 0
    if got.bins is not None and wanted.bins is not None:
        log_p, log_q = (s.bins[chosen].log_softmax(-1) for s in (got, wanted))  # type: ignore[index]
        divergence = (log_q.exp() * (log_q - log_p)).sum(-1).mean(-1)
        return (weight[chosen] * divergence).sum()
    return (weight[chosen] * (1 - giou(got.boxes[chosen], wanted.boxes[chosen]))).sum()


@torch.no_grad()
def partners(got: Seen, wanted: Seen) -> Seen:
    """What is wanted, in the order of what was got: of sorted lists, by their boxes.

    Each wanted box, strongest first, is the target of the free box that overlaps it most; the
    others' target is a score of 0.
    """
    scores, boxes = torch.zeros_like(got.scores), got.boxes.detach().clone()
    for n in range(len(scores)):
        overlap = iou(wanted.boxes[n][:, None], boxes[n][None])
        free = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
        for k in wanted.scores[n].argsort(descending=True).tolist():
            if wanted.scores[n, k] < _WORTH_PAIRING:
                break
            best = int((overlap[k] * free).argmax())
            if overlap[k, best] * free[best] >= _SAME:
                scores[n, best], boxes[n, best] = wanted.scores[n, k], wanted.boxes[n, k]
                free[best] = False
    return replace(wanted, scores=scores, boxes=boxes, bins=None)
