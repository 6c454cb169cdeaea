"""What several of the peers do: filters of a pixel's own, TensorFlow's order of channels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tasksr_ros.networks.super_resolution.blocks import check_images


def check_clip(frames: Tensor, num_frames: int, like: Tensor) -> None:
    """Raise ValueError unless ``frames`` is a float (N, num_frames, 3, H, W) of finite values.

    ``like`` as in `tasksr_ros.networks.super_resolution.blocks.check_images`.
    """
    if frames.ndim != 5 or frames.shape[1] != num_frames:
        raise ValueError(
            f"expected frames of shape (N, {num_frames}, 3, H, W), got {tuple(frames.shape)}"
        )
    check_images(frames.flatten(0, 1), 3, like)


def filter_locally(images: Tensor, filters: Tensor) -> Tensor:
    """Weigh the surroundings of every pixel with filters of its own, zeros outside the image.

    Args:
        images: (N, C, H, W).
        filters: (N, k², S, H, W), k odd: S filters a pixel, their taps row by row.

    Returns:
        (N, S, C, H, W).
    """
    height, width = images.shape[2:]
    side = math.isqrt(filters.shape[1])
    padded = F.pad(images, [side // 2] * 4)[:, None]
    result = torch.zeros((), dtype=images.dtype, device=images.device)
    for tap in range(side**2):
        dy, dx = divmod(tap, side)
        seen = padded[..., dy : dy + height, dx : dx + width]
        result = result + seen * filters[:, tap, :, None]
    return result


def with_sum_of_one(filters: Tensor) -> Tensor:
    """Shift the taps, axis 1, by a constant so that they sum to 1; they may be negative."""
    return filters - filters.mean(1, keepdim=True) + 1 / filters.shape[1]


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """(N, factor²·C, H, W) -> (N, C, H·factor, W·factor), in TensorFlow's order.

    Channel s·C + c goes to channel c of sub-pixel s = factor·row + column; torch's pixel_shuffle
    takes channel c·factor² + s.
    """
    n, channels, height, width = x.shape
    by_channel = x.view(n, factor**2, channels // factor**2, height, width).transpose(1, 2)
    return F.pixel_shuffle(by_channel.reshape(n, channels, height, width), factor)


def convolution_weight(kernel: Tensor) -> Tensor:
    """TensorFlow's (…, in, out) as torch's (out, in, …); a transposed one's (…, out, in) too."""
    axes = range(kernel.ndim)
    return kernel.permute(*reversed(axes[-2:]), *axes[:-2])


def without(state: Mapping[str, Tensor], *beginnings: str) -> dict[str, Tensor]:
    """What is left of a state dict without the keys that begin so."""
    return {key: value for key, value in state.items() if not key.startswith(beginnings)}
