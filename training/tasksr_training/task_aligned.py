"""Which cells learn a pedestrian: those whose score and box already agree best with it.

Task-aligned assignment (Feng et al., "TOOD", ICCV 2021, arXiv 2108.07755) over all levels, with
candidates suited to small people: the cells in the box, which is at least as wide and as high as
the finest level needs to have some.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tasksr_ros.networks.detectors.levels import LevelOutput, cell_centres, decode
from tasksr_training.boxes import iou

SCORE_EXPONENT, IOU_EXPONENT = 1.0, 6.0
"""Alpha and beta of the paper."""


class Assignment(NamedTuple):
    """What the cells of all levels should say, one level after the other, row by row.

    Attributes:
        score: (N, C) in [0, 1]: how well the cell is aligned with its pedestrian; 0: background.
        owner: (N, C) index of the box that the cell belongs to; without meaning where score is 0.
    """

    score: Tensor
    owner: Tensor


@torch.no_grad()
def assign(
    levels: Sequence[LevelOutput], boxes: Tensor, chosen: Tensor, cells_per_box: int
) -> Assignment:
    """Give each box the cells that are aligned with it best.

    Args:
        levels: what the detector predicts.
        boxes: (N, M, 4) xyxy px.
        chosen: (N, M) bool, the boxes to give cells to.
        cells_per_box: how many at most.
    """
    x, y = (torch.cat(c) for c in zip(*(cell_centres(level) for level in levels), strict=True))
    predicted, scores, _ = decode(levels)
    overlap = iou(boxes[:, :, None], predicted[:, None])
    allowed = _reaches(boxes, x, y, levels[0].stride) & chosen[..., None]
    alignment = scores[:, None] ** SCORE_EXPONENT * overlap**IOU_EXPONENT * allowed
    least = alignment.topk(min(cells_per_box, alignment.shape[-1]), -1).values[..., -1:]
    mine = (alignment > 0) & (alignment >= least)
    owner = torch.where(mine, overlap, -1.0).argmax(1)  # of a cell that several boxes want
    mine &= torch.arange(boxes.shape[1], device=boxes.device)[:, None] == owner[:, None]
    alignment, overlap = alignment * mine, overlap * mine
    greatest = alignment.amax(-1, keepdim=True).clamp(min=torch.finfo(alignment.dtype).tiny)
    score = alignment / greatest * overlap.amax(-1, keepdim=True)
    return Assignment(score.amax(1), owner)


def _reaches(boxes: Tensor, x: Tensor, y: Tensor, least: int) -> Tensor:
    """(N, M, C) bool: whether a cell's centre lies in a box of at least 2 · ``least`` px a side."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = ((boxes[..., 2:] - boxes[..., :2]) / 2).clamp(min=least)
    in_x = (x - centre[..., :1]).abs() <= half[..., :1]
    return in_x & ((y - centre[..., 1:]).abs() <= half[..., 1:])
