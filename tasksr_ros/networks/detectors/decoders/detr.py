"""RT-DETR, D-FINE and DEIM with their own last step: labels, boxes and scores of queries."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: outputs named labels (1, K), boxes (1, K, 4) x0, y0, x1, y1 in px of the size
            given as ``orig_target_sizes``, and scores (1, K).
        labels: of the classes that are kept.
    """

    def __init__(self, signature: common.Signature, labels: Sequence[int]) -> None:
        super().__init__(labels)
        shapes = signature.outputs
        if {n: len(s) for n, s in shapes.items()} != {"labels": 2, "boxes": 3, "scores": 2}:
            raise common.refused("labels (1, K), boxes (1, K, 4) and scores (1, K)", signature)
        self.outputs, self.num_labels = ("labels", "boxes", "scores"), 0
        self.reads = "labels, boxes and scores of queries"

    def forward(
        self, labels: Tensor, boxes: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N, K), (N, K, 4), (N, K) -> boxes (N, K, 4) px, scores (N, K), class ids (N, K)."""
        kept, class_ids = self._kept(scores, labels)
        return boxes, kept, class_ids
