"""KOALAnet: blind super-resolution with kernel-oriented adaptive local adjustment.

Kim, Sim, Kim: "KOALAnet: Blind Super-Resolution using Kernel-Oriented Adaptive Local Adjustment",
CVPR 2021 (arXiv 2012.08103). Structure, names and layouts of the published weights are those of the
authors' public code, hjSim/KOALAnet (koalanet.py, ops.py).

One network estimates a downscaling kernel per LR pixel; in the other, modules that see the kernels
scale features and filter them with a 7x7 filter of each pixel's own. Images are RGB in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.blocks import check_images
from tasksr_ros.networks.super_resolution.dbpn import load_reference_state_dict
from tasksr_training.peers.parts import (
    convolution_weight,
    depth_to_space,
    filter_locally,
    with_sum_of_one,
)

MULTIPLE = 4
"""LR height and width must be multiples of it: the kernel estimation halves them twice."""

BICUBIC_TAPS = (-0.0625, 0.5625, 0.5625, -0.0625)
"""Of the cubic (a = -0.5) half-way between two pixels."""


class ResidualBlock(nn.Module):
    """ReLU before each of two 3x3 convolutions, and a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv2d = _conv3(channels, channels)
        self.conv2d_1 = _conv3(channels, channels)

    def change(self, x: Tensor) -> Tensor:
        """What the block adds to x (N, channels, H, W)."""
        y: Tensor = self.conv2d_1(F.relu(self.conv2d(F.relu(x))))
        return y

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return x + self.change(x)


class Level(nn.Module):
    """A convolution, two residual blocks and ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv2d = _conv3(before, after)
        self.res_block = nn.ModuleList(ResidualBlock(after) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, after, H, W)."""
        x = self.conv2d(x)
        for block in self.res_block:
            x = block(x)
        return F.relu(x)


class Bottleneck(nn.Module):
    """A convolution, one residual block and ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv2d = _conv3(before, after)
        self.Residual_block = ResidualBlock(after)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, after, H, W)."""
        y: Tensor = self.Residual_block(self.conv2d(x))
        return F.relu(y)


class UpLevel(Level):
    """Twice the size, beside the map of that size from the way down, then a `Level`."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(2 * after, after)
        self.conv2d_transpose = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)

    def up(self, x: Tensor, skipped: Tensor) -> Tensor:
        """(N, before, H, W) and (N, after, 2·H, 2·W) -> (N, after, 2·H, 2·W)."""
        return self.forward(torch.cat([self.conv2d_transpose(x), skipped], 1))


class KernelEstimator(nn.Module):
    """The downscaling kernel of every LR pixel.

    Args:
        ch: channels at the first level.
        kernel_size: side of a kernel, HR px.
    """

    def __init__(self, ch: int = 64, kernel_size: int = 20) -> None:
        super().__init__()
        self.enc_block_res = nn.ModuleList([Level(3, ch), Level(ch, 2 * ch)])
        self.bottleneck_res = Bottleneck(2 * ch, 4 * ch)
        self.dec_block_res = nn.ModuleList([UpLevel(4 * ch, 2 * ch), UpLevel(2 * ch, ch)])
        self.conv2d = _conv3(ch, ch)
        self.conv2d_1 = _conv3(ch, kernel_size**2)
        self.apply(_initialise)

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [-1, 1] -> (N, kernel_size², H, W), not yet with a sum of 1.

        Raises:
            ValueError: for a batch of another shape or type, or sides that are no multiple of 4.
        """
        _check(lr, self.conv2d.weight)
        skipped = [self.enc_block_res[0](lr)]
        skipped.append(self.enc_block_res[1](F.max_pool2d(skipped[0], 2)))
        x = self.bottleneck_res(F.max_pool2d(skipped[1], 2))
        for level in self.dec_block_res:
            assert isinstance(level, UpLevel)
            x = level.up(x, skipped.pop())
        kernels: Tensor = self.conv2d_1(F.relu(self.conv2d(x)))
        return kernels

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """See `KOALAnet.load_reference_state_dict`; without the scope ``SISR_DDF/``."""
        load_reference_state_dict(self, _own(state_dict))


class KernelCondition(nn.Module):
    """Features of the kernels."""

    def __init__(self, taps: int, ch: int) -> None:
        super().__init__()
        self.conv2d = _conv3(taps, ch)
        self.conv2d_1 = _conv3(ch, ch)
        self.conv2d_2 = _conv3(ch, ch)

    def forward(self, kernels: Tensor) -> Tensor:
        """(N, taps, H, W) -> (N, ch, H, W)."""
        x = F.relu(self.conv2d(kernels))
        x = F.relu(self.conv2d_1(x))
        return F.relu(self.conv2d_2(x))


class KOALAModule(nn.Module):
    """Features scaled, then filtered at every pixel, as the kernel there demands."""

    def __init__(self, ch: int, filter_size: int) -> None:
        super().__init__()
        self.conv2d = _conv3(ch, ch)
        self.conv2d_1 = _conv3(ch, ch)
        self.conv2d_2 = nn.Conv2d(ch, ch, 1)
        self.conv2d_3 = nn.Conv2d(ch, filter_size**2, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Both (N, ch, H, W) -> (N, ch, H, W)."""
        scaled = x * self.conv2d_1(F.relu(self.conv2d(condition)))
        filters = with_sum_of_one(self.conv2d_3(F.relu(self.conv2d_2(condition))))
        return filter_locally(scaled, filters[:, :, None])[:, 0]


class Upsampler(nn.Module):
    """Filters and a residual for every HR pixel, as in VSR-DUF.

    Args:
        scale_factor: 2 or 4.
        ch: channels.
        num_blocks: residual blocks.
        num_koala: the first so many of them are adapted to the kernels; 0: the paper's baseline,
            which sees none.
        kernel_size: side of an estimated kernel.
        filter_size: side of the filters of features.
        up_filter_size: side of the filters that make the image.
    """

    def __init__(
        self,
        scale_factor: int = 4,
        ch: int = 64,
        num_blocks: int = 12,
        num_koala: int = 5,
        kernel_size: int = 20,
        filter_size: int = 7,
        up_filter_size: int = 5,
    ) -> None:
        super().__init__()
        if scale_factor not in (2, 4):
            raise ValueError(f"scale_factor must be 2 or 4, got {scale_factor!r}")
        if num_blocks < 1 or not 0 <= num_koala <= num_blocks:
            raise ValueError(
                f"expected 0 <= num_koala <= num_blocks, got {num_koala}, {num_blocks}"
            )
        if filter_size % 2 == 0 or up_filter_size % 2 == 0:
            raise ValueError(f"filters must have odd sides, got {filter_size}, {up_filter_size}")
        self.scale_factor, self.num_blocks = scale_factor, num_blocks
        self.taps = up_filter_size**2
        self.conv2d = _conv3(3, ch)
        for number in range(1, num_blocks + 1):
            self.add_module(f"Residual_block0_{number}", ResidualBlock(ch))
        if num_koala:
            self.kernel_condition = KernelCondition(kernel_size**2, ch)
        self.KOALA_module = nn.ModuleDict(
            {str(n): KOALAModule(ch, filter_size) for n in range(1, num_koala + 1)}
        )
        self.conv2d_1 = _conv3(ch, 2 * ch)
        self.conv2d_2 = _conv3(2 * ch, self.taps * scale_factor**2)
        self.conv2d_3 = _conv3(ch, 2 * ch)
        if scale_factor == 4:
            self.conv2d_4 = _conv3(ch // 2, ch)
            self.conv2d_5 = _conv3(ch // 4, 3)
        else:
            self.conv2d_4 = _conv3(ch // 2, 3)
        self.apply(_initialise)

    def forward(self, lr: Tensor, kernels: Tensor | None = None) -> Tensor:
        """Super-resolve images.

        Args:
            lr: (N, 3, H, W) RGB in [-1, 1].
            kernels: (N, kernel_size², H, W) as `KernelEstimator` gives them; None: the baseline
                that the paper trains first, all blocks plain.

        Returns:
            (N, 3, H·s, W·s), not clipped to [-1, 1].

        Raises:
            ValueError: for batches of other shapes or types, or kernels where there must be none.
        """
        x = F.relu(self.block_outputs(lr, kernels)[-1])
        return self.filtered(lr, self.filters(x)) + self.residual(x)

    def block_outputs(self, lr: Tensor, kernels: Tensor | None) -> list[Tensor]:
        """The features after each block, (N, ch, H, W); arguments as of `forward`."""
        check_images(lr, 3, self.conv2d.weight)
        if kernels is not None and not len(self.KOALA_module):
            raise ValueError("expected no kernels for a baseline, without KOALA modules")
        condition = None if kernels is None else self.kernel_condition(kernels)
        x = self.conv2d(lr)
        outputs = []
        for number in range(1, self.num_blocks + 1):
            block = self.get_submodule(f"Residual_block0_{number}")
            assert isinstance(block, ResidualBlock)
            if condition is not None and str(number) in self.KOALA_module:
                x = x + self.KOALA_module[str(number)](block.change(x), condition)
            else:
                x = block(x)
            outputs.append(x)
        return outputs

    def filters(self, x: Tensor) -> Tensor:
        """Features (N, ch, H, W) -> (N, taps·s², H, W), not yet with a sum of 1."""
        y: Tensor = self.conv2d_2(F.relu(self.conv2d_1(x)))
        return y

    def filtered(self, lr: Tensor, filters: Tensor) -> Tensor:
        """The LR image through the `filters`: (N, 3, H·s, W·s)."""
        normalised = with_sum_of_one(filters.unflatten(1, (self.taps, -1)))
        return depth_to_space(filter_locally(lr, normalised).flatten(1, 2), self.scale_factor)

    def residual(self, x: Tensor) -> Tensor:
        """Features (N, ch, H, W) -> (N, 3, H·s, W·s)."""
        x = depth_to_space(F.relu(self.conv2d_3(x)), 2)
        if self.scale_factor == 4:
            x = depth_to_space(F.relu(self.conv2d_4(x)), 2)
            y: Tensor = self.conv2d_5(x)
            return y
        y = self.conv2d_4(x)
        return y

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """See `KOALAnet.load_reference_state_dict`; without the scope ``SISR_DUF/``."""
        load_reference_state_dict(self, _own(state_dict))


class KOALAnet(nn.Module):
    """Both networks."""

    def __init__(self, estimator: KernelEstimator, upsampler: Upsampler) -> None:
        super().__init__()
        self.SISR_DDF, self.SISR_DUF = estimator, upsampler
        self.scale_factor = upsampler.scale_factor

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Super-resolve images and estimate the kernels that made them.

        Args:
            lr: (N, 3, H, W) RGB in [-1, 1]; H and W multiples of 4.

        Returns:
            (N, 3, H·s, W·s) and the kernels as `KernelEstimator` gives them.
        """
        kernels = self.SISR_DDF(lr)
        return self.SISR_DUF(lr, kernels), kernels

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load published weights: names and layouts as TensorFlow has them, without ``:0``.

        Raises:
            ValueError: if the keys or shapes are another network's; the first are named.
        """
        load_reference_state_dict(self, _own(state_dict))


def gaussian(sigmas: tuple[float, float], angle: float, size: int = 15) -> Tensor:
    """An anisotropic Gaussian kernel (size, size) float64 with a sum of 1.

    Args:
        sigmas: along its axes, HR px.
        angle: of the first axis, radians, from the columns' axis towards the rows'.
        size: odd.
    """
    turn = torch.tensor(angle, dtype=torch.float64)
    axes = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()]).view(2, 2)
    inverse = axes @ torch.diag(torch.tensor(sigmas, dtype=torch.float64) ** -2) @ axes.T
    place = torch.arange(size, dtype=torch.float64) - size // 2
    grid = torch.stack(torch.meshgrid(place, place, indexing="xy"), -1)
    kernel = torch.exp(-0.5 * torch.einsum("yxi,ij,yxj->yx", grid, inverse, grid))
    return kernel / kernel.sum()


def downscaling_kernel(blur: Tensor, size: int = 20) -> Tensor:
    """A blur (k, k), k odd, and bicubic downscaling as one kernel (size, size), size even."""
    bicubic = blur.new_zeros(size, size)
    taps = blur.new_tensor(BICUBIC_TAPS)
    middle = slice(size // 2 - 2, size // 2 + 2)
    bicubic[middle, middle] = torch.outer(taps, taps)
    padding = blur.shape[-1] // 2
    return F.conv2d(bicubic[None, None], blur[None, None], padding=padding)[0, 0]


def degrade(hr: Tensor, kernel: Tensor, scale_factor: int) -> Tensor:
    """The LR images of the paper, of 8 bits.

    Args:
        hr: (N, 3, H, W) RGB in [-1, 1].
        kernel: (k, k) or (N, k, k), k even, see `downscaling_kernel`.
        scale_factor: 2 or 4.

    Returns:
        (N, 3, H / s, W / s) in [-1, 1].
    """
    n, channels, height, width = hr.shape
    size = kernel.shape[-1]
    reach = (size - scale_factor) // 2
    padded = _mirrored(_mirrored(hr, reach, 2), reach, 3)
    weight = kernel.to(hr).expand(n, size, size).repeat_interleave(channels, 0)[:, None]
    flat = padded.view(1, n * channels, *padded.shape[2:])
    lr = F.conv2d(flat, weight, stride=scale_factor, groups=n * channels)
    rounded = ((lr + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    return rounded.view(n, channels, height // scale_factor, width // scale_factor)


def reconstructed(hr: Tensor, kernels: Tensor, scale_factor: int) -> Tensor:
    """LR images (N, C, H / s, W / s) from HR ones and an estimated kernel per LR pixel.

    Args:
        hr: (N, C, H, W), H and W multiples of s.
        kernels: (N, k², H / s, W / s) as `KernelEstimator` gives them, k even.
        scale_factor: s.
    """
    size = math.isqrt(kernels.shape[1])
    height, width = kernels.shape[2:]
    seen = F.unfold(hr, size, padding=(size - scale_factor) // 2, stride=scale_factor)
    seen = seen.view(len(hr), hr.shape[1], size**2, height, width)
    return (seen * with_sum_of_one(kernels)[:, None]).sum(2)


def _mirrored(x: Tensor, reach: int, axis: int) -> Tensor:
    """Padded along an axis by its mirror image, the edge repeated."""
    size = x.shape[axis]
    before, after = x.narrow(axis, 0, reach), x.narrow(axis, size - reach, reach)
    return torch.cat([before.flip(axis), x, after.flip(axis)], axis)


def _check(lr: Tensor, like: Tensor) -> None:
    check_images(lr, 3, like)
    if any(side % MULTIPLE for side in lr.shape[2:]):
        raise ValueError(f"expected sides that are multiples of 4, got {tuple(lr.shape[2:])}")


def _conv3(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _own(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names and weights in this file's names and layout."""
    own = {}
    for key, value in state_dict.items():
        name = key.replace("/", ".")
        if name.endswith(".kernel"):
            name, value = name.removesuffix("kernel") + "weight", convolution_weight(value)
        own[name] = value
    return own
