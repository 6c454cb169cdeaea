"""TOFlow: task-oriented flow for video super-resolution.

Xue, Chen, Wu, Wei, Freeman: "Video Enhancement with Task-Oriented Flow", IJCV 127(8), 2019
(arXiv 1711.09078). Structure and names of the state dict's keys are those of the public PyTorch
port, Coldog2333/pytoflow (MIT). The authors' own network, in Lua, differs: it adds the centre
frame where the port adds the mean of all, and orders the frames in another way.

The network works at the output's size; LR frames are enlarged before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.dbpn import load_reference_state_dict
from tasksr_training.peers.parts import check_clip, without

LEVELS = 4
COARSEST = 32
"""px; an image with a larger side is halved for another level."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class FlowStep(nn.Module):
    """What a level adds to the flow of the level below."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        channels = [8, *widths, 2]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 7, padding=3), nn.ReLU()]
        self.moduleBasic = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """First image, warped second image and flow (N, 8, H, W) -> (N, 2, H, W)."""
        y: Tensor = self.moduleBasic(x)
        return y


class FlowNetwork(nn.Module):
    """Optical flow from coarse to fine (Ranjan, Black: SPyNet, CVPR 2017)."""

    def __init__(self, widths: Sequence[int], align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.moduleBasic = nn.ModuleList(FlowStep(widths) for _ in range(LEVELS))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two images (N, 3, H, W) -> (N, 2, H, W): x, y in px, first[p] ≈ second[p + flow]."""
        levels = [(first, second)]
        while len(levels) < LEVELS and max(levels[0][0].shape[2:]) > COARSEST:
            levels.insert(0, (F.avg_pool2d(levels[0][0], 2), F.avg_pool2d(levels[0][1], 2)))
        n, _, height, width = levels[0][0].shape
        flow = first.new_zeros(n, 2, height, width)
        for step, (a, b) in zip(self.moduleBasic, levels, strict=False):  # few levels: not all
            flow = _at_size(flow, (a.shape[2], a.shape[3]))
            warped = warp(b, flow, "border", self.align_corners)
            flow = flow + step(torch.cat([a, warped, flow], 1))
        return flow


class Fusion(nn.Module):
    """The change that all warped frames together ask for."""

    def __init__(self, num_frames: int, width: int) -> None:
        super().__init__()
        self.conv_3x7_64_9x9 = nn.Conv2d(3 * num_frames, width, 9, padding=4)
        self.conv_64_64_9x9 = nn.Conv2d(width, width, 9, padding=4)
        self.conv_64_64_1x1 = nn.Conv2d(width, width, 1)
        self.conv_64_3_1x1 = nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3·num_frames, H, W) -> (N, 3, H, W)."""
        x = F.relu(self.conv_3x7_64_9x9(x))
        x = F.relu(self.conv_64_64_9x9(x))
        x = F.relu(self.conv_64_64_1x1(x))
        y: Tensor = self.conv_64_3_1x1(x)
        return y


class TOFlow(nn.Module):
    """Neighbours are warped onto the middle frame by a flow that is learnt for that end.

    Args:
        flow_widths: channels between the convolutions of a flow level.
        sr_width: channels of the fusion.
        num_frames: odd; the middle one is enhanced.
        scale_factor: of frames that `forward` enlarges first; 1: they have the output's size.
        align_corners: how images are sampled. True as PyTorch did at the port's time; its code
            under a PyTorch from 1.3 on samples as with False.
    """

    def __init__(
        self,
        flow_widths: Sequence[int] = (32, 64, 32, 16),
        sr_width: int = 64,
        num_frames: int = 7,
        scale_factor: int = 1,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        if num_frames < 3 or num_frames % 2 == 0:
            raise ValueError(f"num_frames must be odd and at least 3, got {num_frames}")
        self.num_frames, self.align_corners = num_frames, align_corners
        self.scale_factor = scale_factor
        self.SpyNet = FlowNetwork(flow_widths, align_corners)
        self.ResNet = Fusion(num_frames, sr_width)

    def forward(self, frames: Tensor) -> Tensor:
        """Enhance the middle frame.

        Args:
            frames: (N, num_frames, 3, H, W) float RGB in [0, 1], in the order of time.

        Returns:
            (N, 3, H·s, W·s), not clipped to [0, 1].

        Raises:
            ValueError: for batches of other shapes or types.
        """
        if self.scale_factor > 1:
            frames = enlarged(frames, self.scale_factor)
        _, warped = self.align(frames)
        middle = self.num_frames // 2
        still = _normalised(frames[:, middle : middle + 1])
        together = torch.cat([warped[:, :middle], still, warped[:, middle:]], 1)
        sr = self.ResNet(together.flatten(1, 2)) + together.mean(1)
        mean, std = _statistics(sr)
        return sr * std + mean

    def align(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """The flow from the middle frame to each neighbour, and the neighbours warped by it.

        Args:
            frames: (N, num_frames, 3, H, W) of the output's size.

        Returns:
            (N, num_frames - 1, 2, H, W) in px and (N, num_frames - 1, 3, H, W), normalised
            colours, zeros where a neighbour shows nothing.
        """
        check_clip(frames, self.num_frames, self.ResNet.conv_64_3_1x1.weight)
        n, middle = len(frames), self.num_frames // 2
        images = _normalised(frames)
        others = torch.cat([images[:, :middle], images[:, middle + 1 :]], 1)
        target = images[:, middle : middle + 1].expand_as(others).flatten(0, 1)
        flow = self.SpyNet(target, others.flatten(0, 1))
        warped = warp(others.flatten(0, 1), flow, "zeros", self.align_corners)
        return flow.unflatten(0, (n, -1)), warped.unflatten(0, (n, -1))

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of a published checkpoint; those of its interpolation are left out.

        Raises:
            ValueError: if the keys or shapes are another network's; the first are named.
        """
        load_reference_state_dict(self, without(state_dict, "ResNet.conv_3x2_64_9x9."))


def warp(images: Tensor, flow: Tensor, outside: str, align_corners: bool = True) -> Tensor:
    """Sample images at p + flow, bilinear.

    Args:
        images: (N, C, H, W).
        flow: (N, 2, H, W): x, y in px.
        outside: "zeros" or "border".
        align_corners: False samples at places shifted outwards by up to half a px, which is what
            the port's call does under a newer PyTorch.
    """
    height, width = images.shape[2:]
    y, x = (torch.arange(n, dtype=flow.dtype, device=flow.device) for n in (height, width))
    place_x = 2 * (x + flow[:, 0]) / max(width - 1, 1) - 1
    place_y = 2 * (y[:, None] + flow[:, 1]) / max(height - 1, 1) - 1
    grid = torch.stack([place_x, place_y], -1)
    return F.grid_sample(images, grid, "bilinear", outside, align_corners)


def enlarged(frames: Tensor, scale_factor: int) -> Tensor:
    """LR frames (N, T, 3, h, w) at the output's size: bicubic (a = -0.5), in [0, 1]."""
    large = F.interpolate(
        frames.flatten(0, 1), scale_factor=float(scale_factor), mode="bicubic", antialias=True
    )
    return large.clamp(0, 1).unflatten(0, frames.shape[:2])


def _at_size(flow: Tensor, hw: tuple[int, int]) -> Tensor:
    """The flow of the level below at twice its size, in the px of the level."""
    if tuple(flow.shape[2:]) == hw:
        return flow
    double = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True) * 2
    missing = (0, hw[1] - double.shape[3], 0, hw[0] - double.shape[2])
    return F.pad(double, missing, mode="replicate")


def _statistics(like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (like.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return mean, std


def _normalised(frames: Tensor) -> Tensor:
    mean, std = _statistics(frames)
    return (frames - mean) / std
