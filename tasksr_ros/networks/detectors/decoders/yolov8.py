"""YOLOv8 and YOLO11 as they are exported: one output of boxes in px and scores, cells last."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: one output (1, 4 + classes, cells): x, y of the centre, width, height in px,
            sigmoid scores.
        labels: of the classes that are kept.
    """

    def __init__(self, signature: common.Signature, labels: Sequence[int]) -> None:
        super().__init__(labels)
        shapes = list(signature.outputs.values())
        expected = "(1, 4 + classes, cells of strides 8, 16, 32 …)"
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][1] < 5:
            raise common.refused(expected, signature)
        strides = common.strides_of(shapes[0][2], signature.size)
        if strides is None:
            raise common.refused(expected, signature)
        self.outputs, self.num_labels = tuple(signature.outputs), shapes[0][1] - 4
        self._check_labels()
        self.reads = f"strides {strides}, {self.num_labels} classes"

    def forward(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 4 + L, A) -> boxes (N, A, 4) px, scores (N, A), class ids (N, A)."""
        by_cell = output.transpose(1, 2)
        scores, class_ids = self._best(by_cell[..., 4:])
        return common.corners(by_cell[..., :4]), scores, class_ids
