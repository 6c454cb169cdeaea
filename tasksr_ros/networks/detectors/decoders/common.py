"""What decoders share: shapes, grids of cells, and the classes that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasksr_ros.networks.detectors.levels import best_class

_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (8, 16), (8,), (16,), (32,))
"""Of pyramids that are in use, the most usual first."""


@dataclass(frozen=True)
class Signature:
    """What the file of a detector says of itself.

    Attributes:
        outputs: shape of each output by its name, in the file's order; -1: not known.
        size: (width, height) of the input, px.
    """

    outputs: dict[str, tuple[int, ...]]
    size: tuple[int, int]

    def __str__(self) -> str:
        shapes = [
            f"{name} ({', '.join('?' if n < 0 else str(n) for n in shape)})"
            for name, shape in self.outputs.items()
        ]
        return ", ".join(shapes) or "none"


class Decoder(nn.Module):
    """Makes boxes of a detector's outputs.

    Args:
        signature: shapes of the detector's outputs, and the size of its input.
        labels: the detector's numbers of the classes that are kept, in the order of their ids.

    Attributes:
        outputs: names of the outputs that ``forward`` takes, in its order.
        num_labels: classes that the detector has; 0 where its outputs do not say.
        reads: what was read from the shapes, for people.

    Raises:
        ValueError: if the shapes are not this family's.
    """

    outputs: tuple[str, ...]
    num_labels: int
    reads: str

    def __init__(self, labels: Sequence[int]) -> None:
        super().__init__()
        self.labels = list(labels)

    def _check_labels(self) -> None:
        if self.num_labels and max(self.labels) >= self.num_labels:
            raise ValueError(
                f"expected labels below {self.num_labels}, the detector's classes, "
                f"got {max(self.labels)}"
            )

    def _best(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(N, A, L) scores of the detector's classes -> of the best kept one, and its class id."""
        kept = torch.cat([scores[..., label : label + 1] for label in self.labels], 2)
        return best_class(kept)

    def _kept(self, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, A) scores and the detector's labels -> scores, 0 of others' classes; class ids."""
        class_ids = torch.zeros_like(labels, dtype=torch.int32)
        known = torch.zeros_like(scores)
        for class_id, label in enumerate(self.labels):
            mine = labels == label
            class_ids = class_ids + mine.to(torch.int32) * class_id
            known = known + mine.to(scores.dtype)
        return scores * known, class_ids


def refused(expected: str, signature: Signature) -> ValueError:
    """The error of outputs that are another family's."""
    return ValueError(f"expected outputs {expected}, got {signature}")


def strides_of(num_cells: int, size: tuple[int, int]) -> tuple[int, ...] | None:
    """The strides of a pyramid with that many cells for an input of (width, height) px."""
    for strides in _STRIDES:
        if sum(w * h for w, h in _grids(size, strides)) == num_cells:
            return strides
    return None


def cells(size: tuple[int, int], strides: Sequence[int], offset: float) -> tuple[Tensor, Tensor]:
    """The grid of a pyramid, level by level, row by row.

    Args:
        size: (width, height) of the input, px.
        strides: of the levels.
        offset: of a cell's centre from its corner, in strides.

    Returns:
        centres (A, 2) x, y in px, and strides (A, 1).
    """
    centres, widths = [], []
    for stride, (w, h) in zip(strides, _grids(size, strides), strict=True):
        x = (torch.arange(w).repeat(h) + offset) * stride
        y = (torch.arange(h).repeat_interleave(w) + offset) * stride
        centres.append(torch.stack((x, y), 1).float())
        widths.append(torch.full((w * h, 1), float(stride)))
    return torch.cat(centres), torch.cat(widths)


def around(centres: Tensor, distances: Tensor) -> Tensor:
    """(A, 2) centres and (N, A, 4) distances to left, top, right and bottom -> (N, A, 4) boxes."""
    return torch.cat((centres - distances[..., :2], centres + distances[..., 2:]), 2)


def corners(centre_and_size: Tensor) -> Tensor:
    """(N, A, 4) x, y of the centre, width, height -> x0, y0, x1, y1."""
    centre, half = centre_and_size[..., :2], centre_and_size[..., 2:] / 2
    return torch.cat((centre - half, centre + half), 2)


def expected_bins(distributions: Tensor, num_bins: int) -> Tensor:
    """(N, A, 4·bins) logits -> (N, A, 4) means of the bins 0, 1, 2 and so on.

    The general form of distances as distributions: Li et al., "Generalized Focal Loss",
    arXiv 2006.04388.
    """
    bins = torch.arange(num_bins, dtype=distributions.dtype, device=distributions.device)
    n, num_cells, _ = distributions.shape
    return (distributions.reshape(n, num_cells, 4, num_bins).softmax(3) * bins).sum(3)


def _grids(size: tuple[int, int], strides: Sequence[int]) -> list[tuple[int, int]]:
    return [(-(-size[0] // stride), -(-size[1] // stride)) for stride in strides]
