"""An exact, much faster form of the back-projection networks: every HR map on the LR grid.

Ours. An HR map of stride s is held as blocks of s x s px in the channels of an LR-sized grid
("space to depth"). A projection's transposed convolution then is an ordinary convolution with
small kernels and no stride, and so is its strided convolution: the same multiplications, but
without HR-sized tensors, strides or transposed convolutions.

Geometry, for one axis, with kernel size k, stride s and padding p of the projections and m =
ceil(k / s) (kernels are filled up with zeros to m·s taps): HR position o lies in block
(o + p) // s at offset (o + p) % s. Blocks go from p // s to (s·H - 1 + p) // s, so the grid has H
blocks if s divides p (x2) and H + 1 otherwise (x4, x8); the outer blocks then reach p px beyond
the image on the top and s - p px on the bottom. What lies outside must read as zero, as padding
would: a multiplication with a mask of ones and zeros, separable in rows and columns, does it.
Multiplicative because slice assignment is miscompiled by some compilers.

Channels of a blocked map: offset row, offset column, feature channel (slowest to fastest).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.blocks import (
    KERNEL_STRIDE_PADDING,
    ConvBlock,
    DeconvBlock,
    DownUnit,
    UpUnit,
    check_images,
)
from tasksr_ros.networks.dbpn import DBPN
from tasksr_ros.networks.kbpn import KBPN
from tasksr_ros.networks.rbpn import RBPN


@dataclass(frozen=True)
class Geometry:
    """How HR maps of one scale factor lie in blocks (see the module's text)."""

    stride: int
    padding: int
    taps: int
    """Kernel size in blocks, m."""

    @classmethod
    def of(cls, scale_factor: int) -> Geometry:
        """Geometry of the projections of this scale factor."""
        kernel_size, stride, padding = KERNEL_STRIDE_PADDING[scale_factor]
        return cls(stride, padding, -(-kernel_size // stride))

    @property
    def first_block(self) -> int:
        """Index of the first block with a position inside the image."""
        return self.padding // self.stride

    @property
    def before(self) -> int:
        """Positions of the first block that lie before the image."""
        return self.padding % self.stride

    def num_blocks(self, size: int) -> int:
        """Blocks along an axis of ``size`` LR px."""
        return (self.stride * size - 1 + self.padding) // self.stride - self.first_block + 1

    def inside(self, size: int) -> Tensor:
        """(stride, num_blocks) float64: 1 where the position lies inside the image, else 0."""
        blocks = torch.arange(self.num_blocks(size)) + self.first_block
        position = blocks * self.stride + torch.arange(self.stride)[:, None] - self.padding
        return ((position >= 0) & (position < self.stride * size)).double()


def _fold(weight: Tensor, geometry: Geometry) -> Tensor:
    """(A, B, k, k) kernels -> (A, B, m, s, m, s), filled up with zeros to m·s taps."""
    s, m = geometry.stride, geometry.taps
    fill = m * s - weight.shape[2]
    return F.pad(weight, (0, fill, 0, fill)).view(*weight.shape[:2], m, s, m, s)


def blocked_deconv_weight(weight: Tensor, geometry: Geometry) -> Tensor:
    """(Cin, Cout, k, k) of a ConvTranspose2d -> (s·s·Cout, Cin, m, m) of a Conv2d."""
    folded = _fold(weight, geometry).flip(2, 4)
    return folded.permute(3, 5, 1, 0, 2, 4).flatten(0, 2)


def blocked_conv_weight(weight: Tensor, geometry: Geometry) -> Tensor:
    """(Cout, Cin, k, k) of a strided Conv2d -> (Cout, s·s·Cin, m, m) of a Conv2d."""
    return _fold(weight, geometry).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


def blocked_output_weight(weight: Tensor, geometry: Geometry) -> Tensor:
    """Kernels of a "same" HR convolution as ones from blocks to the pixels of one LR pixel.

    (Cout, Cin, k, k), k odd -> (Cout·s·s, s·s·Cin, m, m); the output's channels are ordered for
    ``pixel_shuffle``.
    """
    s, span = geometry.stride, geometry.taps * geometry.stride
    before = geometry.padding - weight.shape[2] // 2
    shifted = []
    for row in range(s):
        for column in range(s):
            left, top = before + column, before + row
            right, bottom = span - left - weight.shape[3], span - top - weight.shape[2]
            full = F.pad(weight, (left, right, top, bottom))
            shifted.append(blocked_conv_weight(full, geometry))
    return torch.stack(shifted, 1).flatten(0, 1)


def _conv(weight: Tensor, bias: Tensor | None, padding: int, groups: int = 1) -> nn.Conv2d:
    """A Conv2d with these (out, in / groups, k, k) weights."""
    out_channels, in_channels = weight.shape[0], weight.shape[1] * groups
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        (weight.shape[2], weight.shape[3]),
        padding=padding,
        groups=groups,
        bias=bias is not None,
        dtype=weight.dtype,
        device=weight.device,
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        if conv.bias is not None and bias is not None:
            conv.bias.copy_(bias)
    return conv


def _leaky(act: nn.Module | None) -> nn.Module:
    """A PReLU with one slope is a LeakyReLU."""
    if act is None:
        return nn.Identity()
    assert isinstance(act, nn.PReLU)
    return nn.LeakyReLU(act.weight.item())


class _Up(nn.Module):
    """A transposed convolution: LR map -> blocked HR map (outside not yet zero)."""

    def __init__(self, block: DeconvBlock, geometry: Geometry) -> None:
        super().__init__()
        weight = blocked_deconv_weight(block.deconv.weight, geometry)
        bias = block.deconv.bias
        bias = None if bias is None else bias.repeat(geometry.stride**2)
        padding = geometry.taps - 1 - geometry.first_block
        self.conv = _conv(weight, bias, padding)
        self.act = _leaky(block.act)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.conv(x))
        return y


class _Down(nn.Module):
    """A strided convolution: blocked HR map (zero outside) -> LR map."""

    def __init__(self, block: ConvBlock, geometry: Geometry) -> None:
        super().__init__()
        weight = blocked_conv_weight(block.conv.weight, geometry)
        self.conv = _conv(weight, block.conv.bias, geometry.first_block)
        self.act = _leaky(block.act)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = self.act(self.conv(h))
        return y


class _Mask(nn.Module):
    """Zeroes what lies outside the image in a blocked map with ``channels`` features."""

    def __init__(
        self, region_hw: tuple[int, int], channels: int, geometry: Geometry, like: Tensor
    ) -> None:
        super().__init__()
        s = geometry.stride
        rows, columns = (geometry.inside(size).to(like) for size in region_hw)
        rows = rows[:, None, None, :].expand(s, s, channels, -1).reshape(1, s * s * channels, -1, 1)
        columns = columns[None, :, None, :].expand(s, s, channels, -1)
        columns = columns.reshape(1, s * s * channels, 1, -1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.needed = bool((rows == 0).any() or (columns == 0).any())

    def forward(self, h: Tensor) -> Tensor:
        return h * self.get_buffer("rows") * self.get_buffer("columns") if self.needed else h


class _BlockedReduce(nn.Module):
    """The 1x1 convolution of a dense unit on a blocked map: one group per offset in the block."""

    def __init__(self, block: ConvBlock, geometry: Geometry) -> None:
        super().__init__()
        assert block.conv.bias is not None
        offsets = geometry.stride**2
        weight = block.conv.weight.repeat(offsets, 1, 1, 1)
        self.conv = _conv(weight, block.conv.bias.repeat(offsets), 0, groups=offsets)
        self.act = _leaky(block.act)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = self.act(self.conv(h))
        return y


class LRUpUnit(nn.Module):
    """`UpUnit` with its HR maps in blocks."""

    def __init__(self, unit: UpUnit, geometry: Geometry, region_hw: tuple[int, int]) -> None:
        super().__init__()
        self.conv = unit.conv
        self.up_conv1 = _Up(unit.up_conv1, geometry)
        self.up_conv2 = _Down(unit.up_conv2, geometry)
        self.up_conv3 = _Up(unit.up_conv3, geometry)
        deconv = unit.up_conv1.deconv
        self.mask = _Mask(region_hw, deconv.out_channels, geometry, deconv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, nr·num_inputs, H, W) -> blocked (N, s·s·nr, H', W'), zero outside the image."""
        if self.conv is not None:
            x = self.conv(x)
        h0 = self.mask(self.up_conv1(x))
        h1 = self.up_conv3(self.up_conv2(h0) - x)
        h: Tensor = self.mask(h1) + h0
        return h


class LRDownUnit(nn.Module):
    """`DownUnit` with its HR maps in blocks."""

    def __init__(self, unit: DownUnit, geometry: Geometry, region_hw: tuple[int, int]) -> None:
        super().__init__()
        self.conv = None if unit.conv is None else _BlockedReduce(unit.conv, geometry)
        self.down_conv1 = _Down(unit.down_conv1, geometry)
        self.down_conv2 = _Up(unit.down_conv2, geometry)
        self.down_conv3 = _Down(unit.down_conv3, geometry)
        deconv = unit.down_conv2.deconv
        self.mask = _Mask(region_hw, deconv.out_channels, geometry, deconv.weight)

    def forward(self, h: Tensor) -> Tensor:
        """Blocked (N, s·s·nr·num_inputs, H', W') -> (N, nr, H, W)."""
        if self.conv is not None:
            h = self.mask(self.conv(h))
        l0 = self.down_conv1(h)
        h0 = self.mask(self.down_conv2(l0))
        x: Tensor = self.down_conv3(h0 - h) + l0
        return x


class _Reconstruction(nn.Module):
    """The output convolution, split by stage so that the HR maps are never concatenated."""

    def __init__(self, block: ConvBlock, geometry: Geometry, num_stages: int) -> None:
        super().__init__()
        assert block.conv.bias is not None
        convs = []
        for index, weight in enumerate(block.conv.weight.chunk(num_stages, 1)):
            bias = block.conv.bias.repeat_interleave(geometry.stride**2) if index == 0 else None
            blocked = blocked_output_weight(weight, geometry)
            convs.append(_conv(blocked, bias, geometry.first_block))
        self.convs = nn.ModuleList(convs)
        self.shuffle = nn.PixelShuffle(geometry.stride)

    def forward(self, hr_maps: list[Tensor]) -> Tensor:
        """Blocked maps, newest first -> (N, num_channels, H·s, W·s)."""
        total: Tensor = self.convs[0](hr_maps[0])
        for conv, hr_map in zip(list(self.convs)[1:], hr_maps[1:], strict=True):
            total = total + conv(hr_map)
        sr: Tensor = self.shuffle(total)
        return sr


class LRSpaceDBPN(nn.Module):
    """A DBPN for regions of one size whose tensors all lie on the LR grid; see `to_lr_space`."""

    def __init__(self, dbpn: DBPN, region_hw: tuple[int, int]) -> None:
        super().__init__()
        geometry = Geometry.of(dbpn.scale_factor)
        self.region_hw = region_hw
        self.scale_factor = dbpn.scale_factor
        self.num_channels = dbpn.num_channels
        self.geometry = geometry
        self.dense = dbpn.dense
        self.feat0, self.feat1 = dbpn.feat0, dbpn.feat1
        ups, downs = [], []
        for stage in range(1, dbpn.num_stages + 1):
            up = dbpn.get_submodule(f"up{stage}")
            assert isinstance(up, UpUnit)
            ups.append(LRUpUnit(up, geometry, region_hw))
            if stage < dbpn.num_stages:
                down = dbpn.get_submodule(f"down{stage}")
                assert isinstance(down, DownUnit)
                downs.append(LRDownUnit(down, geometry, region_hw))
        self.ups, self.downs = nn.ModuleList(ups), nn.ModuleList(downs)
        self.reconstruction = _Reconstruction(dbpn.output_conv, geometry, dbpn.num_stages)

    def forward(self, lr: Tensor) -> Tensor:
        """(N, num_channels, H, W) with (H, W) = region_hw -> (N, num_channels, H·s, W·s).

        Raises:
            ValueError: for a batch of another shape, region size or type.
        """
        _check_region(lr, self.num_channels, self.region_hw)
        x = self.feat1(self.feat0(lr))
        hr_maps: list[Tensor] = []
        lr_maps: list[Tensor] = []
        for stage, up in enumerate(self.ups):
            hr_maps.insert(0, up(x))
            if stage < len(self.downs):
                lr_maps.insert(0, self.downs[stage](self._down_input(hr_maps)))
                x = torch.cat(lr_maps, 1) if self.dense else lr_maps[0]
        sr: Tensor = self.reconstruction(hr_maps)
        return sr

    def _down_input(self, hr_maps: list[Tensor]) -> Tensor:
        """The newest map, or all maps' features side by side at every offset in the block."""
        return _join_blocked(hr_maps, self.geometry) if self.dense else hr_maps[0]


def _check_region(lr: Tensor, num_channels: int, region_hw: tuple[int, int]) -> None:
    check_images(lr, num_channels)
    if tuple(lr.shape[2:]) != region_hw:
        raise ValueError(
            f"this network was made for regions of {region_hw} px (height, width), "
            f"got {tuple(lr.shape[2:])}"
        )


def _join_blocked(maps: list[Tensor], geometry: Geometry) -> Tensor:
    """Blocked maps -> one, with all maps' features side by side at every offset in the block."""
    if len(maps) == 1:
        return maps[0]
    n, _, height, width = maps[0].shape
    by_offset = [h.reshape(n, geometry.stride**2, -1, height, width) for h in maps]
    return torch.cat(by_offset, 2).flatten(1, 2)


class _BlockedImage(nn.Module):
    """An output convolution on one blocked map: blocked HR map (zero outside) -> HR image."""

    def __init__(self, block: nn.Module, geometry: Geometry) -> None:
        super().__init__()
        conv = block.get_submodule("conv")
        assert isinstance(conv, nn.Conv2d)
        bias = None if conv.bias is None else conv.bias.repeat_interleave(geometry.stride**2)
        self.conv = _conv(blocked_output_weight(conv.weight, geometry), bias, geometry.first_block)
        self.shuffle = nn.PixelShuffle(geometry.stride)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = self.shuffle(self.conv(h))
        return y


class _Block(nn.Module):
    """HR map -> blocked HR map, zero outside the image."""

    def __init__(self, geometry: Geometry, region_hw: tuple[int, int]) -> None:
        super().__init__()
        self.geometry, self.region_hw = geometry, region_hw

    def forward(self, h: Tensor) -> Tensor:
        s, before = self.geometry.stride, self.geometry.before
        rows, columns = map(self.geometry.num_blocks, self.region_hw)
        below, right = rows * s - before - h.shape[2], columns * s - before - h.shape[3]
        h = F.pad(h, (before, right, before, below))
        h = h.reshape(h.shape[0], h.shape[1], rows, s, columns, s)
        return h.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


class _Unblock(nn.Module):
    """Blocked HR map, whatever lies outside the image -> HR map."""

    def __init__(self, geometry: Geometry, region_hw: tuple[int, int]) -> None:
        super().__init__()
        self.geometry, self.region_hw = geometry, region_hw

    def forward(self, h: Tensor) -> Tensor:
        s, before = self.geometry.stride, self.geometry.before
        height, width = (s * size for size in self.region_hw)
        h = h.reshape(h.shape[0], s, s, -1, h.shape[2], h.shape[3])
        h = h.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)
        return h[:, :, before : before + height, before : before + width]


def _block_units(module: nn.Module, geometry: Geometry, region_hw: tuple[int, int]) -> None:
    """Put the LR-space form in the place of every projection unit that ``module`` holds."""
    for name, child in list(module.named_children()):
        if isinstance(child, UpUnit):
            setattr(module, name, LRUpUnit(child, geometry, region_hw))
        elif isinstance(child, DownUnit):
            setattr(module, name, LRDownUnit(child, geometry, region_hw))


class LRSpaceRBPN(nn.Module):
    """An RBPN for regions of one size whose projections lie on the LR grid; see `to_lr_space`.

    Its residual blocks work on HR maps as they are: 3x3 convolutions have nothing to gain.
    """

    def __init__(self, rbpn: RBPN, region_hw: tuple[int, int]) -> None:
        super().__init__()
        geometry = Geometry.of(rbpn.scale_factor)
        self.region_hw = region_hw
        self.scale_factor = rbpn.scale_factor
        self.rbpn = rbpn
        inner, up, down = rbpn.DBPN, rbpn.res_feat1[-1], rbpn.res_feat3[-1]
        assert isinstance(inner.output, ConvBlock)
        assert isinstance(up, DeconvBlock)
        assert isinstance(down, ConvBlock)
        unblock = _Unblock(geometry, region_hw)
        _block_units(inner, geometry, region_hw)
        inner.join = partial(_join_blocked, geometry=geometry)
        inner.output = nn.Sequential(_BlockedReduce(inner.output, geometry), unblock)
        rbpn.res_feat1[-1] = nn.Sequential(_Up(up, geometry), unblock)
        rbpn.res_feat3[-1] = nn.Sequential(_Block(geometry, region_hw), _Down(down, geometry))

    def forward(self, target: Tensor, neighbours: Tensor, flows: Tensor) -> Tensor:
        """As `RBPN`, for (H, W) = region_hw.

        Raises:
            ValueError: for batches of other shapes, another region size or type.
        """
        _check_region(target, self.rbpn.num_channels, self.region_hw)
        sr: Tensor = self.rbpn(target, neighbours, flows)
        return sr


class LRSpaceKBPN(nn.Module):
    """A KBPN for regions of one size whose projections lie on the LR grid; see `to_lr_space`.

    Its kernel predictors look at the reconstructed images as they are.
    """

    def __init__(self, kbpn: KBPN, region_hw: tuple[int, int]) -> None:
        super().__init__()
        geometry = Geometry.of(kbpn.scale_factor)
        self.region_hw = region_hw
        self.scale_factor = kbpn.scale_factor
        self.kbpn = kbpn
        for stage in kbpn.stages():
            up = stage.kb.up_conv1
            assert isinstance(up, DeconvBlock)
            mask = _Mask(region_hw, up.deconv.out_channels, geometry, up.deconv.weight)
            _block_units(stage, geometry, region_hw)
            stage.kb.up_conv1 = nn.Sequential(_Up(up, geometry), mask)
            stage.kb.sr_reconst = _BlockedImage(stage.kb.sr_reconst, geometry)
        kbpn.output_conv = _BlockedImage(kbpn.output_conv, geometry)
        kbpn.join = partial(_join_blocked, geometry=geometry)

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """As `KBPN` with its own kernels, for (H, W) = region_hw.

        Raises:
            ValueError: for a batch of another shape, region size or type.
        """
        _check_region(lr, 3, self.region_hw)
        sr, kernel = self.kbpn(lr)
        return sr, kernel


LRSpaceNetwork: TypeAlias = LRSpaceDBPN | LRSpaceRBPN | LRSpaceKBPN


def to_lr_space(network: nn.Module, region_hw: tuple[int, int]) -> LRSpaceNetwork:
    """Return ``network`` in LR-space form, for regions of ``region_hw`` = (height, width) LR px.

    The result computes the same function (fp32: |Δ| ≤ 1e-4 of the output's range) without
    transposed or strided convolutions (but for KBPN's blur), for inference: it holds copies of
    the weights.

    What it gains depends on the channels of the projections: most where they are few or no multiple
    of a SIMD register (DBPN-SS). RBPN and KBPN spend most of their time elsewhere, and theirs are
    multiples of 16: at x4 on one CPU thread, torch eager gains 0 to 20 %, OpenVINO nothing.

    Raises:
        TypeError: if the network is no DBPN, RBPN or KBPN.
        ValueError: if the region is empty.
    """
    height, width = region_hw
    if height < 1 or width < 1:
        raise ValueError(f"region_hw must be positive, got {region_hw}")
    lr_space = _lr_space_form(copy.deepcopy(network), (height, width))
    return lr_space.requires_grad_(False).train(network.training)


def _lr_space_form(network: nn.Module, region_hw: tuple[int, int]) -> LRSpaceNetwork:
    if isinstance(network, DBPN):
        return LRSpaceDBPN(network, region_hw)
    if isinstance(network, RBPN):
        return LRSpaceRBPN(network, region_hw)
    if isinstance(network, KBPN):
        return LRSpaceKBPN(network, region_hw)
    raise TypeError(f"expected a DBPN, RBPN or KBPN, got {type(network).__name__}")
