"""What dense detectors predict, level by level of their pyramid, and the boxes made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class LevelOutput(NamedTuple):
    """What one pyramid level predicts, before decoding.

    Attributes:
        stride: px between cells; cell (i, j) has its centre at ((j + .5), (i + .5)) · stride.
        logits: (N, C, h, w) score logits of each class.
        distances: (N, 4, h, w) positive px from the cell's centre to the box's left, top, right
            and bottom side.
        distributions: (N, 4, bins, h, w) logits of the distances in strides, where the network
            predicts distributions, of which ``distances`` are the means.
    """

    stride: int
    logits: Tensor
    distances: Tensor
    distributions: Tensor | None = None


def decode(levels: Sequence[LevelOutput]) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (N, A, 4) x0, y0, x1, y1 in px, scores (N, A) and class ids (N, A) int32.

    A cell has the class of its greatest score; cells of all levels, row by row.
    """
    boxes = torch.cat([_boxes(output) for output in levels], 1)
    logits = torch.cat([output.logits.flatten(2) for output in levels], 2)
    best, class_ids = best_class(logits.transpose(1, 2))
    return boxes, best.sigmoid(), class_ids


def best_class(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(N, A, C) -> the greatest of each cell (N, A), and its class id (N, A) int32."""
    if scores.shape[2] == 1:  # nothing to choose; but no runtime likes an output without input
        return scores[..., 0], (scores[..., 0] * 0).to(torch.int32)
    best, class_ids = scores.max(2)
    return best, class_ids.to(torch.int32)


def _boxes(output: LevelOutput) -> Tensor:
    left, top, right, bottom = output.distances.flatten(2).unbind(1)
    x, y = cell_centres(output)
    return torch.stack((x - left, y - top, x + right, y + bottom), 2)


def cell_centres(output: LevelOutput) -> tuple[Tensor, Tensor]:
    """X and y (h·w,) of the cells' centres in px, row by row."""
    height, width = output.logits.shape[2:]
    device, dtype = output.distances.device, output.distances.dtype
    y = (torch.arange(height, device=device, dtype=dtype) + 0.5) * output.stride
    x = (torch.arange(width, device=device, dtype=dtype) + 0.5) * output.stride
    return x.repeat(height), y.repeat_interleave(width)
