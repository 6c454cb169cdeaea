"""Any super-resolution network as one from an LR image to an SR image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.lr_space import LRSpaceRBPN
from tasksr_ros.networks.super_resolution.rbpn import RBPN


class OfImage(nn.Module):
    """A network whose other inputs are fixed, and whose other outputs are dropped.

    Args:
        network: of still images, video (its neighbours are noise that does not move) or blind.
        region_hw: height and width of the LR image, px.
    """

    def __init__(self, network: nn.Module, region_hw: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.more: list[Tensor] = []
        video = network.rbpn if isinstance(network, LRSpaceRBPN) else network
        if isinstance(video, RBPN):
            count, (height, width) = video.num_frames - 1, region_hw
            random = torch.Generator().manual_seed(0)
            noise = torch.rand(1, count, 3, height, width, generator=random)
            self.more = [noise, torch.zeros(1, count, 2, height, width)]

    def forward(self, lr: Tensor) -> Tensor:
        """(1, 3, h, w) in [0, 1] -> (1, 3, h·s, w·s)."""
        result = self.network(lr, *self.more)
        sr: Tensor = result[0] if isinstance(result, tuple) else result
        return sr
