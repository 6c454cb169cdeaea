"""PicoDet (Yu et al., arXiv 2111.00902): scores of each level, then distributions of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: K outputs (1, cells, classes) of sigmoid scores and K (1, cells, 4·bins) of
            distances to left, top, right and bottom as distributions over strides.
        labels: of the classes that are kept.
        cell_offset: of a cell's centre from its corner, in strides.
    """

    centre: Tensor
    stride: Tensor

    def __init__(
        self, signature: common.Signature, labels: Sequence[int], cell_offset: float = 0.5
    ) -> None:
        super().__init__(labels)
        scores, distances = _halves(signature)
        shapes = signature.outputs
        strides = common.strides_of(sum(shapes[name][1] for name in scores), signature.size)
        if strides is None or len(strides) != len(scores):
            raise common.refused("of cells of strides 8, 16, 32 …", signature)
        self.outputs = (*scores, *distances)
        self.num_labels = shapes[scores[0]][2]
        self.num_bins = shapes[distances[0]][2] // 4
        self._check_labels()
        self.reads = f"strides {strides}, {self.num_labels} classes, {self.num_bins} bins"
        centre, stride = common.cells(signature.size, strides, cell_offset)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("stride", stride, persistent=False)

    def forward(self, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (N, a, L) of each level, distributions (N, a, 4·bins) of each level.

        Returns:
            boxes (N, A, 4) px, scores (N, A), class ids (N, A).
        """
        half = len(outputs) // 2
        scores, class_ids = self._best(torch.cat(outputs[:half], 1))
        bins = torch.cat(outputs[half:], 1)
        distances = common.expected_bins(bins, self.num_bins) * self.stride
        return common.around(self.centre, distances), scores, class_ids


def _halves(signature: common.Signature) -> tuple[list[str], list[str]]:
    """Names of the scores' and of the distributions' outputs, each from fine to coarse."""
    expected = "(1, cells, classes) and as many (1, cells, 4 x bins)"
    shapes = signature.outputs
    names = list(shapes)
    half = len(names) // 2
    if half == 0 or len(names) % 2 or any(len(shape) != 3 for shape in shapes.values()):
        raise common.refused(expected, signature)
    halves = []
    for part in (names[:half], names[half:]):
        if len({shapes[name][2] for name in part}) != 1:
            raise common.refused(expected, signature)
        halves.append(sorted(part, key=lambda name: -shapes[name][1]))
    scores, distances = halves
    cells = [[shapes[name][1] for name in part] for part in halves]
    bins = shapes[distances[0]][2]
    if cells[0] != cells[1] or bins % 4 or not 16 <= bins <= 132:
        raise common.refused(expected, signature)
    return scores, distances
