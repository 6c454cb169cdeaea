"""From HR to LR images, and the faults of real cameras; everything seeded.

All act on the coded values of the image, as is usual in super-resolution, not on linear light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tasksr_training.blur_kernels import Blur, GaussianBlur, kernels_of
from tasksr_training.forward_motion import (
    ForwardMotion,
    ForwardMotionConfig,
    blur_by_forward_motion,
    draw_forward_motion,
)

Sampling = Literal["bicubic", "strided"]


@dataclass(frozen=True)
class CorruptionConfig:
    """Faults added to an image, each with the given probability and strength.

    Attributes:
        probability: of each fault but the forward motion, independently per image.
        max_blur: greatest standard deviation of the Gaussian blur, px.
        max_noise: greatest standard deviation of the read noise, of the range [0, 1].
        max_shot_noise: greatest standard deviation of the shot noise at white, likewise.
        min_jpeg_quality: worst JPEG quality.
        forward_motion_probability: of the blur by driving ahead.
        forward_motion: its parameters.
    """

    probability: float = 0.25
    max_blur: float = 0.8
    max_noise: float = 0.025
    max_shot_noise: float = 0.015
    min_jpeg_quality: int = 60
    forward_motion_probability: float = 0.0
    forward_motion: ForwardMotionConfig = field(default_factory=ForwardMotionConfig)


@dataclass(frozen=True)
class Noise:
    """Noise of a sensor: Poisson noise of the light and Gaussian noise of the reading.

    Attributes:
        shot: standard deviation of the Poisson noise at white, of the range [0, 1]: a white pixel
            holds 1 / shot² electrons; at grey level x it is shot · sqrt(x). 0: none.
        read: standard deviation of the Gaussian noise, likewise.
        seed: of what is drawn per pixel.
    """

    shot: float
    read: float
    seed: int


@dataclass(frozen=True)
class Faults:
    """The faults of one image, in the order in which they come about; None: without.

    Attributes:
        blur: of the image's own px.
        noise: of the sensor.
        jpeg_quality: 1 to 100.
        forward_motion: of the vehicle; comes first.
    """

    blur: Blur | None = None
    noise: Noise | None = None
    jpeg_quality: int | None = None
    forward_motion: ForwardMotion | None = None


def degrade(
    hr: Tensor,
    kernels: Tensor,
    scale_factor: int,
    faults: Sequence[Faults] = (),
    sampling: Sampling = "bicubic",
) -> Tensor:
    """Blur each image with its own kernel, downscale it and add its faults.

    Args:
        hr: (N, 3, H, W) in [0, 1]; H and W multiples of ``scale_factor``.
        kernels: (N, k, k), k odd, see `blur`.
        scale_factor: how many times smaller.
        faults: of the LR images, one per image, or none at all; see `draw_faults`.
        sampling: ``bicubic``: `downscale`, whose LR pixel i is centred at HR coordinate
            s·i + (s - 1) / 2; ``strided``: the blurred pixel s·i itself becomes LR pixel i, as in
            `kbpn.blur`, without other antialiasing than the kernel's.

    Returns:
        (N, 3, H / s, W / s) in multiples of 1/255.

    Raises:
        ValueError: for sides that are no multiples of the scale factor or numbers that disagree.
    """
    if hr.shape[-2] % scale_factor or hr.shape[-1] % scale_factor:
        raise ValueError(
            f"expected sides that are multiples of {scale_factor}, got {tuple(hr.shape[-2:])}"
        )
    blurred = blur(hr, kernels)
    if sampling == "bicubic":
        lr = downscale(blurred, scale_factor)
    else:
        lr = quantize(blurred[..., ::scale_factor, ::scale_factor])
    return add_faults(lr, faults) if faults else lr


def blur(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve each image with its own kernel; edges are repeated. Differentiable.

    A true convolution: kernels say where light goes (see `blur_kernels`), so they are turned by
    180° before they are laid over the image. `kbpn.blur` does not turn them:
    it wants `correlation_kernels`.

    Args:
        images: (N, C, H, W).
        kernels: (N, k, k), k odd.

    Returns:
        (N, C, H, W).

    Raises:
        ValueError: for another number of kernels than images, or an even k.
    """
    n, size = len(images), kernels.shape[-1]
    if tuple(kernels.shape) != (n, size, size) or size % 2 == 0:
        raise ValueError(f"expected kernels ({n}, k, k), k odd, got {tuple(kernels.shape)}")
    weight = correlation_kernels(kernels)[:, None].to(images)
    padded = F.pad(images.transpose(0, 1), (size // 2,) * 4, mode="replicate")
    return F.conv2d(padded, weight, groups=n).transpose(0, 1)


def correlation_kernels(kernels: Tensor) -> Tensor:
    """(N, k, k) turned by 180°: for `kbpn.blur`, and back."""
    return kernels.flip(-2, -1)


def downscale(hr: Tensor, scale_factor: int) -> Tensor:
    """Bicubic downscaling with antialiasing (a = -0.5, as MATLAB's imresize), to 8-bit levels.

    Args:
        hr: (N, 3, H, W) in [0, 1]; H and W multiples of ``scale_factor``.
        scale_factor: how many times smaller.

    Returns:
        (N, 3, H / scale_factor, W / scale_factor) in multiples of 1/255.
    """
    return quantize(downscale_exactly(hr, scale_factor))


def downscale_exactly(hr: Tensor, scale_factor: int) -> Tensor:
    """As `downscale`, but neither clipped nor rounded: differentiable."""
    size = (hr.shape[-2] // scale_factor, hr.shape[-1] // scale_factor)
    return F.interpolate(hr, size=size, mode="bicubic", antialias=True, align_corners=False)


def quantize(image: Tensor) -> Tensor:
    """Clip to [0, 1] and round to the 256 levels of an 8-bit image."""
    return (image.clamp(0, 1) * 255).round() / 255


def down_up(image: Tensor, factor: float) -> Tensor:
    """Reduce and enlarge again by bicubic resampling: the same size with less detail."""
    size = [max(1, round(n / factor)) for n in image.shape[-2:]]
    small = F.interpolate(image, size=size, mode="bicubic", antialias=True)
    large = F.interpolate(small, size=image.shape[-2:], mode="bicubic", align_corners=False)
    return large.clamp(0, 1)


def corrupt(images: Tensor, config: CorruptionConfig, seed: int) -> Tensor:
    """Draw faults for each image and add them; (N, 3, H, W) in [0, 1] and so back."""
    return add_faults(images, draw_faults(config, len(images), seed))


def corrupt_frames(frames: Tensor, config: CorruptionConfig, seed: int) -> Tensor:
    """As `corrupt`, for (N, K, 3, H, W): frames of a camera share their faults but the noise."""
    faults = draw_faults(config, len(frames), seed)
    corrupted = [
        add_faults(images, [_at_frame(fault, k) for fault in faults])
        for k, images in enumerate(frames.unbind(1))
    ]
    return torch.stack(corrupted, 1)


def _at_frame(faults: Faults, k: int) -> Faults:
    noise = faults.noise
    return faults if noise is None else replace(faults, noise=replace(noise, seed=noise.seed + k))


def draw_faults(config: CorruptionConfig, count: int, seed: int) -> list[Faults]:
    """Draw the faults of a batch; image i's depend on ``seed`` and i alone."""
    return [_draw_one(config, np.random.default_rng([seed, i])) for i in range(count)]


def _draw_one(config: CorruptionConfig, rng: np.random.Generator) -> Faults:
    blurred, noisy, coded = (rng.random(3) < config.probability).tolist()
    sigma = rng.uniform(0.2, max(config.max_blur, 0.2))
    noise = Noise(
        shot=rng.uniform(0, config.max_shot_noise),
        read=rng.uniform(0, config.max_noise),
        seed=int(rng.integers(2**31)),
    )
    quality = int(rng.integers(config.min_jpeg_quality, 96))
    ahead = rng.random() < config.forward_motion_probability
    return Faults(
        blur=GaussianBlur(sigma, sigma) if blurred else None,
        noise=noise if noisy else None,
        jpeg_quality=quality if coded else None,
        forward_motion=draw_forward_motion(config.forward_motion, rng) if ahead else None,
    )


def add_faults(images: Tensor, faults: Sequence[Faults]) -> Tensor:
    """Add to each image its faults; (N, 3, H, W) in [0, 1] and so back.

    Raises:
        ValueError: for another number of faults than images.
    """
    if len(faults) != len(images):
        raise ValueError(f"expected faults of {len(images)} images, got {len(faults)}")
    return torch.stack([_add_to_one(i, f) for i, f in zip(images, faults, strict=True)])


def _add_to_one(image: Tensor, faults: Faults) -> Tensor:
    if faults.forward_motion is not None:
        image = blur_by_forward_motion(image, faults.forward_motion)
    if faults.blur is not None:
        size = 2 * math.ceil(faults.blur.reach) + 1
        image = blur(image[None], kernels_of([faults.blur], size))[0]
    if faults.noise is not None:
        image = add_noise(image, faults.noise)
    if faults.jpeg_quality is not None:
        image = jpeg(image, faults.jpeg_quality)
    return image


def add_noise(image: Tensor, noise: Noise) -> Tensor:
    """Add noise to an image of any shape in [0, 1], clipped to it; the same on every device."""
    rng = np.random.default_rng(noise.seed)
    level = image.clamp(0, 1).double().cpu().numpy()
    if noise.shot > 0:
        level = rng.poisson(level / noise.shot**2) * noise.shot**2
    level = level + rng.normal(0, noise.read, level.shape)
    return torch.from_numpy(level).to(image).clamp(0, 1)


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Encode and decode a (3, H, W) image in [0, 1] as JPEG."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))[..., ::-1].copy()
    return (torch.from_numpy(decoded).permute(2, 0, 1).float() / 255).to(image)
