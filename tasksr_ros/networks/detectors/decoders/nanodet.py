"""NanoDet and NanoDet-Plus (RangiLyu/nanodet): one output of scores and distributions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common

_MOST_BINS = 33


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: one output (1, cells, classes + 4·bins): sigmoid scores, then distances to left,
            top, right and bottom as distributions over strides.
        labels: of the classes that are kept.
        num_bins: of a distribution.
        cell_offset: of a cell's centre from its corner, in strides; by default 0 with four levels
            (NanoDet-Plus), 0.5 with three (NanoDet).
    """

    centre: Tensor
    stride: Tensor

    def __init__(
        self,
        signature: common.Signature,
        labels: Sequence[int],
        num_bins: int = 8,
        cell_offset: float = -1.0,
    ) -> None:
        super().__init__(labels)
        shapes = list(signature.outputs.values())
        expected = f"(1, cells of strides 8, 16, 32 …, classes + 4 x {num_bins})"
        if len(shapes) != 1 or len(shapes[0]) != 3 or not 1 < num_bins <= _MOST_BINS:
            raise common.refused(expected, signature)
        strides = common.strides_of(shapes[0][1], signature.size)
        self.num_labels = shapes[0][2] - 4 * num_bins
        if strides is None or self.num_labels < 1:
            raise common.refused(expected, signature)
        self.outputs = tuple(signature.outputs)
        self._check_labels()
        if cell_offset < 0:
            cell_offset = 0.0 if len(strides) == 4 else 0.5
        self.num_bins = num_bins
        self.reads = (
            f"strides {strides}, {self.num_labels} classes, {num_bins} bins, "
            f"cell_offset {cell_offset:g}"
        )
        centre, stride = common.cells(signature.size, strides, cell_offset)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("stride", stride, persistent=False)

    def forward(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, A, L + 4·bins) -> boxes (N, A, 4) px, scores (N, A), class ids (N, A)."""
        scores, class_ids = self._best(output[..., : self.num_labels])
        bins = output[..., self.num_labels :]
        distances = common.expected_bins(bins, self.num_bins) * self.stride
        return common.around(self.centre, distances), scores, class_ids
