"""Convolution + PReLU blocks that the back-projection networks share.

Attribute names give the published checkpoints' keys (``….conv.weight``, ``….deconv.weight``,
``….act.weight``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

KERNEL_STRIDE_PADDING: dict[int, tuple[int, int, int]] = {
    2: (6, 2, 2),
    4: (8, 4, 2),
    8: (12, 8, 2),
}
"""Kernel size, stride and padding of a projection, by scale factor (DBPN, section 4.1)."""


def check_scale_factor(scale_factor: int) -> None:
    """Raise ValueError unless the projections are defined for ``scale_factor``."""
    if scale_factor not in KERNEL_STRIDE_PADDING:
        known = ", ".join(map(str, KERNEL_STRIDE_PADDING))
        raise ValueError(f"scale_factor must be one of {known}, got {scale_factor!r}")


def check_images(x: Tensor, channels: int, like: Tensor | None = None) -> None:
    """Raise ValueError unless ``x`` is a batch that a network can take.

    Args:
        x: expected to be a non-empty (N, channels, H, W) batch of finite floats.
        channels: of the images.
        like: a weight of the network, whose type the images must have (unless autocast is on).
    """
    if x.ndim != 4 or x.shape[1] != channels or not x.is_floating_point() or 0 in x.shape:
        raise ValueError(
            f"expected a non-empty float batch of shape (N, {channels}, H, W), "
            f"got {x.dtype} of shape {tuple(x.shape)}"
        )
    if like is not None and x.dtype != like.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"expected images of {like.dtype} as the network's weights, got {x.dtype}")
    check_finite("images", x)


def check_finite(name: str, x: Tensor) -> None:
    """Raise ValueError if ``x`` holds NaN or infinity.

    Only on the CPU, since a GPU would have to be waited for, and never in a graph that is being
    exported, traced or compiled: what is deployed does without (its input is bytes).
    It takes 0.01 ms for an image of 320x96 px.
    """
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore
    if recorded or x.device.type != "cpu":
        return
    if not x.detach().sum(dtype=torch.float32).isfinite():  # one pass, no mask of x's size
        bad = x.numel() - int(x.isfinite().sum())
        if bad:
            raise ValueError(f"expected finite {name}, got NaN or infinity in {bad} of {x.numel()}")


class ConvBlock(nn.Module):
    """Conv2d with bias, then a PReLU with one slope unless ``activation`` is false."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.act = nn.PReLU() if activation else None
        nn.init.kaiming_normal_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        x = self.conv(x)
        return x if self.act is None else self.act(x)


class DeconvBlock(nn.Module):
    """ConvTranspose2d with bias, then a PReLU with one slope."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, padding: int
    ) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding)
        self.act = nn.PReLU()
        nn.init.kaiming_normal_(self.deconv.weight)
        nn.init.zeros_(self.deconv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H·stride, W·stride)."""
        y: Tensor = self.act(self.deconv(x))
        return y


class UpUnit(nn.Module):
    """Up-projection: LR features to HR features, corrected by the back-projected LR error.

    Args:
        nr: channels of the projections.
        scale_factor: 2, 4 or 8.
        num_inputs: maps concatenated at the input; more than one makes the unit dense (a 1x1
            convolution reduces them to ``nr`` channels first).
    """

    def __init__(self, nr: int, scale_factor: int, num_inputs: int = 1) -> None:
        super().__init__()
        kernel_size, stride, padding = KERNEL_STRIDE_PADDING[scale_factor]
        self.conv = ConvBlock(nr * num_inputs, nr, 1) if num_inputs > 1 else None
        self.up_conv1 = DeconvBlock(nr, nr, kernel_size, stride, padding)
        self.up_conv2 = ConvBlock(nr, nr, kernel_size, stride, padding)
        self.up_conv3 = DeconvBlock(nr, nr, kernel_size, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """(N, nr·num_inputs, H, W) -> (N, nr, H·s, W·s)."""
        if self.conv is not None:
            x = self.conv(x)
        h0 = self.up_conv1(x)
        l0 = self.up_conv2(h0)
        h: Tensor = self.up_conv3(l0 - x) + h0
        return h


class DownUnit(nn.Module):
    """Down-projection: the mirror of `UpUnit`, from HR features to LR features."""

    def __init__(self, nr: int, scale_factor: int, num_inputs: int = 1) -> None:
        super().__init__()
        kernel_size, stride, padding = KERNEL_STRIDE_PADDING[scale_factor]
        self.conv = ConvBlock(nr * num_inputs, nr, 1) if num_inputs > 1 else None
        self.down_conv1 = ConvBlock(nr, nr, kernel_size, stride, padding)
        self.down_conv2 = DeconvBlock(nr, nr, kernel_size, stride, padding)
        self.down_conv3 = ConvBlock(nr, nr, kernel_size, stride, padding)

    def forward(self, h: Tensor) -> Tensor:
        """(N, nr·num_inputs, H·s, W·s) -> (N, nr, H, W)."""
        if self.conv is not None:
            h = self.conv(h)
        l0 = self.down_conv1(h)
        h0 = self.down_conv2(l0)
        x: Tensor = self.down_conv3(h0 - h) + l0
        return x
