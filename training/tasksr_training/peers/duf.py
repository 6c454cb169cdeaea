"""VSR-DUF: video super-resolution by dynamic upsampling filters.

Jo, Oh, Kang, Kim: "Deep Video Super-Resolution Network Using Dynamic Upsampling Filters Without
Explicit Motion Compensation", CVPR 2018. Structure, names and layouts of the published weights are
those of the authors' public code, yhjo09/VSR-DUF (nets.py).

Every LR pixel gets a 5x5 filter per sub-pixel, which reads the middle frame, and a residual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.dbpn import load_reference_state_dict
from tasksr_training.peers.parts import (
    check_clip,
    convolution_weight,
    depth_to_space,
    filter_locally,
    without,
)

NUM_FRAMES = 7
TAPS = 25
CROPPING = 3
"""The last blocks, of which each takes away the first and the last frame."""

GROWTH = {16: 32, 28: 16, 52: 16}
"""Channels that a dense block of the published networks adds, by the number of layers."""

SIGMA = {2: 0.8, 3: 1.2, 4: 1.6}
"""Of the Gaussian that blurs HR before every s-th pixel is kept, px."""


class DenseBlock(nn.Module):
    """Adds ``growth`` channels to its input.

    Args:
        channels: of the input.
        growth: channels that are added.
        crops: without the first and the last frame.
    """

    def __init__(self, channels: int, growth: int, crops: bool) -> None:
        super().__init__()
        self.crops = crops
        self.bn_a = _norm(channels)
        self.conv_a = nn.Conv3d(channels, channels, 1)
        self.bn_b = _norm(channels)
        self.conv_b = nn.Conv3d(channels, growth, 3, padding=(0 if crops else 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, T, H, W) -> (N, channels + growth, T or T - 2, H, W)."""
        new = self.conv_a(F.relu(self.bn_a(x)))
        new = self.conv_b(F.relu(self.bn_b(new)))
        return torch.cat([x[:, :, 1:-1] if self.crops else x, new], 1)


class DUF(nn.Module):
    """Dense blocks over seven frames; two heads give the filters and the residual.

    Args:
        scale_factor: 2, 3 or 4.
        num_layers: 16, 28 or 52 in the paper; 2·blocks + 4.
        f0: channels of the first feature map.
        growth: channels that a block adds; None: as published for ``num_layers``.
        head: channels before the two heads.
        filter_hidden: channels within the filters' head.

    Raises:
        ValueError: for a number of layers that is none.
    """

    def __init__(
        self,
        scale_factor: int = 4,
        num_layers: int = 16,
        f0: int = 64,
        growth: int | None = None,
        head: int = 256,
        filter_hidden: int = 512,
    ) -> None:
        super().__init__()
        num_blocks = (num_layers - 4) // 2
        if num_layers % 2 or num_blocks < CROPPING:
            raise ValueError(f"num_layers must be even and at least 10, got {num_layers}")
        if growth is None and num_layers not in GROWTH:
            raise ValueError(f"expected growth for other than {list(GROWTH)} layers, got none")
        added = GROWTH[num_layers] if growth is None else growth
        self.scale_factor, self.num_frames = scale_factor, NUM_FRAMES
        self.conv1 = nn.Conv3d(3, f0, (1, 3, 3), padding=(0, 1, 1))
        self.blocks = nn.Sequential(
            *(
                DenseBlock(f0 + n * added, added, crops=n >= num_blocks - CROPPING)
                for n in range(num_blocks)
            )
        )
        width = f0 + num_blocks * added
        self.fbn1 = _norm(width)
        self.conv2 = nn.Conv3d(width, head, (1, 3, 3), padding=(0, 1, 1))
        self.rconv1 = nn.Conv3d(head, head, 1)
        self.rconv2 = nn.Conv3d(head, 3 * scale_factor**2, 1)
        self.fconv1 = nn.Conv3d(head, filter_hidden, 1)
        self.fconv2 = nn.Conv3d(filter_hidden, TAPS * scale_factor**2, 1)
        self.apply(_initialise)

    def forward(self, frames: Tensor) -> Tensor:
        """Super-resolve the middle frame.

        Args:
            frames: (N, 7, 3, H, W) float RGB in [0, 1], LR, in the order of time.

        Returns:
            (N, 3, H·s, W·s), not clipped to [0, 1].

        Raises:
            ValueError: for batches of other shapes or types.
        """
        filters, residual = self.filters_and_residual(frames)
        filtered = filter_locally(frames[:, NUM_FRAMES // 2], filters)
        return depth_to_space(filtered.flatten(1, 2) + residual, self.scale_factor)

    def filters_and_residual(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 7, 3, H, W) -> filters (N, 25, s², H, W) that sum to 1, residual (N, s²·3, H, W)."""
        check_clip(frames, NUM_FRAMES, self.conv1.weight)
        x = self.blocks(self.conv1(frames.transpose(1, 2)))
        x = F.relu(self.conv2(F.relu(self.fbn1(x))))
        residual = self.rconv2(F.relu(self.rconv1(x)))[:, :, 0]
        filters = self.fconv2(F.relu(self.fconv1(x)))[:, :, 0]
        return filters.unflatten(1, (TAPS, -1)).softmax(1), residual

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load published weights: names as ``Rconv1a/W``, layouts as TensorFlow has them.

        Raises:
            ValueError: if the keys or shapes are another network's; the first are named.
        """
        given = without(state_dict, "filter_localexpand")  # the identity as a filter
        own = dict(_own(key, value) for key, value in given.items())
        for key, value in self.state_dict().items():
            if key.endswith("num_batches_tracked"):
                own[key] = value
        load_reference_state_dict(self, own)


def gaussian(size: int, sigma: float) -> Tensor:
    """(size, size) float64 with a sum of 1; ``size`` odd, ``sigma`` in px."""
    place = torch.arange(size, dtype=torch.float64) - size // 2
    line = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = torch.outer(line, line)
    return kernel / kernel.sum()


def downsample(hr: Tensor, scale_factor: int, sigma: float | None = None, size: int = 13) -> Tensor:
    """The paper's LR images: blurred, then every s-th pixel, the first one included.

    Args:
        hr: (N, C, H, W), H and W larger than twice the scale factor and than size / 2.
        scale_factor: s.
        sigma: of the Gaussian, px; None: the paper's for the scale factor.
        size: of the Gaussian's window, odd.

    Returns:
        (N, C, ceil(H / s), ceil(W / s)); LR pixel i is centred on HR pixel s·i.
    """
    kernel = gaussian(size, SIGMA[scale_factor] if sigma is None else sigma).to(hr)
    padded = F.pad(hr, [2 * scale_factor] * 4, mode="reflect")
    padded = F.pad(padded, [size // 2] * 4, mode="reflect")
    weight = kernel.expand(hr.shape[1], 1, size, size)
    lr = F.conv2d(padded, weight, stride=scale_factor, groups=hr.shape[1])
    return lr[..., 2:-2, 2:-2]


def _norm(channels: int) -> nn.BatchNorm3d:
    return nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


_LEAVES = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def _own(key: str, value: Tensor) -> tuple[str, Tensor]:
    """A published name and weight in this class's names and layout."""
    scope, _, leaf = key.rpartition("/")
    block = re.fullmatch(r"R(bn|conv)(\d+)([ab])", scope)
    name = f"blocks.{int(block[2]) - 1}.{block[1]}_{block[3]}" if block else scope
    if leaf not in _LEAVES or not scope:
        return key, value
    return f"{name}.{_LEAVES[leaf]}", convolution_weight(value) if value.ndim == 5 else value
