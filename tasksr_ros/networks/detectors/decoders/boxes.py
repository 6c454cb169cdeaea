"""Detectors with their own last step: a list of boxes in px, with scores and labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: boxes (K, 4) or (1, K, 4) x0, y0, x1, y1 in px of the input, or with the score
            as a fifth column; otherwise an output named scores; an output named labels or classes,
            unless there is one class alone. Other outputs are left out.
        labels: of the classes that are kept.
        normalised: the boxes are shares of the input's sides.
    """

    unit: Tensor

    def __init__(
        self, signature: common.Signature, labels: Sequence[int], normalised: bool = False
    ) -> None:
        super().__init__(labels)
        shapes = signature.outputs
        boxes = [n for n, s in shapes.items() if len(s) in (2, 3) and s[-1] in (4, 5)]
        if len(boxes) != 1:
            raise common.refused("boxes (K, 4 or 5), scores (K) and labels (K)", signature)
        self.scored = shapes[boxes[0]][-1] == 5
        scores = _named(shapes, "score")
        classes = _named(shapes, "label") or _named(shapes, "class")
        if not self.scored and not scores:
            raise common.refused("with scores (K) beside the boxes (K, 4)", signature)
        self.labelled = bool(classes)
        self.outputs = (boxes[0], *([] if self.scored else scores[:1]), *classes[:1])
        self.num_labels = 0 if self.labelled else 1
        self._check_labels()
        self.reads = "boxes in shares of the input" if normalised else "boxes in px"
        width, height = signature.size if normalised else (1, 1)
        unit = torch.tensor([width, height, width, height], dtype=torch.float32)
        self.register_buffer("unit", unit, persistent=False)

    def forward(self, boxes: Tensor, *others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class -> boxes (1, K, 4) px, scores (1, K), class ids (1, K)."""
        if boxes.ndim == 2:
            boxes = boxes[None]
        rest = [other.reshape(1, -1) for other in others]
        scores = boxes[..., 4] if self.scored else rest[0]
        labels = rest[-1] if self.labelled else torch.zeros_like(scores, dtype=torch.int32)
        kept, class_ids = self._kept(scores, labels)
        return boxes[..., :4] * self.unit, kept, class_ids


def _named(shapes: dict[str, tuple[int, ...]], word: str) -> list[str]:
    return [name for name, s in shapes.items() if word in name.lower() and len(s) in (1, 2)]
