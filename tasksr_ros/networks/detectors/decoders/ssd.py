"""SSD and its kin with their own last step, in OpenVINO's form or in TensorFlow's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasksr_ros.networks.detectors.decoders import common

_TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes")


class Decoder(common.Decoder):
    """See `common.Decoder`.

    Args:
        signature: OpenVINO's one output (1, 1, K, 7): image, label, score, x0, y0, x1, y1 as shares
            of the image; or TensorFlow's detection_boxes (1, K, 4) y0, x0, y1, x1 likewise,
            detection_scores (1, K) and detection_classes (1, K).
        labels: of the classes that are kept.
    """

    sides: Tensor

    def __init__(self, signature: common.Signature, labels: Sequence[int]) -> None:
        super().__init__(labels)
        shapes = signature.outputs
        rows = [name for name, shape in shapes.items() if len(shape) == 4 and shape[3] == 7]
        self.tensorflow = all(name in shapes for name in _TENSORFLOW)
        if self.tensorflow:
            self.outputs = _TENSORFLOW
        elif len(rows) == len(shapes) == 1:
            self.outputs = (rows[0],)
        else:
            raise common.refused(f"(1, 1, K, 7), or {', '.join(_TENSORFLOW)}", signature)
        self.num_labels = 0
        self.reads = "TensorFlow's boxes" if self.tensorflow else "OpenVINO's boxes"
        width, height = signature.size
        sides = torch.tensor([width, height, width, height], dtype=torch.float32)
        self.register_buffer("sides", sides, persistent=False)

    def forward(self, *outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class -> boxes (N, K, 4) px, scores (N, K), class ids (N, K)."""
        if self.tensorflow:
            yxyx, scores, labels = outputs
            boxes = torch.cat([yxyx[..., k : k + 1] for k in (1, 0, 3, 2)], 2)
        else:
            rows = outputs[0][:, 0]
            labels, scores, boxes = rows[..., 1], rows[..., 2], rows[..., 3:]
        kept, class_ids = self._kept(scores, labels)
        return boxes * self.sides, kept, class_ids
