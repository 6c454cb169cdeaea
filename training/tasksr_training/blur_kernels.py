"""Blur kernels: what a point of light becomes; each made from parameters that can be logged.

A kernel is a (k, k) float32 array, k odd, with a sum of 1 and its centre of gravity in the middle:
``kernel[k // 2 + y, k // 2 + x]`` of a point's light is found x px to the right and y px below it.
Angles are in degrees from the x axis (right) towards the y axis (down).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasksr_ros.errors import ConfigError

KINDS = ("none", "gaussian", "motion", "curved", "turn", "defocus")
"""What is drawn, each with a weight in `BlurConfig`."""

_POINTS_PER_PX = 32  # of a motion's path
_SUBPIXELS = 9  # per px and axis of a disc; odd, so that a disc of radius 0 has one


@dataclass(frozen=True)
class GaussianBlur:
    """Anisotropic Gaussian, sampled at the pixel centres.

    Attributes:
        sigma_x: standard deviation along its own x axis, px, above 0.
        sigma_y: standard deviation across it, px, above 0.
        angle: of its x axis, degrees.
    """

    sigma_x: float
    sigma_y: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        _check(min(self.sigma_x, self.sigma_y) > 0, "sigma above 0 px", self)

    @property
    def reach(self) -> float:
        """Distance that the kernel should cover, px: three standard deviations."""
        return 3 * max(self.sigma_x, self.sigma_y)

    def kernel(self, size: int) -> NDArray[np.float32]:
        """(size, size); what lies outside is cut off."""
        x, y = _grid(size, 1)
        turn = math.radians(self.angle)
        along = math.cos(turn) * x + math.sin(turn) * y
        across = math.cos(turn) * y - math.sin(turn) * x
        return _normalised(
            np.exp(-0.5 * ((along / self.sigma_x) ** 2 + (across / self.sigma_y) ** 2))
        )


@dataclass(frozen=True)
class MotionBlur:
    """Even motion along a line or an arc of a circle while the shutter is open.

    The points of the path share their light bilinearly among the four pixels around them, as if
    bilinearly shifted images were averaged: exact for any length and angle.

    Attributes:
        length: of the path, px; 0 is no blur.
        angle: of the path's middle, degrees.
        curvature: 1 / radius of the arc, 1/px; the path turns by length · curvature radians,
            from the x towards the y axis where it is positive; 0 is a line.
    """

    length: float
    angle: float
    curvature: float = 0.0

    def __post_init__(self) -> None:
        _check(self.length >= 0, "a length of at least 0 px", self)

    @property
    def reach(self) -> float:
        """Distance that the kernel covers at most, px."""
        return self.length / 2

    def kernel(self, size: int) -> NDArray[np.float32]:
        """(size, size).

        Raises:
            ValueError: if the path does not fit.
        """
        points = self.path()
        _check(float(np.abs(points).max()) <= size // 2, f"a blur within {size}x{size} px", self)
        whole = np.floor(points).astype(int)
        fraction = points - whole
        kernel = np.zeros((size + 1, size + 1))  # the last row and column only ever take zeros
        for dx in (0, 1):
            for dy in (0, 1):
                share = np.abs(1 - dx - fraction[:, 0]) * np.abs(1 - dy - fraction[:, 1])
                x, y = (whole + (dx, dy) + size // 2).T
                np.add.at(kernel, (y, x), share)
        return _normalised(kernel[:size, :size])

    def path(self) -> NDArray[np.float64]:
        """Points (M, 2) xy in px, evenly along the path, with their mean at (0, 0)."""
        count = max(1, math.ceil(self.length * _POINTS_PER_PX))
        s = self.length * ((np.arange(count) + 0.5) / count - 0.5)
        # the chord from the path's middle to s: turned by half the arc's turn
        heading = math.radians(self.angle) + self.curvature * s / 2
        chord = s * np.sinc(self.curvature * s / (2 * math.pi))
        points = np.stack([chord * np.cos(heading), chord * np.sin(heading)], 1)
        return np.asarray(points - points.mean(0))


@dataclass(frozen=True)
class VehicleTurn:
    """Motion blur of what is far ahead while the vehicle turns or nods.

    A rotation by w rad moves the middle of a pinhole camera's image by w · focal length px,
    whatever the distance. The motion of the image's edges is larger: by 1 + (x / focal length)².

    Attributes:
        yaw_rate: rad/s, to the left as REP 103 has it: the image moves right.
        pitch_rate: rad/s, nose down: the image moves up.
        exposure_time: s.
        focal_length: px.
    """

    yaw_rate: float
    pitch_rate: float
    exposure_time: float
    focal_length: float

    @property
    def motion(self) -> MotionBlur:
        """The same as a motion of the image."""
        x = self.yaw_rate * self.exposure_time * self.focal_length
        y = -self.pitch_rate * self.exposure_time * self.focal_length
        return MotionBlur(math.hypot(x, y), math.degrees(math.atan2(y, x)))

    @property
    def reach(self) -> float:
        """Distance that the kernel covers, px."""
        return self.motion.reach

    def kernel(self, size: int) -> NDArray[np.float32]:
        """(size, size).

        Raises:
            ValueError: if the motion does not fit.
        """
        return self.motion.kernel(size)


@dataclass(frozen=True)
class Defocus:
    """A lens out of focus: an even disc, antialiased.

    Attributes:
        radius: px; 0 is no blur.
    """

    radius: float

    def __post_init__(self) -> None:
        _check(self.radius >= 0, "a radius of at least 0 px", self)

    @property
    def reach(self) -> float:
        """Distance that the kernel covers, px."""
        return self.radius

    def kernel(self, size: int) -> NDArray[np.float32]:
        """(size, size).

        Raises:
            ValueError: if the disc does not fit.
        """
        _check(self.radius <= size / 2, f"a blur within {size}x{size} px", self)
        x, y = _grid(size, _SUBPIXELS)
        inside = np.clip((self.radius - np.hypot(x, y)) * _SUBPIXELS + 0.5, 0, 1)
        return _normalised(inside.reshape(size, _SUBPIXELS, size, _SUBPIXELS).sum((1, 3)))


Blur: TypeAlias = GaussianBlur | MotionBlur | VehicleTurn | Defocus


@dataclass(frozen=True)
class BlurConfig:
    """What blurs are drawn; ranges are (least, greatest), evenly distributed between.

    Every kind's weight is its share of the images, relative to the sum of the weights.

    Attributes:
        kernel_size: side of the kernels, HR px, odd. Every motion and disc must fit in it.
        none_weight: images without blur.
        gaussian_weight: anisotropic Gaussian blurs.
        motion_weight: motions along a line of any angle.
        curved_weight: motions along an arc of any angle.
        turn_weight: motions by yaw and pitch of the vehicle.
        defocus_weight: discs.
        sigma: of both axes of a Gaussian, px.
        length: of the path of a motion, px.
        bend: degrees by which an arc turns from end to end.
        radius: of a disc, px.
        yaw_rate: rad/s, to both sides.
        pitch_rate: rad/s, up and down.
        exposure_time: s.
        focal_length: px of the HR image.

    Raises:
        ConfigError: for weights or ranges that cannot be, or blurs larger than the kernel.
    """

    kernel_size: int = 11
    none_weight: float = 0.5
    gaussian_weight: float = 1.0
    motion_weight: float = 1.0
    curved_weight: float = 0.5
    turn_weight: float = 0.5
    defocus_weight: float = 0.5
    sigma: tuple[float, float] = (0.2, 2.0)
    length: tuple[float, float] = (1.0, 10.0)
    bend: tuple[float, float] = (20.0, 120.0)
    radius: tuple[float, float] = (0.5, 4.0)
    yaw_rate: tuple[float, float] = (0.0, 0.3)
    pitch_rate: tuple[float, float] = (0.0, 0.1)
    exposure_time: tuple[float, float] = (0.004, 0.02)
    focal_length: tuple[float, float] = (800.0, 1500.0)

    def __post_init__(self) -> None:
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ConfigError(f"blur.kernel_size: expected an odd number, got {self.kernel_size}")
        weights = self.weights()
        if min(weights) < 0 or sum(weights) <= 0:
            raise ConfigError(f"blur: expected weights >= 0, not all 0, got {weights}")
        for name, value in vars(self).items():
            if isinstance(value, (tuple, list)):
                _check_range(name, value)
        if self.sigma[0] == 0:
            raise ConfigError("blur.sigma: expected more than 0 px, got 0")
        self._check_largest()

    def weights(self) -> tuple[float, ...]:
        """In the order of `KINDS`."""
        return tuple(getattr(self, f"{kind}_weight") for kind in KINDS)

    def _check_largest(self) -> None:
        rates = self.yaw_rate[1], self.pitch_rate[1]
        largest: dict[str, tuple[float, Blur]] = {
            "length": (self.motion_weight + self.curved_weight, MotionBlur(self.length[1], 0)),
            "radius": (self.defocus_weight, Defocus(self.radius[1])),
            "yaw_rate, pitch_rate, exposure_time, focal_length": (
                self.turn_weight,
                VehicleTurn(*rates, self.exposure_time[1], self.focal_length[1]),
            ),
        }
        for name, (weight, blur) in largest.items():
            if weight > 0 and blur.reach > self.kernel_size // 2:
                raise ConfigError(
                    f"blur.{name}: expected blurs that reach no further than "
                    f"{self.kernel_size // 2} px (kernel_size {self.kernel_size}), "
                    f"got {blur.reach:.3g} px"
                )


def _check_range(name: str, value: Sequence[float]) -> None:
    if len(value) != 2 or not 0 <= value[0] <= value[1] < math.inf:
        raise ConfigError(f"blur.{name}: expected 0 <= least <= greatest, got {value}")


def draw_blur(config: BlurConfig, rng: np.random.Generator) -> Blur:
    """Draw the kind and the parameters of one blur."""
    weights = np.array(config.weights())
    kind = rng.choice(KINDS, p=weights / weights.sum())
    if kind == "none":
        return Defocus(0.0)
    if kind == "gaussian":
        sigma_x, sigma_y = rng.uniform(*config.sigma, 2).tolist()
        return GaussianBlur(sigma_x, sigma_y, rng.uniform(0, 180))
    if kind == "motion":
        return MotionBlur(rng.uniform(*config.length), rng.uniform(0, 180))
    if kind == "curved":
        length, bend = rng.uniform(*config.length), math.radians(rng.uniform(*config.bend))
        return MotionBlur(length, rng.uniform(0, 360), bend / length if length else 0.0)
    if kind == "turn":
        signs = rng.choice([-1.0, 1.0], 2).tolist()
        return VehicleTurn(
            signs[0] * rng.uniform(*config.yaw_rate),
            signs[1] * rng.uniform(*config.pitch_rate),
            rng.uniform(*config.exposure_time),
            rng.uniform(*config.focal_length),
        )
    return Defocus(rng.uniform(*config.radius))


def draw_kernels(config: BlurConfig, count: int, seed: int) -> tuple[Tensor, list[Blur]]:
    """Draw the kernels of a batch; image i's depend on ``seed`` and i alone.

    Returns:
        (count, k, k) float32 on the CPU, and the parameters: `kernels_of` them are the same.
    """
    blurs = [draw_blur(config, np.random.default_rng([seed, i])) for i in range(count)]
    return kernels_of(blurs, config.kernel_size), blurs


def kernels_of(blurs: Sequence[Blur], size: int) -> Tensor:
    """(N, size, size) float32 on the CPU.

    Raises:
        ValueError: if a motion or disc does not fit.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"expected a kernel of odd size, got {size}")
    kernels = [blur.kernel(size) for blur in blurs]
    return torch.from_numpy(np.stack(kernels)) if kernels else torch.zeros(0, size, size)


def _grid(size: int, parts: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X (1, size·parts) and y (size·parts, 1) of the parts' centres, px from the middle."""
    x = (np.arange(size * parts) + 0.5) / parts - size / 2
    return x[None], x[:, None]


def _normalised(kernel: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(kernel / kernel.sum(), np.float32)


def _check(holds: bool, expected: str, blur: Blur) -> None:
    if not holds:
        raise ValueError(f"expected {expected}, got {blur}")
