"""What the camera does to the light: lens, vignetting, exposure, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_NOISE_MARGIN = 64


@dataclass(frozen=True, eq=False)
class Sensor:
    """One camera in one light.

    Attributes:
        tone: (1, 256, 3) uint8 lookup table, exposure, white balance and contrast.
        shade: (H, W, 3) uint8, 255 where the lens darkens nothing.
        noise: (H + margin, W + margin, 3) int8-ranged int16, one field of photon and read noise;
            each frame takes another part of it. Encoded with gamma, photon noise is about the
            same at every brightness, so that one field serves all pixels.
        lens_blur: deviation of the lens's blur, px.
    """

    tone: NDArray[np.uint8]
    shade: NDArray[np.uint8]
    noise: NDArray[np.int16]
    lens_blur: float

    @classmethod
    def random(cls, rng: np.random.Generator, width: int, height: int, light: float) -> Sensor:
        """Draw a camera for a scene of ``light`` (1 = bright day, 0.4 = dusk)."""
        ramp = (np.arange(256) / 255.0)[:, None] * light
        balance = 1 + np.array([1, 0, -1]) * rng.normal(0, 0.05)
        tone = (ramp * balance * rng.uniform(0.9, 1.1)) ** rng.uniform(0.85, 1.15)
        tone = 255 * (tone * 0.97 + 0.02)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        r2 = ((x - width / 2) ** 2 + (y - height / 2) ** 2) / (width**2 + height**2) * 4
        shade = 255 * (1 - rng.uniform(0.08, 0.3) * r2)
        size = (height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3)
        deviation = rng.uniform(1.5, 4.0) / np.sqrt(light)
        noise = rng.standard_normal(size, np.float32) * deviation
        noise = 0.75 * noise + 0.6 * cv2.blur(noise, (2, 2))
        return cls(
            tone.clip(0, 255).astype(np.uint8)[None],
            np.repeat(shade[..., None], 3, 2).astype(np.uint8),
            noise.round().astype(np.int16),
            float(rng.uniform(0.45, 0.75)),
        )

    def expose(
        self, scene: NDArray[np.uint8], rng: np.random.Generator, vertical_motion: float
    ) -> NDArray[np.uint8]:
        """Take one picture of a BGR scene; ``vertical_motion`` px of pitch during it."""
        height, width = scene.shape[:2]
        share = min(0.33, abs(vertical_motion) / 3)
        kernel = cv2.getGaussianKernel(3, self.lens_blur)
        moved = np.convolve(kernel[:, 0], [share, 1 - 2 * share, share])
        image = cv2.sepFilter2D(scene, -1, kernel, moved)
        image = cv2.LUT(cv2.multiply(image, self.shade, scale=1 / 255), self.tone)
        dy, dx = rng.integers(0, _NOISE_MARGIN, 2)
        noise = self.noise[dy : dy + height, dx : dx + width]
        return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)
