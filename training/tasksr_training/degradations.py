"""From HR to LR images, and the faults of real cameras; everything seeded."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class CorruptionConfig:
    """Faults added to an image, each with the given probability and strength.

    Attributes:
        probability: of each fault, independently per image.
        max_blur: greatest standard deviation of the Gaussian blur, px.
        max_noise: greatest standard deviation of the noise, of the range [0, 1].
        min_jpeg_quality: worst JPEG quality.
    """

    probability: float = 0.25
    max_blur: float = 0.8
    max_noise: float = 0.025
    min_jpeg_quality: int = 60


def downscale(hr: Tensor, scale_factor: int) -> Tensor:
    """Bicubic downscaling with antialiasing (a = -0.5, as MATLAB's imresize), to 8-bit levels.

    Args:
        hr: (N, 3, H, W) in [0, 1]; H and W multiples of ``scale_factor``.
        scale_factor: how many times smaller.

    Returns:
        (N, 3, H / scale_factor, W / scale_factor) in multiples of 1/255.
    """
    size = (hr.shape[-2] // scale_factor, hr.shape[-1] // scale_factor)
    lr = F.interpolate(hr, size=size, mode="bicubic", antialias=True, align_corners=False)
    return quantize(lr)


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
    """Add blur, noise and JPEG artefacts, image by image; (N, 3, H, W) in [0, 1] and so back."""
    rng = np.random.default_rng(seed)
    return torch.stack([_corrupt_one(image, config, rng) for image in images])


def _corrupt_one(image: Tensor, config: CorruptionConfig, rng: np.random.Generator) -> Tensor:
    if rng.random() < config.probability:
        image = gaussian_blur(image, rng.uniform(0.2, max(config.max_blur, 0.2)))
    if rng.random() < config.probability:
        noise = rng.normal(0, rng.uniform(0, config.max_noise), image.shape)
        image = (image + torch.from_numpy(noise).to(image)).clamp(0, 1)
    if rng.random() < config.probability:
        image = jpeg(image, int(rng.integers(config.min_jpeg_quality, 96)))
    return image


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur a (3, H, W) image by an isotropic Gaussian of ``sigma`` px; edges are repeated."""
    radius = max(1, round(3 * sigma))
    t = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (t / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0]


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Encode and decode a (3, H, W) image in [0, 1] as JPEG."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))[..., ::-1].copy()
    return (torch.from_numpy(decoded).permute(2, 0, 1).float() / 255).to(image)
