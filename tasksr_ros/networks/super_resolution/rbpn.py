"""RBPN: Recurrent Back-Projection Network for video super-resolution.

Haris, Shakhnarovich, Ukita: "Recurrent Back-Projection Network for Video Super-Resolution",
CVPR 2019 (arXiv 1903.10128). Structure, names of the state dict's keys and initialisation follow
the authors' public code, alterzero/RBPN-PyTorch (rbpn.py, dbpns.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.blocks import (
    KERNEL_STRIDE_PADDING,
    ConvBlock,
    DeconvBlock,
    DownUnit,
    UpUnit,
    check_finite,
    check_images,
    check_scale_factor,
)
from tasksr_ros.networks.super_resolution.dbpn import load_reference_state_dict
from tasksr_ros.networks.super_resolution.frames import NUM_FRAMES, neighbour_offsets

SMALL: dict[str, int] = {"base_filter": 32, "feat": 16, "n_resblock": 1}

VARIANTS: dict[str, dict[str, int]] = {
    name: {**(SMALL if "small" in name else {}), "num_frames": number}
    for name, number in NUM_FRAMES.items()
}
"""Constructor arguments by name. ``rbpn`` and ``rbpn-4`` are the paper's RBPN/6 and RBPN/3 (it
counts the neighbours). The small ones are ours: the same structure, narrower, one residual block a
path, 0.35 M parameters at x4."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a skip; one PReLU acts in the middle and again on the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.PReLU()
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        y: Tensor = self.act(x + self.conv2(self.act(self.conv1(x))))
        return y


class DBPNS(nn.Module):
    """The single-image path: a DBPN from features to features, 1x1 at both ends.

    Args:
        base_filter: channels of the input.
        feat: channels of the projections and of the output.
        num_stages: number of up-projections. The reference code always builds three and lets its
            ``num_stages`` size the last convolution only, so that nothing but 3 runs there.
        scale_factor: 2, 4 or 8.
    """

    def __init__(self, base_filter: int, feat: int, num_stages: int, scale_factor: int) -> None:
        super().__init__()
        self.num_stages = num_stages
        self.feat1 = ConvBlock(base_filter, feat, 1)
        for stage in range(1, num_stages + 1):
            self.add_module(f"up{stage}", UpUnit(feat, scale_factor))
            if stage < num_stages:
                self.add_module(f"down{stage}", DownUnit(feat, scale_factor))
        self.output: nn.Module = ConvBlock(num_stages * feat, feat, 1, activation=False)
        self.join: Callable[[list[Tensor]], Tensor] = partial(torch.cat, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, base_filter, H, W) -> (N, feat, H·s, W·s)."""
        hr_maps = [self.get_submodule("up1")(self.feat1(x))]
        for stage in range(1, self.num_stages):
            lr_map = self.get_submodule(f"down{stage}")(hr_maps[0])
            hr_maps.insert(0, self.get_submodule(f"up{stage + 1}")(lr_map))
        h: Tensor = self.output(self.join(hr_maps))
        return h


class RBPN(nn.Module):
    """A state on the LR grid meets one neighbour after the other; each meeting gives an HR map.

    Args:
        scale_factor: 2, 4 or 8.
        num_channels: image channels: 3 for RGB.
        base_filter: channels of the LR features.
        feat: channels of the HR features.
        num_stages: up-projections of the single-image path, see `DBPNS`.
        n_resblock: residual blocks in each of the three residual paths.
        num_frames: the target and its neighbours.
        past_only: whether all neighbours are frames before the target, as in a vehicle ("-P" in
            the paper); decides `offsets`, and no weight.

    Attributes:
        offsets: of the neighbours, see `neighbour_offsets`.

    Raises:
        ValueError: for a scale factor without defined projections, no stage or no neighbour.
    """

    def __init__(
        self,
        scale_factor: int = 4,
        num_channels: int = 3,
        base_filter: int = 256,
        feat: int = 64,
        num_stages: int = 3,
        n_resblock: int = 5,
        num_frames: int = 7,
        past_only: bool = False,
    ) -> None:
        super().__init__()
        check_scale_factor(scale_factor)
        if num_stages < 1:
            raise ValueError(f"num_stages must be at least 1, got {num_stages}")
        self.offsets = neighbour_offsets(num_frames, past_only=past_only)
        self.scale_factor = scale_factor
        self.num_channels = num_channels
        self.num_frames = num_frames
        projection = KERNEL_STRIDE_PADDING[scale_factor]
        self.feat0 = ConvBlock(num_channels, base_filter, 3, 1, 1)
        self.feat1 = ConvBlock(2 * num_channels + 2, base_filter, 3, 1, 1)
        self.DBPN = DBPNS(base_filter, feat, num_stages, scale_factor)
        self.res_feat1 = _residual_path(
            base_filter, n_resblock, DeconvBlock(base_filter, feat, *projection)
        )
        self.res_feat2 = _residual_path(feat, n_resblock, ConvBlock(feat, feat, 3, 1, 1))
        self.res_feat3 = _residual_path(feat, n_resblock, ConvBlock(feat, base_filter, *projection))
        self.output = ConvBlock((num_frames - 1) * feat, num_channels, 3, 1, 1, activation=False)

    def forward(self, target: Tensor, neighbours: Tensor, flows: Tensor) -> Tensor:
        """Super-resolve the target frame with the help of its K = num_frames - 1 neighbours.

        Args:
            target: (N, num_channels, H, W) float RGB in [0, 1].
            neighbours: (N, K, num_channels, H, W), in the order of ``offsets``.
            flows: (N, K, 2, H, W) optical flow target -> neighbour (x, y) in LR px, see
                `tasksr_ros.networks.super_resolution.flow`.

        Returns:
            (N, num_channels, H·s, W·s); not clipped to [0, 1].

        Raises:
            ValueError: for batches of other shapes or types.
        """
        weight = self.feat0.conv.weight
        check_frames(target, neighbours, flows, self.num_channels, self.num_frames, weight)
        state = self.feat0(target)
        hr_maps = []
        for neighbour, flow in zip(neighbours.unbind(1), flows.unbind(1), strict=True):
            h0 = self.DBPN(state)
            h1 = self.res_feat1(self.feat1(torch.cat((target, neighbour, flow), 1)))
            h = h0 + self.res_feat2(h0 - h1)
            hr_maps.append(h)
            if len(hr_maps) < self.num_frames - 1:  # nobody would see the state after the last
                state = self.res_feat3(h)
        sr: Tensor = self.output(torch.cat(hr_maps, 1))
        return sr

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of a published checkpoint, with or without ``module.`` prefixes.

        Raises:
            ValueError: if the keys or shapes are another network's; the first are named.
        """
        load_reference_state_dict(self, state_dict)


def _residual_path(channels: int, n_resblock: int, last: nn.Module) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(n_resblock)), last)


def check_frames(
    target: Tensor,
    neighbours: Tensor,
    flows: Tensor,
    num_channels: int,
    num_frames: int,
    like: Tensor | None = None,
) -> None:
    """Raise ValueError unless the batches fit together and hold ``num_frames`` frames.

    ``like`` as in `blocks.check_images`.
    """
    check_images(target, num_channels, like)
    n, _, height, width = target.shape
    for name, batch, channels in (("neighbours", neighbours, num_channels), ("flows", flows, 2)):
        expected = (n, num_frames - 1, channels, height, width)
        if tuple(batch.shape) != expected or batch.dtype != target.dtype:
            raise ValueError(
                f"expected {name} of shape {expected} and {target.dtype} for {num_frames} frames "
                f"(target and {num_frames - 1} neighbours), "
                f"got {batch.dtype} of shape {tuple(batch.shape)}"
            )
        check_finite(name, batch)
