"""RTMDet (Lyu et al., arXiv 2212.07784) as its head gives it: maps of scores, maps of distances."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: K outputs (1, classes, h, w) of score logits and K (1, 4, h, w) of distances to
            left, top, right and bottom.
        labels: of the classes that are kept.
        distances: px, as mmdet exports them, or strides, as mmyolo does.
        cell_offset: of a cell's centre from its corner, in strides.
    """

    centre: Tensor
    unit: Tensor

    def __init__(
        self,
        signature: common.Signature,
        labels: Sequence[int],
        distances: str = "px",
        cell_offset: float = 0.0,
    ) -> None:
        super().__init__(labels)
        shapes, names = signature.outputs, list(signature.outputs)
        half = len(names) // 2
        expected = "(1, classes, h, w) and as many (1, 4, h, w)"
        if not half or len(names) % 2 or any(len(shape) != 4 for shape in shapes.values()):
            raise common.refused(expected, signature)
        if distances not in ("px", "strides"):
            raise ValueError(f"distances must be px or strides, got {distances!r}")
        scores = sorted(names[:half], key=lambda name: -shapes[name][3])
        sides = sorted(names[half:], key=lambda name: -shapes[name][3])
        grids = [shapes[name][2:] for name in scores]
        self.num_labels = shapes[scores[0]][1]
        if (
            {shapes[name][1] for name in sides} != {4}
            or {shapes[name][1] for name in scores} != {self.num_labels}
            or grids != [shapes[name][2:] for name in sides]
        ):
            raise common.refused(expected, signature)
        strides = common.strides_of(sum(h * w for h, w in grids), signature.size)
        if strides is None:
            raise common.refused("of cells of strides 8, 16, 32 …", signature)
        self.outputs = (*scores, *sides)
        self._check_labels()
        self.reads = f"strides {strides}, {self.num_labels} classes, distances in {distances}"
        centre, stride = common.cells(signature.size, strides, cell_offset)
        unit = stride if distances == "strides" else torch.ones_like(stride)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("unit", unit, persistent=False)

    def forward(self, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (N, L, h, w) of each level, distances (N, 4, h, w) of each level.

        Returns:
            boxes (N, A, 4) px, scores (N, A), class ids (N, A).
        """
        by_cell = [output.flatten(2).transpose(1, 2) for output in outputs]
        half = len(by_cell) // 2
        logits, class_ids = self._best(torch.cat(by_cell[:half], 1))
        distances = torch.cat(by_cell[half:], 1) * self.unit
        return common.around(self.centre, distances), logits.sigmoid(), class_ids
