"""TDSR: super-resolution and detector in series.

Haris, Shakhnarovich, Ukita: "Task-Driven Super Resolution: Object Detection in Low-resolution
Images", arXiv 1803.11316.
"""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor, nn


class TDSR(nn.Module):
    """A super-resolution network followed by a detector.

    Args:
        sr: (N, 3, H, W) -> (N, 3, H·s, W·s), RGB, nominally in [0, 1].
        detector: (N, 3, H·s, W·s) -> boxes (N, A, 4), scores (N, A), class ids (N, A).
    """

    def __init__(self, sr: nn.Module, detector: nn.Module) -> None:
        super().__init__()
        self.sr = sr
        self.detector = detector

    @overload
    def forward(
        self, lr: Tensor, return_sr: Literal[False] = ...
    ) -> tuple[Tensor, Tensor, Tensor]: ...

    @overload
    def forward(
        self, lr: Tensor, return_sr: Literal[True]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]: ...

    def forward(
        self, lr: Tensor, return_sr: bool = False
    ) -> tuple[Tensor, Tensor, Tensor] | tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect pedestrians in low-resolution regions.

        Args:
            lr: (N, 3, H, W) float RGB in [0, 1].
            return_sr: also return the image that the detector saw.

        Returns:
            boxes (N, A, 4) x0, y0, x1, y1 in SR px; scores (N, A) in [0, 1]; class ids (N, A)
            int32; with ``return_sr`` also the SR image (N, 3, H·s, W·s), not clipped to [0, 1].
        """
        sr = self.sr(lr)
        boxes, scores, class_ids = self.detector(sr)
        return (boxes, scores, class_ids, sr) if return_sr else (boxes, scores, class_ids)


class RegionDetector(nn.Module):
    """What an engine compiles: uint8 regions in; boxes, scores and class ids out.

    The normalisation is inside, so that the regions travel to the device as bytes.
    """

    def __init__(self, tdsr: TDSR) -> None:
        super().__init__()
        self.tdsr = tdsr

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, H, W, 3) uint8 RGB -> boxes (N, A, 4) in SR px, scores and class ids (N, A)."""
        dtype = next(self.tdsr.detector.parameters()).dtype
        boxes, scores, class_ids = self.tdsr(normalise(regions, dtype))
        return boxes, scores, class_ids


def normalise(regions: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) in [0, 1], channels last in memory."""
    return regions.permute(0, 3, 1, 2).to(dtype) / 255.0
