"""What lies before another's detector: super-resolution, and the form that the detector takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasksr_ros.networks.tdsr import super_resolved


class DetectorInput(nn.Module):
    """Regions as another's detector takes them.

    Args:
        sr: (N, 3, H, W) -> (N, 3, H·s, W·s), RGB in [0, 1], or of video; a blind one gives kernels
            beside; None: none.
        channels: rgb or bgr.
        mean: of each of these channels, 0 to 255.
        std: of each of these channels.
        layout: nchw or nhwc.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        sr: nn.Module | None,
        channels: str,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        layout: str = "nchw",
    ) -> None:
        super().__init__()
        self.sr = sr
        self.channels = channels
        self.layout = layout
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, regions: Tensor, *clip: Tensor) -> tuple[Tensor, ...]:
        """(N, H, W, 3) uint8 RGB -> (N, 3, H·s, W·s) or (N, H·s, W·s, 3) float32; any kernels.

        ``clip`` as in `super_resolved`.
        """
        kernels: tuple[Tensor, ...] = ()
        if self.sr is None:
            image = regions.permute(0, 3, 1, 2).float()
        else:  # no detector has learnt values that no image has
            image, kernels = super_resolved(self.sr, torch.float32, regions, *clip)
            image = image.clamp(0, 1) * 255
        if self.channels == "bgr":
            image = torch.cat((image[:, 2:], image[:, 1:2], image[:, :1]), 1)
        image = (image - self.mean) / self.std
        return (image.permute(0, 2, 3, 1) if self.layout == "nhwc" else image, *kernels)
