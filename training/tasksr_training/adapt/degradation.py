"""How the LR copy is made, so that it looks like the recording's own images.

What is learnt from a reduced copy holds for the native image only if both have the same faults. A
reduced image is sharper, pixel by pixel, and has less noise than the camera's own: it is blurred
before it is reduced, until it is as sharp; gets the noise that it lacks; and is coded with the
quality of the recording's JPEG images.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tasksr_training.degradations import Faults, Noise, add_faults, downscale

Images = Sequence[NDArray[np.uint8]]

_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64) / 6
"""Keeps the standard deviation of white noise, and hardly anything of an image's structure
(Immerkær, "Fast Noise Variance Estimation", CVIU 64(2), 1996)."""
_BLOCK, _FLATTEST, _STEEPEST = 16, 0.1, 0.1
_LEAST_SIDE = 8
_OF_GREY = float(np.sqrt(0.299**2 + 0.587**2 + 0.114**2))
"""Noise of the grey image, which is measured, over that of channels with noise of their own."""
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
"""Quantisation of luminance at quality 50: ITU-T T.81, table K.1."""
_MOST_BLUR, _STEPS, _SIDE = 4.0, 9, 512


@dataclass(frozen=True)
class Degradation:
    """How an HR image becomes LR.

    Attributes:
        blur: standard deviation of the Gaussian before downscaling, HR px.
        noise: standard deviation of the noise that each channel of LR gets, of the range [0, 1].
        jpeg_quality: of LR; None: not coded.
    """

    blur: float
    noise: float
    jpeg_quality: int | None

    def lr(self, hr: Tensor, scale_factor: int, seed: int) -> Tensor:
        """(N, 3, H, W) in [0, 1] to (N, 3, H / s, W / s), the same for the same seed."""
        lr = downscale(_blurred(hr, self.blur), scale_factor)
        faults = [
            Faults(
                noise=Noise(0.0, self.noise, seed + k) if self.noise > 0 else None,
                jpeg_quality=self.jpeg_quality,
            )
            for k in range(len(lr))
        ]
        return add_faults(lr, faults)


def lr_copies(
    hr: Tensor, degradations: Sequence[Degradation], scale_factor: int, seed: int
) -> Tensor:
    """(N, 3, H, W) in [0, 1] to (N, 3, H / s, W / s), each image as its own recording asks for."""
    images = zip(hr.split(1), degradations, strict=True)
    return torch.cat([d.lr(image, scale_factor, seed + k) for k, (image, d) in enumerate(images)])


def measure_degradation(
    images: Images, scale_factor: int, jpeg_quality: int | None, fixed_blur: float | None = None
) -> tuple[Degradation, str]:
    """Choose the degradation whose LR copies look like the images themselves.

    Args:
        images: (H, W, 3) uint8 RGB, the recording's own; of large ones the middle is looked at.
        scale_factor: how many times smaller LR is.
        jpeg_quality: of the recording's images, None where they are not stored as JPEG.
        fixed_blur: HR px; None: measured.

    Returns:
        It, and one line for people.
    """
    images = [_middle(image) for image in images]
    noise = float(np.median([noise_of(image) for image in images]))
    native = sharpness(images, noise)
    sigma = _matching_blur(images, scale_factor, native) if fixed_blur is None else fixed_blur
    small = _small(images, scale_factor, sigma)
    left = float(np.median([noise_of(image) for image in small]))
    added = float(np.sqrt(max(noise**2 - left**2, 0.0)))
    plain = sharpness(_small(images, scale_factor, 0.0), left)
    result = Degradation(sigma, added / _OF_GREY / 255, jpeg_quality)
    coded = "no JPEG" if jpeg_quality is None else f"JPEG of quality {jpeg_quality}"
    how = "as given" if fixed_blur is not None else "chosen"
    line = (
        f"noise {noise:.1f} of 255, sharpness {native:.2f} (a copy reduced by "
        f"{scale_factor}: {plain:.2f}), {coded}; LR copies: blur {sigma:.2f} px ({how}), noise "
        f"{added:.1f}, {coded}"
    )
    return result, line


def noise_of(image: NDArray[np.uint8]) -> float:
    """Standard deviation of the noise, 0 to 255, in the flattest tenth of the image's blocks."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    residual = cv2.filter2D(grey, -1, _LAPLACIAN)
    smooth = cv2.blur(grey, (9, 9))
    slope = np.abs(np.gradient(smooth, axis=0)) + np.abs(np.gradient(smooth, axis=1))
    rows, columns = (n // _BLOCK * _BLOCK for n in grey.shape)
    if not rows or not columns:
        return float(np.median(np.abs(residual)) * 1.4826)

    def blocks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        shape = rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK
        parts = values[:rows, :columns].reshape(shape).transpose(0, 2, 1, 3)
        return parts.reshape(-1, _BLOCK * _BLOCK)

    steepness, level = blocks(slope).mean(1), blocks(grey).mean(1)
    steepness[(level < 8) | (level > 247)] = np.inf  # clipped: there is no noise to see
    number = max(1, round(_FLATTEST * len(steepness)))
    chosen = blocks(residual)[np.argsort(steepness, kind="stable")[:number]]
    # Rounding to whole levels is no noise of the camera's.
    return float(np.sqrt(max((np.median(np.abs(chosen)) * 1.4826) ** 2 - 1 / 12, 0.0)))


def sharpness(images: Images, noise: float = 0.0) -> float:
    """Mean square difference of pixels one apart over that of pixels two apart, less the noise's.

    Between .25 for smooth images and 1 for images whose neighbouring pixels have nothing in common.
    Of the steepest tenth of the pixels alone: elsewhere there is little but noise.
    """
    one = two = 0.0
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
        for turned in (grey, grey.T):
            if turned.shape[1] < _LEAST_SIDE:
                continue
            slope = np.abs(np.gradient(cv2.blur(turned, (5, 5)), axis=1))[:, 1:-1]
            steep = slope >= np.quantile(slope, 1 - _STEEPEST)
            at_one = np.square(turned[:, 2:-1] - turned[:, 1:-2])[steep[:, :-1]].mean()
            at_two = np.square(turned[:, 2:] - turned[:, :-2])[steep].mean()
            one += max(float(at_one) - 2 * noise**2, 0.0)
            two += max(float(at_two) - 2 * noise**2, 0.0)
    return one / two if two > 0 else 0.25


def jpeg_quality_of(data: bytes) -> int | None:
    """Quality, 1 to 100, that libjpeg names a file's luminance table by; None: no JPEG file."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            tables = getattr(image, "quantization", None)
    except (OSError, ValueError, SyntaxError):
        return None
    if not tables:
        return None
    scale = 100 * sum(tables[min(tables)]) / sum(_LUMINANCE)
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return int(np.clip(round(quality), 1, 100))


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (n - _SIDE) // 2) for n in image.shape[:2])
    return image[top : top + _SIDE, left : left + _SIDE]


def _matching_blur(images: Images, scale_factor: int, wanted: float) -> float:
    """HR px at which the reduced copy is as sharp as wanted; 0 where it is not sharper."""
    low, high = 0.0, _MOST_BLUR

    def sharper(sigma: float) -> bool:
        small = _small(images, scale_factor, sigma)
        return sharpness(small, float(np.median([noise_of(image) for image in small]))) > wanted

    if not sharper(0.0):
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if sharper(middle) else (low, middle)
    return round((low + high) / 2, 2)


def _small(images: Images, scale_factor: int, sigma: float) -> list[NDArray[np.uint8]]:
    """The copies reduced; noise is left as it comes out."""
    found = []
    for image in images:
        height, width = (n // scale_factor * scale_factor for n in image.shape[:2])
        pixels = np.ascontiguousarray(image[:height, :width].transpose(2, 0, 1)[None])
        hr = torch.from_numpy(pixels).float() / 255
        lr = downscale(_blurred(hr, sigma), scale_factor)
        found.append((lr[0].permute(1, 2, 0) * 255).round().byte().numpy())
    return found


def _blurred(hr: Tensor, sigma: float) -> Tensor:
    if sigma < 0.1:
        return hr
    side = 2 * int(np.ceil(3 * sigma)) + 1
    images = [np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()) for image in hr]
    blurred = [
        cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
        for image in images
    ]
    return torch.from_numpy(np.stack(blurred)).permute(0, 3, 1, 2).to(hr)
