"""PicoDet-S, a compact anchor-free detector for small devices.

Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices", arXiv 2111.00902.
Backbone ESNet (sections 3.1 and 4.3), neck CSP-PAN with depthwise 5x5 convolutions, head of
generalised focal loss (Li et al., arXiv 2006.04388): each side of a box is a distribution over
whole strides, whose mean is the distance. Batch normalisation is folded into the convolutions, as
in the published COCO weights; `tasksr_training.published_weights` loads these. The layers are
registered in the order in which the published file has them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.networks.detectors.levels import LevelOutput, decode
from tasksr_ros.networks.super_resolution.blocks import check_images

VARIANTS: dict[str, dict[str, Any]] = {"picodet-s": {}}
STRIDES = (8, 16, 32, 64)
BINS = 8
"""Distances that a side may have: 0 to 7 strides."""

_STEM = 24
_STAGES = ((96, 44, (24, 24)), (192, 48, (60, 48, 60, 48, 48, 48)), (384, 96, (96, 96)))
"""Output channels, hidden channels of the halving block and of the blocks that follow."""
_PYRAMID = 96
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB images in [0, 1]."""
_PRIOR_LOGIT = -4.595  # a score of .01


class _Conv(nn.Sequential):
    """Convolution, hard swish."""

    def __init__(self, in_channels: int, out_channels: int, size: int = 1, stride: int = 1):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, size, stride, size // 2), nn.Hardswish()
        )


def _depthwise(channels: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, size, stride, size // 2, groups=channels)


class _Separable(nn.Sequential):
    """Depthwise and pointwise convolution, each with a hard swish."""

    def __init__(self, channels: int, size: int, stride: int = 1) -> None:
        super().__init__(
            _depthwise(channels, size, stride), nn.Hardswish(), _Conv(channels, channels)
        )


class _SqueezeExcite(nn.Module):
    """Weighs the channels by what the whole map holds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * F.hardsigmoid(weight)


class _Halving(nn.Module):
    """ESNet's block that halves the resolution: two branches side by side, then mixed."""

    def __init__(self, in_channels: int, out_channels: int, hidden: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.shortcut = nn.Sequential(_depthwise(in_channels, 3, 2), _Conv(in_channels, half))
        self.body = nn.Sequential(
            _Conv(in_channels, hidden),
            _depthwise(hidden, 3, 2),
            _SqueezeExcite(hidden),
            _Conv(hidden, half),
        )
        self.mix = _Separable(out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(torch.cat((self.shortcut(x), self.body(x)), 1))
        return y


class _Shuffled(nn.Module):
    """ESNet's block of equal resolution: one half of the channels passes through, then shuffled."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        half = channels // 2
        self.expand = _Conv(half, hidden)
        self.spread = _depthwise(hidden, 3)
        self.weigh = _SqueezeExcite(2 * hidden)
        self.project = _Conv(2 * hidden, half)

    def forward(self, x: Tensor) -> Tensor:
        kept, used = x.chunk(2, 1)
        used = self.expand(used)
        used = self.project(self.weigh(torch.cat((used, self.spread(used)), 1)))
        return torch.stack((kept, used), 2).flatten(1, 2)  # the channels of both in turn


class _Merge(nn.Module):
    """Cross-stage partial block: two maps of the pyramid, one above the other, become one."""

    def __init__(self) -> None:
        super().__init__()
        half = _PYRAMID // 2
        self.shortcut = _Conv(2 * _PYRAMID, half)
        self.body = nn.Sequential(_Conv(2 * _PYRAMID, half), _Conv(half, half), _Separable(half, 5))
        self.mix = _Conv(_PYRAMID, _PYRAMID)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        x = torch.cat((first, second), 1)
        y: Tensor = self.mix(torch.cat((self.body(x), self.shortcut(x)), 1))
        return y


class _HalveAndMerge(nn.Module):
    """A map of the pyramid, halved, and the one below it."""

    def __init__(self) -> None:
        super().__init__()
        self.halve = _Separable(_PYRAMID, 5, 2)
        self.merge = _Merge()

    def forward(self, above: Tensor, below: Tensor) -> Tensor:
        y: Tensor = self.merge(self.halve(above), below)
        return y


class _Backbone(nn.Module):
    """ESNet: maps of strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        channels = _STEM
        for out_channels, hidden, blocks in _STAGES:
            self.stages.append(
                nn.Sequential(
                    _Halving(channels, out_channels, hidden),
                    *(_Shuffled(out_channels, block) for block in blocks),
                )
            )
            channels = out_channels

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class _Neck(nn.Module):
    """CSP-PAN: down the pyramid, up again, and one level more."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_Conv(channels, _PYRAMID) for channels, *_ in _STAGES)
        self.down = nn.ModuleList(_Merge() for _ in range(2))
        self.up = nn.ModuleList(_HalveAndMerge() for _ in range(2))
        self.top = nn.ModuleList(_Separable(_PYRAMID, 5, 2) for _ in range(2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        p3, p4, p5 = (layer(x) for layer, x in zip(self.lateral, maps, strict=True))
        q4 = self.down[0](_enlarged(p5), p4)
        outputs = [self.down[1](_enlarged(q4), p3)]
        for step, below in zip(self.up, (q4, p5), strict=True):
            outputs.append(step(outputs[-1], below))
        return [*outputs, self.top[0](p5) + self.top[1](outputs[-1])]


def _enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class PicoDet(nn.Module):
    """PicoDet-S: 0.98 M parameters with COCO's 80 classes.

    Args:
        num_classes: classes that a cell may have.
    """

    mean: Tensor
    std: Tensor
    bins: Tensor

    def __init__(self, num_classes: int = 1) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes: expected at least 1, got {num_classes}")
        self.num_classes = num_classes
        self.backbone = _Backbone()
        self.neck = _Neck()
        self.head = nn.ModuleList(
            nn.Sequential(
                _Separable(_PYRAMID, 5),
                _Separable(_PYRAMID, 5),
                nn.Conv2d(_PYRAMID, num_classes + 4 * BINS, 1),
            )
            for _ in STRIDES
        )
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("bins", torch.arange(float(BINS)), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        for level in self.head:
            predict = level.get_submodule("2")
            nn.init.normal_(predict.get_parameter("weight"), std=0.01)
            nn.init.zeros_(predict.get_parameter("bias"))
            nn.init.constant_(predict.get_parameter("bias")[: self.num_classes], _PRIOR_LOGIT)

    def features(self, images: Tensor) -> list[Tensor]:
        """Pyramid features of strides 8, 16, 32 and 64: (N, 96, h, w) each; input as `forward`'s.

        The last level has half the cells of the one before, rounded up.
        """
        check_images(images, 3, self.get_parameter("backbone.stem.0.weight"))
        if images.shape[2] % SIZE_MULTIPLE or images.shape[3] % SIZE_MULTIPLE:
            raise ValueError(
                f"height and width must be multiples of {SIZE_MULTIPLE}, "
                f"got {tuple(images.shape[2:])}"
            )
        maps = self.backbone((images - self.mean) / self.std)
        features: list[Tensor] = self.neck(maps)
        return features

    def predict(self, features: list[Tensor]) -> list[LevelOutput]:
        """What `levels` gives for the images of these `features`."""
        outputs = []
        for stride, level, feature in zip(STRIDES, self.head, features, strict=True):
            x = level(feature).float()
            distributions = x[:, self.num_classes :].unflatten(1, (4, BINS))
            mean = (distributions.softmax(2) * self.bins.view(1, 1, -1, 1, 1)).sum(2)
            outputs.append(
                LevelOutput(stride, x[:, : self.num_classes], mean * stride, distributions)
            )
        return outputs

    def levels(self, images: Tensor) -> list[LevelOutput]:
        """Predictions of each level before decoding; input as `forward`'s."""
        return self.predict(self.features(images))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            images: (N, 3, H, W) float RGB, nominally in [0, 1]; H and W multiples of 32.

        Returns:
            boxes (N, A, 4) x0, y0, x1, y1 in px of ``images``, not clipped to it, scores (N, A) in
            [0, 1] of the likeliest class, class_ids (N, A) int32; A cells of all levels, row by
            row. Overlapping boxes are not suppressed.

        Raises:
            ValueError: for a batch of another shape or type.
        """
        return decode(self.levels(images))
