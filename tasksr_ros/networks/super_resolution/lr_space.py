"""An exact, much faster form of the back-projection networks: every HR map on the LR grid.

Ours. HR maps are held in parts (see `parts`), so that every convolution of a projection has small
kernels, no stride and LR-sized tensors. The multiplications are the reference's: no zeros are
multiplied, nothing lies outside the image that a mask would have to remove, and slopes and sums
can be fused into the convolutions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.blocks import (
    ConvBlock,
    DeconvBlock,
    DownUnit,
    UpUnit,
    check_images,
)
from tasksr_ros.networks.super_resolution.dbpn import DBPN
from tasksr_ros.networks.super_resolution.kbpn import KBPN
from tasksr_ros.networks.super_resolution.parts import (
    Padding,
    Parts,
    from_parts,
    join,
    pack,
    parts_of,
    to_parts,
    unpack,
)
from tasksr_ros.networks.super_resolution.rbpn import RBPN


def _conv(
    weight: Tensor, bias: Tensor | None, padding: Padding = (0, 0, 0, 0), groups: int = 1
) -> nn.Module:
    """A Conv2d with these (out, in / groups, k, k) weights and padding of each side."""
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        groups=groups,
        bias=bias is not None,
        dtype=weight.dtype,
        device=weight.device,
    )
    with torch.no_grad():
        conv.weight.copy_(weight)
        if conv.bias is not None and bias is not None:
            conv.bias.copy_(bias)
    left, right, top, bottom = padding
    if left == right and top == bottom:
        conv.padding = (top, left)
        return conv
    return nn.Sequential(nn.ZeroPad2d(padding), conv)


def _leaky(act: nn.Module | None) -> nn.Module:
    """A PReLU with one slope is a LeakyReLU."""
    if act is None:
        return nn.Identity()
    assert isinstance(act, nn.PReLU)
    return nn.LeakyReLU(act.weight.item())


def _sum(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


class _Up(nn.Module):
    """A transposed convolution: LR map -> HR map in parts."""

    def __init__(self, block: DeconvBlock, scale_factor: int) -> None:
        super().__init__()
        convs = []
        for part in parts_of(scale_factor):
            kernels, padding = part.deconv_kernels(block.deconv.weight)
            bias = block.deconv.bias
            bias = None if bias is None else bias.repeat(part.num_offsets)
            convs.append(_conv(kernels, bias, padding))
        self.convs = nn.ModuleList(convs)
        self.act = _leaky(block.act)

    def forward(self, x: Tensor) -> Parts:
        return [self.act(conv(x)) for conv in self.convs]


class _Down(nn.Module):
    """A strided convolution: HR map in parts -> LR map."""

    def __init__(self, block: ConvBlock, scale_factor: int) -> None:
        super().__init__()
        convs = []
        for index, part in enumerate(parts_of(scale_factor)):
            kernels, padding = part.conv_kernels(block.conv.weight)
            convs.append(_conv(kernels, None if index else block.conv.bias, padding))
        self.convs = nn.ModuleList(convs)
        self.act = _leaky(block.act)

    def forward(self, h: Parts) -> Tensor:
        x = _sum([conv(part) for conv, part in zip(self.convs, h, strict=True)])
        y: Tensor = self.act(x)
        return y


class _Reduce(nn.Module):
    """The 1x1 convolution of a dense unit: one group per offset."""

    def __init__(self, block: ConvBlock, num_offsets: int) -> None:
        super().__init__()
        assert block.conv.bias is not None
        weight = block.conv.weight.repeat(num_offsets, 1, 1, 1)
        self.conv = _conv(weight, block.conv.bias.repeat(num_offsets), groups=num_offsets)
        self.act = _leaky(block.act)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = self.act(self.conv(h))
        return y


class LRUpUnit(nn.Module):
    """`UpUnit` with its HR maps in parts."""

    def __init__(self, unit: UpUnit, scale_factor: int) -> None:
        super().__init__()
        self.conv = unit.conv
        self.up_conv1 = _Up(unit.up_conv1, scale_factor)
        self.up_conv2 = _Down(unit.up_conv2, scale_factor)
        self.up_conv3 = _Up(unit.up_conv3, scale_factor)

    def forward(self, x: Tensor) -> Parts:
        """(N, nr·num_inputs, H, W) -> parts of nr channels."""
        if self.conv is not None:
            x = self.conv(x)
        h0 = self.up_conv1(x)
        h1 = self.up_conv3(self.up_conv2(h0) - x)
        return [a + b for a, b in zip(h1, h0, strict=True)]


class LRDownUnit(nn.Module):
    """`DownUnit` with its HR maps in parts."""

    def __init__(self, unit: DownUnit, scale_factor: int) -> None:
        super().__init__()
        self.convs = None
        if unit.conv is not None:
            self.convs = nn.ModuleList(
                _Reduce(unit.conv, part.num_offsets) for part in parts_of(scale_factor)
            )
        self.down_conv1 = _Down(unit.down_conv1, scale_factor)
        self.down_conv2 = _Up(unit.down_conv2, scale_factor)
        self.down_conv3 = _Down(unit.down_conv3, scale_factor)

    def forward(self, h: Parts) -> Tensor:
        """Parts of nr·num_inputs channels -> (N, nr, H, W)."""
        if self.convs is not None:
            h = [conv(part) for conv, part in zip(self.convs, h, strict=True)]
        l0 = self.down_conv1(h)
        h0 = self.down_conv2(l0)
        x: Tensor = self.down_conv3([a - b for a, b in zip(h0, h, strict=True)]) + l0
        return x


class _Reconstruction(nn.Module):
    """The output convolution: what each part adds to the image, laid over each other.

    Args:
        conv: a "same" convolution of HR maps that lie side by side.
        scale_factor: 2, 4 or 8.
        num_maps: how many maps; they are never concatenated.
    """

    def __init__(self, conv: nn.Module, scale_factor: int, num_maps: int) -> None:
        super().__init__()
        assert isinstance(conv, nn.Conv2d)
        self.bias = conv.bias
        self.shuffle = nn.PixelShuffle(scale_factor)
        self.shifts: list[list[tuple[int, int]]] = []
        by_part = []
        for part in parts_of(scale_factor):
            images = [part.image_kernels(weight) for weight in conv.weight.chunk(num_maps, 1)]
            by_part.append(nn.ModuleList(_conv(kernels, None) for kernels, _ in images))
            self.shifts.append(images[0][1])
        self.by_part = nn.ModuleList(by_part)

    def forward(self, maps: Sequence[Parts]) -> Tensor:
        """HR maps in parts -> (N, num_channels, H·s, W·s)."""
        images = []
        for convs, shifts, parts in zip(
            self.by_part, self.shifts, zip(*maps, strict=True), strict=True
        ):
            assert isinstance(convs, nn.ModuleList)
            pushed = _sum([conv(part) for conv, part in zip(convs, parts, strict=True)])
            for image, shift in zip(pushed.chunk(len(shifts), 1), shifts, strict=True):
                images.append(_shifted(self.shuffle(image), *shift))
        total = _sum(images)
        return total if self.bias is None else total + self.bias[:, None, None]


def _shifted(image: Tensor, down: int, right: int) -> Tensor:
    """The image moved by that many px, zeros where nothing comes from."""
    height, width = image.shape[2:]
    kept = image[:, :, max(0, -down) : height - down, max(0, -right) : width - right]
    return F.pad(kept, (max(0, right), max(0, -right), max(0, down), max(0, -down)))


class LRSpaceDBPN(nn.Module):
    """A DBPN for regions of one size whose tensors all lie on the LR grid; see `to_lr_space`."""

    def __init__(self, dbpn: DBPN, region_hw: tuple[int, int]) -> None:
        super().__init__()
        scale_factor, num_stages = dbpn.scale_factor, dbpn.num_stages
        self.region_hw = region_hw
        self.scale_factor = scale_factor
        self.num_channels = dbpn.num_channels
        self.dense = dbpn.dense
        self.feat0, self.feat1 = dbpn.feat0, dbpn.feat1
        ups, downs = [], []
        for stage in range(1, num_stages + 1):
            up = dbpn.get_submodule(f"up{stage}")
            assert isinstance(up, UpUnit)
            ups.append(LRUpUnit(up, scale_factor))
            if stage < num_stages:
                down = dbpn.get_submodule(f"down{stage}")
                assert isinstance(down, DownUnit)
                downs.append(LRDownUnit(down, scale_factor))
        self.ups, self.downs = nn.ModuleList(ups), nn.ModuleList(downs)
        self.reconstruction = _Reconstruction(dbpn.output_conv.conv, scale_factor, num_stages)
        self.base = dbpn.base

    def forward(self, lr: Tensor) -> Tensor:
        """(N, num_channels, H, W) with (H, W) = region_hw -> (N, num_channels, H·s, W·s).

        Raises:
            ValueError: for a batch of another shape, region size or type.
        """
        check_images(lr, self.num_channels, self.feat0.conv.weight)
        _check_region(lr, self.region_hw)
        x = self.feat1(self.feat0(lr))
        hr_maps: list[Parts] = []
        lr_maps: list[Tensor] = []
        for stage, up in enumerate(self.ups):
            hr_maps.insert(0, up(x))
            if stage < len(self.downs):
                lr_maps.insert(0, self.downs[stage](self._down_input(hr_maps)))
                x = torch.cat(lr_maps, 1) if self.dense else lr_maps[0]
        sr: Tensor = self.reconstruction(hr_maps)
        return sr if self.base is None else sr + self.base(lr)

    def _down_input(self, hr_maps: list[Parts]) -> Parts:
        """The newest map, or all maps' features side by side at every offset."""
        if not self.dense:
            return hr_maps[0]
        by_part = zip(*hr_maps, strict=True)
        return [
            join(list(maps), part.num_offsets)
            for maps, part in zip(by_part, parts_of(self.scale_factor), strict=True)
        ]


def _check_region(lr: Tensor, region_hw: tuple[int, int]) -> None:
    if tuple(lr.shape[2:]) != region_hw:
        raise ValueError(
            f"this network was made for regions of {region_hw} px (height, width), "
            f"got {tuple(lr.shape[2:])}"
        )


class _Call(nn.Module):
    """A function as a step of a Sequential."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def _pack_units(module: nn.Module, scale_factor: int) -> None:
    """Put the LR-space form in the place of every projection unit that ``module`` holds.

    Their HR maps are `parts.pack`ed: one tensor each, which the rest of the network can add.
    """
    unpacked = _Call(partial(unpack, scale_factor=scale_factor))
    for name, child in list(module.named_children()):
        if isinstance(child, UpUnit):
            unit = nn.Sequential(LRUpUnit(child, scale_factor), _Call(pack))
            setattr(module, name, unit)
        elif isinstance(child, DownUnit):
            setattr(module, name, nn.Sequential(unpacked, LRDownUnit(child, scale_factor)))


class LRSpaceRBPN(nn.Module):
    """An RBPN for regions of one size whose projections lie on the LR grid; see `to_lr_space`.

    Its residual blocks work on HR maps as they are: 3x3 convolutions have nothing to gain.
    """

    def __init__(self, rbpn: RBPN, region_hw: tuple[int, int]) -> None:
        super().__init__()
        s = rbpn.scale_factor
        self.region_hw = region_hw
        self.scale_factor = s
        self.rbpn = rbpn
        inner, up, down = rbpn.DBPN, rbpn.res_feat1[-1], rbpn.res_feat3[-1]
        assert isinstance(inner.output, ConvBlock)
        assert isinstance(up, DeconvBlock)
        assert isinstance(down, ConvBlock)
        hr_map, parts = (_Call(partial(f, scale_factor=s)) for f in (from_parts, to_parts))
        _pack_units(inner, s)
        inner.join = partial(join, num_offsets=s**2)
        unpacked = _Call(partial(unpack, scale_factor=s))
        inner.output = nn.Sequential(_Reduce(inner.output, s**2), unpacked, hr_map)
        rbpn.res_feat1[-1] = nn.Sequential(_Up(up, s), hr_map)
        rbpn.res_feat3[-1] = nn.Sequential(parts, _Down(down, s))

    def forward(self, target: Tensor, neighbours: Tensor, flows: Tensor) -> Tensor:
        """As `RBPN`, for (H, W) = region_hw.

        Raises:
            ValueError: for batches of other shapes, another region size or type.
        """
        _check_region(target, self.region_hw)
        sr: Tensor = self.rbpn(target, neighbours, flows)
        return sr


class _PackedReconstruction(nn.Module):
    """A convolution without bias of one packed HR map -> HR image."""

    def __init__(self, block: nn.Module, scale_factor: int) -> None:
        super().__init__()
        self.scale_factor = scale_factor
        self.image = _Reconstruction(block.get_submodule("conv"), scale_factor, 1)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = self.image([unpack(h, self.scale_factor)])
        return y


class LRSpaceKBPN(nn.Module):
    """A KBPN for regions of one size whose projections lie on the LR grid; see `to_lr_space`.

    Its kernel predictors look at the reconstructed images as they are.
    """

    def __init__(self, kbpn: KBPN, region_hw: tuple[int, int]) -> None:
        super().__init__()
        s = kbpn.scale_factor
        self.region_hw = region_hw
        self.scale_factor = s
        self.kbpn = kbpn
        for stage in kbpn.stages():
            up = stage.kb.up_conv1
            assert isinstance(up, DeconvBlock)
            _pack_units(stage, s)
            stage.kb.up_conv1 = nn.Sequential(_Up(up, s), _Call(pack))
            stage.kb.sr_reconst = _PackedReconstruction(stage.kb.sr_reconst, s)
        kbpn.output_conv = _PackedReconstruction(kbpn.output_conv, s)
        kbpn.join = partial(join, num_offsets=s**2)

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """As `KBPN` with its own kernels, for (H, W) = region_hw.

        Raises:
            ValueError: for a batch of another shape, region size or type.
        """
        _check_region(lr, self.region_hw)
        sr, kernel = self.kbpn(lr)
        return sr, kernel


LRSpaceNetwork: TypeAlias = LRSpaceDBPN | LRSpaceRBPN | LRSpaceKBPN


def to_lr_space(network: nn.Module, region_hw: tuple[int, int]) -> LRSpaceNetwork:
    """Return ``network`` in LR-space form, for regions of ``region_hw`` = (height, width) LR px.

    The result computes the same function (fp32: |Δ| ≤ 1e-4 of the output's range) without
    transposed or strided convolutions (but for KBPN's blur), for inference: it holds copies of
    the weights.

    What it gains depends on the channels of the projections: most where they are few or no multiple
    of a SIMD register (DBPN-SS). RBPN and KBPN spend most of their time elsewhere.

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
