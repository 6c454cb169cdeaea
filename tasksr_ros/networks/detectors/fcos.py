"""A compact anchor-free detector for super-resolved regions.

Ours. Three output levels (strides 4, 8, 16) of a small residual backbone with a top-down pyramid;
each cell predicts a score of each class and its distances to the four sides of the box, as in FCOS
(Tian et al., ICCV 2019, arXiv 1904.01355). The stride-4 level is there because the people looked
for are small.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.networks.detectors.levels import LevelOutput, decode
from tasksr_ros.networks.super_resolution.blocks import check_images

VARIANTS: dict[str, dict[str, Any]] = {"fcos": {}}
STRIDES = (4, 8, 16)

_PRIOR_SCORE = 0.01
_PRIOR_DISTANCES = (1.2, 3.0, 1.2, 3.0)  # left, top, right, bottom in strides: an upright person
_LOG_DISTANCE_RANGE = (-4.0, 5.0)  # keeps exp() finite in fp16


class _Conv(nn.Sequential):
    """Convolution, batch normalisation, SiLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.SiLU(inplace=True),
        )


class _Residual(nn.Module):
    """Two 3x3 convolutions through half the channels, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_Conv(channels, channels // 2), _Conv(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


def _stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """Halve the resolution, then ``blocks`` residual blocks."""
    return nn.Sequential(
        _Conv(in_channels, out_channels, 3, 2), *(_Residual(out_channels) for _ in range(blocks))
    )


def _head(in_channels: int, bias: list[float]) -> nn.Conv2d:
    """A 1x1 convolution that predicts ``bias`` before it has learned anything."""
    head = nn.Conv2d(in_channels, len(bias), 1)
    nn.init.normal_(head.weight, std=0.01)
    head.bias = nn.Parameter(torch.tensor(bias))
    return head


class Detector(nn.Module):
    """Pedestrian detector.

    Args:
        width: multiplies the number of channels everywhere; 1.0 has 0.84 M parameters.
        num_classes: scores of each cell.
    """

    def __init__(self, width: float = 1.0, num_classes: int = 1) -> None:
        super().__init__()
        if not width > 0 or num_classes < 1:
            raise ValueError(
                f"width and num_classes must be positive, got {width} and {num_classes}"
            )
        c1, c2, c3, c4, c5, pyramid = (
            max(8, round(c * width / 8) * 8) for c in (16, 32, 64, 96, 128, 40)
        )
        self.width = width
        self.stem = _Conv(3, c1, 3, 2)
        self.stage2 = _stage(c1, c2, 1)
        self.stage3 = _stage(c2, c3, 2)
        self.stage4 = _stage(c3, c4, 2)
        self.stage5 = _stage(c4, c5, 2)
        self.lateral = nn.ModuleList(nn.Conv2d(c, pyramid, 1) for c in (c2, c3, c4, c5))
        self.smooth = nn.ModuleList(_Conv(pyramid, pyramid) for _ in STRIDES)
        self.tower = nn.ModuleList(_Conv(pyramid, pyramid) for _ in STRIDES)
        prior_logit = math.log(_PRIOR_SCORE / (1 - _PRIOR_SCORE))
        prior_log_distances = [math.log(distance) for distance in _PRIOR_DISTANCES]
        self.score = nn.ModuleList(_head(pyramid, [prior_logit] * num_classes) for _ in STRIDES)
        self.distance = nn.ModuleList(_head(pyramid, prior_log_distances) for _ in STRIDES)

    def features(self, images: Tensor) -> list[Tensor]:
        """Pyramid features of strides 4, 8 and 16: (N, C, h, w) each; input as `forward`'s."""
        check_images(images, 3, self.get_parameter("stem.0.weight"))
        if images.shape[2] % SIZE_MULTIPLE or images.shape[3] % SIZE_MULTIPLE:
            raise ValueError(
                f"height and width must be multiples of {SIZE_MULTIPLE}, "
                f"got {tuple(images.shape[2:])}"
            )
        x2 = self.stage2(self.stem((images - 0.45) * 4.0))
        x3 = self.stage3(x2)
        x4 = self.stage4(x3)
        x5 = self.stage5(x4)
        top: Tensor = self.lateral[3](x5)
        features: list[Tensor] = []
        for level, x in reversed(list(enumerate((x2, x3, x4)))):
            top = self.lateral[level](x) + F.interpolate(top, scale_factor=2.0, mode="nearest")
            features.insert(0, self.smooth[level](top))
        return features

    def levels(self, images: Tensor) -> list[LevelOutput]:
        """Predictions of each level before decoding; input as `forward`'s."""
        return self.predict(self.features(images))

    def predict(self, features: list[Tensor]) -> list[LevelOutput]:
        """What `levels` gives for the images of these `features`."""
        outputs = []
        for level, (stride, feature) in enumerate(zip(STRIDES, features, strict=True)):
            x = self.tower[level](feature)
            log_distances = self.distance[level](x).float().clamp(*_LOG_DISTANCE_RANGE)
            outputs.append(
                LevelOutput(stride, self.score[level](x).float(), log_distances.exp() * stride)
            )
        return outputs

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect pedestrians.

        Args:
            images: (N, 3, H, W) float RGB, nominally in [0, 1]; H and W multiples of 32.

        Returns:
            boxes (N, A, 4) x0, y0, x1, y1 in px of ``images``, not clipped to it, scores (N, A)
            in [0, 1] and class ids (N, A) int32; A cells of all levels, row by row. Overlapping
            boxes are not suppressed.

        Raises:
            ValueError: for a batch of another shape or type.
        """
        return decode(self.levels(images))
