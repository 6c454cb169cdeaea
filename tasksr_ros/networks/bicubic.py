"""Bicubic interpolation behind the super-resolution interface: the baseline."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.blocks import check_images, check_scale_factor


class Bicubic(nn.Module):
    """Bicubic upscaling, a = -0.75, edges replicated (as torch's and OpenCV's)."""

    def __init__(self, scale_factor: int = 4) -> None:
        super().__init__()
        check_scale_factor(scale_factor)
        self.scale_factor = scale_factor

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) float in [0, 1] -> (N, 3, H·s, W·s); may overshoot [0, 1] at edges."""
        check_images(lr, 3)
        return F.interpolate(
            lr, scale_factor=float(self.scale_factor), mode="bicubic", align_corners=False
        )
