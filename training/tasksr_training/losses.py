"""Detection loss of the anchor-free pedestrian detector, in two forms.

- gaussian: the penalty-reduced focal loss of CenterNet (Zhou et al., "Objects as Points",
  arXiv 1904.07850, eq. 1) with a Gaussian as wide and as high as the box asks for.
- task-aligned: the quality focal loss (Li et al., NeurIPS 2020, arXiv 2006.04388) of the cells that
  `task_aligned` gives to each pedestrian.

Boxes: generalised IoU (Rezatofighi et al., CVPR 2019, arXiv 1902.09630), weighted by the target;
and, of detectors that predict distributions of distances, the distribution focal loss (Li et al.).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tasksr_ros.networks.detectors.levels import LevelOutput, cell_centres
from tasksr_training.boxes import giou
from tasksr_training.datasets import IGNORE, PEDESTRIAN
from tasksr_training.task_aligned import assign


@dataclass(frozen=True)
class DetectionLossConfig:
    """How boxes become targets.

    Attributes:
        assignment: gaussian or task-aligned; all that follows but the weights and
            ``cells_per_box`` is of gaussian.
        level_heights: box heights in px at which the next coarser level takes over.
        overlap: a box within this factor of such a height belongs to both levels.
        spread: standard deviation of the Gaussian as a fraction of the box's width and height.
        min_spread: least standard deviation, cells; keeps thin boxes learnable.
        box_region: cells where the Gaussian is above this predict the box.
        box_weight: weight of the box loss beside the score loss.
        distribution_weight: weight of the distribution focal loss, the mean over the four sides.
        cells_per_box: task-aligned: greatest number of cells that learn one pedestrian.
    """

    assignment: Literal["gaussian", "task-aligned"] = "gaussian"
    level_heights: tuple[float, ...] = (64.0, 128.0)
    overlap: float = 1.25
    spread: float = 0.14
    min_spread: float = 0.5
    box_region: float = 0.3
    box_weight: float = 2.0
    distribution_weight: float = 0.25
    cells_per_box: int = 10


@dataclass(frozen=True, eq=False)
class LevelTargets:
    """What one level should say.

    Attributes:
        score: (N, h, w) in [0, 1]; exactly 1 in the cell of a pedestrian's centre.
        counted: (N, h, w) bool; false inside ignored boxes, where no background is learnt.
        boxes: (N, h, w, 4) xyxy px of the pedestrian that a cell belongs to.
        weight: (N, h, w) of the box that a cell predicts.
    """

    score: Tensor
    counted: Tensor
    boxes: Tensor
    weight: Tensor


def detection_loss(
    levels: Sequence[LevelOutput],
    boxes: Tensor,
    kind: Tensor,
    config: DetectionLossConfig,
    open_below: Tensor | None = None,
) -> dict[str, Tensor]:
    """Loss of a batch.

    Args:
        levels: what the detector predicts.
        boxes: (N, M, 4) xyxy px.
        kind: (N, M) ``NO_BOX``, ``PEDESTRIAN`` or ``IGNORE``.
        config: how boxes become targets.
        open_below: task-aligned: (N,) px; where a cell predicts a lower box, it learns no
            background. None: it does everywhere.

    Returns:
        ``detection`` = ``score`` + box_weight · ``box``, and + distribution_weight ·
        ``distribution`` where the detector predicts distributions; the box and distribution losses
        are divided by the sum of their weights, the score loss by the number of pedestrians
        (gaussian) or the sum of the targets.
    """
    if config.assignment == "gaussian":
        targets = [level_targets(v, i, boxes, kind, config) for i, v in enumerate(levels)]
        score_loss, positives = focal_sum, (kind == PEDESTRIAN).sum()
    else:
        targets = task_aligned_targets(levels, boxes, kind, config, open_below)
        score_loss, positives = quality_focal_sum, _sum([t.score for t in targets])
    pairs = list(zip(levels, targets, strict=True))
    score_sum = _sum([score_loss(level.logits[:, 0], t) for level, t in pairs])
    box_sum = _sum([giou_sum(level, t) for level, t in pairs])
    weights = _sum([t.weight for t in targets])
    score, box = score_sum / positives.clamp(min=1), box_sum / weights.clamp(min=1)
    losses = {"detection": score + config.box_weight * box, "score": score, "box": box}
    if any(level.distributions is not None for level in levels):
        distribution = _sum([distribution_sum(v, t) for v, t in pairs]) / weights.clamp(min=1)
        losses["distribution"] = distribution
        losses["detection"] = losses["detection"] + config.distribution_weight * distribution
    return losses


def _sum(of_levels: Sequence[Tensor]) -> Tensor:
    return torch.stack([values.sum() for values in of_levels]).sum()


def task_aligned_targets(
    levels: Sequence[LevelOutput],
    boxes: Tensor,
    kind: Tensor,
    config: DetectionLossConfig,
    open_below: Tensor | None = None,
) -> list[LevelTargets]:
    """Targets of all levels; `detection_loss` states the arguments."""
    assigned = assign(levels, boxes, kind == PEDESTRIAN, config.cells_per_box)
    sizes = [level.logits.shape[2:] for level in levels]
    cells = [height * width for height, width in sizes]
    targets = []
    for level, (height, width), score, owner in zip(
        levels, sizes, assigned.score.split(cells, 1), assigned.owner.split(cells, 1), strict=True
    ):
        owned = boxes.gather(1, owner[..., None].expand(-1, -1, 4)).unflatten(1, (height, width))
        score = score.unflatten(1, (height, width))
        left_open = inside(level, boxes, kind == IGNORE)
        if open_below is not None:
            predicted = level.distances[:, 1] + level.distances[:, 3]
            left_open = left_open | (predicted.detach() < open_below.view(-1, 1, 1))
        targets.append(LevelTargets(score, ~left_open | (score > 0), owned, score))
    return targets


@torch.no_grad()
def level_targets(
    level: LevelOutput, index: int, boxes: Tensor, kind: Tensor, config: DetectionLossConfig
) -> LevelTargets:
    """Targets of the level at position ``index``; `detection_loss` states the arguments."""
    height, width = level.logits.shape[2:]
    along_x, along_y = (torch.arange(n, device=boxes.device) for n in (width, height))
    mine = (kind == PEDESTRIAN) & _belongs(boxes, index, config)
    x, y = (
        _gaussian(boxes[..., axis], boxes[..., axis + 2], cells, level.stride, config)
        for axis, cells in ((0, along_x), (1, along_y))
    )
    gaussians = y[..., :, None] * x[..., None, :] * mine[..., None, None]
    score, owner = gaussians.max(1)
    owned = boxes.gather(1, owner.flatten(1)[..., None].expand(-1, -1, 4))
    left_open = inside(level, boxes, kind == IGNORE)
    near = score > config.box_region
    return LevelTargets(score, ~left_open | near, owned.view(*owner.shape, 4), score * near)


def _belongs(boxes: Tensor, index: int, config: DetectionLossConfig) -> Tensor:
    """(N, M) bool: whether boxes of this height belong to the level at position ``index``."""
    edges = (0.0, *config.level_heights, float("inf"))
    heights = boxes[..., 3] - boxes[..., 1]
    return (heights >= edges[index] / config.overlap) & (
        heights < edges[index + 1] * config.overlap
    )


def _gaussian(
    low: Tensor, high: Tensor, cells: Tensor, stride: int, config: DetectionLossConfig
) -> Tensor:
    """(N, M, cells) Gaussian around the cell of the middle of [low, high]; 1 in that cell."""
    centre = ((low + high) / 2 / stride).floor()
    spread = ((high - low) / stride * config.spread).clamp(min=config.min_spread)
    return torch.exp(-0.5 * ((cells - centre[..., None]) / spread[..., None]) ** 2)


def inside(level: LevelOutput, boxes: Tensor, chosen: Tensor) -> Tensor:
    """(N, h, w) bool: whether a cell's centre lies in one of the chosen boxes (N, M, 4)."""
    height, width = level.logits.shape[2:]
    along_x, along_y = (torch.arange(n, device=boxes.device) for n in (width, height))
    x, y = (along_x + 0.5) * level.stride, (along_y + 0.5) * level.stride
    in_x = (x >= boxes[..., 0:1]) & (x < boxes[..., 2:3])
    in_y = (y >= boxes[..., 1:2]) & (y < boxes[..., 3:4])
    return ((in_y & chosen[..., None])[..., :, None] & in_x[..., None, :]).any(1)


def focal_sum(logits: Tensor, targets: LevelTargets) -> Tensor:
    """Sum of the penalty-reduced focal loss; logits (N, h, w).

    Where the target is 1: -(1-p)² log p; elsewhere -(1-target)⁴ p² log(1-p).
    """
    p = logits.sigmoid()
    is_centre = targets.score == 1
    centre = -((1 - p) ** 2) * F.logsigmoid(logits)
    elsewhere = -((1 - targets.score) ** 4) * p**2 * F.logsigmoid(-logits)
    return torch.where(is_centre, centre, elsewhere * targets.counted).sum()


def quality_focal_sum(logits: Tensor, targets: LevelTargets) -> Tensor:
    """Sum of `quality_focal` over the cells that count; logits (N, h, w)."""
    return (quality_focal(logits, targets.score) * targets.counted).sum()


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """(target - p)² · cross-entropy of target and p, of each element."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (target - logits.sigmoid()).square() * entropy


def giou_sum(level: LevelOutput, targets: LevelTargets) -> Tensor:
    """Sum of weight · (1 - generalised IoU) over the cells with weight."""
    weight = targets.weight
    chosen = weight > 0
    x, y = (c.view(1, *weight.shape[1:]).expand_as(weight)[chosen] for c in cell_centres(level))
    left, top, right, bottom = level.distances.permute(0, 2, 3, 1)[chosen].unbind(-1)
    predicted = torch.stack((x - left, y - top, x + right, y + bottom), -1)
    return (weight[chosen] * (1 - giou(predicted, targets.boxes[chosen]))).sum()


def distribution_sum(level: LevelOutput, targets: LevelTargets) -> Tensor:
    """Sum of weight · distribution focal loss (Li et al., eq. 6), mean of the sides.

    The cross-entropy of the two whole strides around the true distance, each in proportion to how
    near it is. What lies outside the bins counts as the first or the last of them.
    """
    if level.distributions is None:
        raise ValueError(f"expected distributions of the level of stride {level.stride}, got none")
    weight, chosen = targets.weight, targets.weight > 0
    x, y = (c.view(1, *weight.shape[1:]).expand_as(weight)[chosen] for c in cell_centres(level))
    boxes = targets.boxes[chosen]
    sides = (x - boxes[:, 0], y - boxes[:, 1], boxes[:, 2] - x, boxes[:, 3] - y)
    last = level.distributions.shape[2] - 1
    distance = (torch.stack(sides, 1) / level.stride).clamp(0, last)
    low = distance.floor().clamp(max=last - 1).long()
    log_p = level.distributions.permute(0, 3, 4, 1, 2)[chosen].log_softmax(-1)
    at_low, at_high = (log_p.gather(-1, k[..., None])[..., 0] for k in (low, low + 1))
    loss = -((low + 1 - distance) * at_low + (distance - low) * at_high)
    return (weight[chosen] * loss.mean(1)).sum()
