"""Bicubic interpolation behind the super-resolution interface: the baseline."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.blocks import check_images

VARIANTS: dict[str, dict[str, Any]] = {"bicubic": {}}


class Bicubic(nn.Module):
    """Bicubic upscaling, a = -0.75, edges replicated (as torch's and OpenCV's).

    Args:
        scale_factor: from 1 to 8; H·s and W·s must be whole.
    """

    def __init__(self, scale_factor: float = 4) -> None:
        super().__init__()
        if not 1 <= scale_factor <= 8:
            raise ValueError(f"scale_factor must be from 1 to 8, got {scale_factor!r}")
        self.scale_factor = scale_factor

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) float in [0, 1] -> (N, 3, H·s, W·s); may overshoot [0, 1] at edges."""
        check_images(lr, 3)
        return F.interpolate(
            lr, scale_factor=float(self.scale_factor), mode="bicubic", align_corners=False
        )


class ConvolvedBicubic(nn.Module):
    """The same as one convolution, all phases at once: on CPUs several times as fast.

    Of a scale factor p/q each q x q px become p x p: as many phases, whose weights recur.

    Args:
        scale_factor: a fraction p/q with q at most ``GREATEST_DIVISOR``; H and W must be multiples
            of q.

    Raises:
        ValueError: if it is none.
    """

    weight: Tensor

    def __init__(self, scale_factor: float) -> None:
        super().__init__()
        ratio = Fraction(scale_factor).limit_denominator(GREATEST_DIVISOR)
        if not math.isclose(ratio, scale_factor):
            raise ValueError(
                f"scale_factor must be a fraction with a divisor of at most {GREATEST_DIVISOR}, "
                f"got {scale_factor!r}"
            )
        self.phases, self.step = ratio.numerator, ratio.denominator
        places = [(k + 0.5) * self.step / self.phases - 0.5 for k in range(self.phases)]
        first, last = math.floor(places[0]) - 1, math.floor(places[-1]) + 2
        self.before, self.after = -first, last - self.step + 1
        rows = torch.tensor([[_cubic(t - x) for t in range(first, last + 1)] for x in places])
        weight = torch.einsum("ai,bj->abij", rows, rows).flatten(0, 1)
        self.register_buffer("weight", weight[:, None].repeat(3, 1, 1, 1), persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        """See `Bicubic`."""
        around = (self.before, self.after, self.before, self.after)
        padded = F.pad(lr, around, mode="replicate")
        return F.pixel_shuffle(
            F.conv2d(padded, self.weight, stride=self.step, groups=3), self.phases
        )


GREATEST_DIVISOR = 4
_A = -0.75


def _cubic(distance: float) -> float:
    """Keys' kernel."""
    x = abs(distance)
    if x <= 1:
        return (_A + 2) * x**3 - (_A + 3) * x**2 + 1
    return _A * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def convolved(bicubic: Bicubic, size: tuple[int, int]) -> nn.Module:
    """The faster form for images of (H, W); the module itself where there is none."""
    try:
        fast = ConvolvedBicubic(float(bicubic.scale_factor))
    except ValueError:
        return bicubic
    return bicubic if any(side % fast.step for side in size) else fast
