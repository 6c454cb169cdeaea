from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tasksr_training.adapt.degradation import (
    Degradation,
    jpeg_quality_of,
    lr_copies,
    measure_degradation,
    noise_of,
    sharpness,
)


def scene(seed: int = 1, blur: float = 0.0) -> NDArray[np.uint8]:
    """Flat fields with edges between them."""
    rng = np.random.default_rng(seed)
    image = np.full((192, 256, 3), 120, np.uint8)
    for _ in range(40):
        x, y = int(rng.integers(0, 230)), int(rng.integers(0, 170))
        image[y : y + 30, x : x + 25] = rng.integers(40, 200, 3)
    return image if blur == 0 else np.asarray(cv2.GaussianBlur(image, (0, 0), blur), np.uint8)


def noisy(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(5).normal(0, sigma, image.shape[:2])[..., None]
    return (image + noise).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.0, 2.0, 6.0])
def test_noise_is_read_off_flat_blocks(sigma: float) -> None:
    assert noise_of(noisy(scene(), sigma)) == pytest.approx(sigma, abs=0.15 + 0.1 * sigma)


def test_noise_of_an_image_smaller_than_a_block() -> None:
    assert noise_of(np.full((8, 8, 3), 90, np.uint8)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("quality", [35, 50, 80, 97])
def test_jpeg_quality_is_read_off_the_tables(quality: int) -> None:
    _, code = cv2.imencode(".jpg", scene(), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert jpeg_quality_of(code.tobytes()) == pytest.approx(quality, abs=1)


def test_what_is_no_jpeg_has_no_quality() -> None:
    _, code = cv2.imencode(".png", scene())
    assert jpeg_quality_of(code.tobytes()) is None
    assert jpeg_quality_of(b"no image") is None


def test_white_noise_has_sharpness_1_and_a_ramp_a_quarter() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (64, 64, 1), np.uint8).repeat(3, 2)
    ramp = np.arange(64, dtype=np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    assert sharpness([noise]) == pytest.approx(1, abs=0.05)
    assert sharpness([ramp]) == pytest.approx(0.25, abs=1e-6)


def test_the_copy_becomes_as_soft_and_as_noisy_as_the_camera_is() -> None:
    native = [noisy(scene(k, blur=1.2), 4.0) for k in range(3)]
    found, line = measure_degradation(native, 2, 80)
    # A Gaussian of 1.2 px is 2.4 px in the frame that is twice as large: sqrt(2.4² - 1.2²) = 2.08,
    # of which the downscaling itself has about 1.1.
    assert found.blur == pytest.approx(1.77, abs=0.25)
    assert found.noise * 255 == pytest.approx(4.0 / 0.669, abs=0.6)
    assert found.jpeg_quality == 80
    assert "JPEG of quality 80" in line and "chosen" in line
    hr = torch.from_numpy(native[0].transpose(2, 0, 1)[None].copy()).float() / 255
    lr = Degradation(found.blur, found.noise, None).lr(hr, 2, 1)[0]
    copy = (lr.permute(1, 2, 0) * 255).round().byte().numpy()
    assert noise_of(copy) == pytest.approx(noise_of(native[0]), abs=0.8)


def test_a_blur_may_be_given() -> None:
    found, line = measure_degradation([scene()], 2, None, 0.7)
    assert found.blur == 0.7 and "as given" in line and "no JPEG" in line


def test_the_same_seed_gives_the_same_copy() -> None:
    hr = torch.rand(2, 3, 16, 24)
    one, again, other = (Degradation(0.6, 0.02, 60).lr(hr, 2, seed) for seed in (3, 3, 9))
    assert one.shape == (2, 3, 8, 12)
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_each_image_is_degraded_as_its_own_recording_asks_for() -> None:
    hr = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    sharp, blurred = Degradation(0.0, 0.0, None), Degradation(2.0, 0.02, 40)
    lr = lr_copies(hr, (sharp, blurred), 2, 5)
    assert torch.equal(lr[:1], sharp.lr(hr[:1], 2, 5))
    assert torch.equal(lr[1:], blurred.lr(hr[1:], 2, 6))
