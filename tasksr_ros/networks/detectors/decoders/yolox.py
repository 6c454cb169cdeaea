"""YOLOX (Ge et al., arXiv 2107.08430): one output of x, y, width, height, objectness, classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: one output (1, cells, 5 + classes); scores are sigmoids already.
        labels: of the classes that are kept.
        decoded: the boxes are in px; otherwise centres are relative to their cell, in strides, and
            sizes are logarithms of strides.
    """

    corner: Tensor
    stride: Tensor

    def __init__(
        self, signature: common.Signature, labels: Sequence[int], decoded: bool = False
    ) -> None:
        super().__init__(labels)
        shapes = list(signature.outputs.values())
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] < 6:
            raise common.refused("(1, cells, 5 + classes)", signature)
        strides = common.strides_of(shapes[0][1], signature.size)
        if strides is None:
            raise common.refused("(1, cells of strides 8, 16, 32 …, 5 + classes)", signature)
        self.outputs, self.num_labels = tuple(signature.outputs), shapes[0][2] - 5
        self._check_labels()
        self.reads = f"strides {strides}, {self.num_labels} classes"
        self.decoded = decoded
        corner, stride = common.cells(signature.size, strides, 0.0)
        self.register_buffer("corner", corner, persistent=False)
        self.register_buffer("stride", stride, persistent=False)

    def forward(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, A, 5 + L) -> boxes (N, A, 4) px, scores (N, A), class ids (N, A)."""
        where, objectness, classes = output[..., :4], output[..., 4], output[..., 5:]
        if not self.decoded:
            centre = where[..., :2] * self.stride + self.corner
            where = torch.cat((centre, where[..., 2:].exp() * self.stride), 2)
        scores, class_ids = self._best(classes)
        return common.corners(where), scores * objectness, class_ids
