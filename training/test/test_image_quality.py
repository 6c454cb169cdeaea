from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from tasksr_training.image_quality import luminance, psnr, ssim


def pair(seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (24, 31, 3), np.uint8)
    noisy = a + rng.normal(0, 40, a.shape)
    return a, np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def test_luminance_of_black_white_and_the_primaries() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    y = [[16, 235, 81.481, 144.553, 40.966]]  # as printed for rgb2ycbcr
    assert luminance(colours.astype(np.uint8)) == pytest.approx(np.array(y))


def test_psnr_of_a_grey_difference_by_hand() -> None:
    a = np.full((10, 10, 3), 100, np.uint8)
    # 10 levels of grey are 10 · 219 / 255 = 8.588 levels of Y: 20 log10(255 / 8.588) dB
    assert psnr(a, a + np.uint8(10)) == pytest.approx(29.453, abs=1e-3)
    # and 20 log10(255 / 10) in RGB
    assert psnr(a, a + np.uint8(10), channels="rgb") == pytest.approx(28.1308, abs=1e-4)
    assert psnr(a, a) == psnr(a, a, channels="rgb") == math.inf


def test_psnr_of_a_green_difference_by_hand() -> None:
    a = np.full((10, 10, 3), 100, np.uint8)
    green = a + np.array([0, 10, 0], np.uint8)
    # 5.0413 levels of Y; in RGB a mean square of 100 / 3
    assert psnr(a, green) == pytest.approx(34.0795, abs=1e-3)
    assert psnr(a, green, channels="rgb") == pytest.approx(32.9020, abs=1e-4)


def test_psnr_of_four_pixels_by_hand() -> None:
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0], b[1, 1] = (3, 4, 0), (0, 0, 12)
    # squares 9 + 16 + 144 = 169 over 12 values: 10 log10(65025 · 12 / 169)
    assert psnr(a, b, channels="rgb") == pytest.approx(36.64375, abs=1e-5)
    # Y: (3 · 65.481 + 4 · 128.553) / 255 = 2.78689; 12 · 24.966 / 255 = 1.17487; squares over 4
    assert psnr(a, b) == pytest.approx(44.5384, abs=1e-3)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_the_border_is_left_out(measure: object) -> None:
    assert callable(measure)
    a, _ = pair()
    b = a.copy()
    b[:4], b[:, -4:] = 255 - b[:4], 255 - b[:, -4:]
    for channels in ("y", "rgb"):
        assert measure(a, b, 4, channels) == (math.inf if measure is psnr else 1)
        assert measure(a, b, 3, channels) < (40 if measure is psnr else 1)
        assert measure(a, b, 0, channels) < (20 if measure is psnr else 0.98)


def test_ssim_of_constant_images_by_hand() -> None:
    # only the first factor differs from 1: (2 · 100 · 110 + C1) / (100² + 110² + C1), C1 = 6.5025
    a = np.full((16, 16, 3), 100, np.uint8)
    b = np.full((16, 16, 3), 110, np.uint8)
    assert ssim(a, b, channels="rgb") == pytest.approx(22006.5025 / 22106.5025, abs=1e-9)
    # Y: 16 + 100 · 219 / 255 = 101.88235 and 110.47059
    assert ssim(a, b) == pytest.approx(0.9967352, abs=1e-6)
    assert ssim(a, a) == 1


def test_ssim_of_an_image_and_its_negative_by_hand() -> None:
    # stripes of 128 ± 100 and their negative about 128, in the window of one pixel: with
    # m = 128 + d, the means; the window's weights of even and odd columns are all that matters
    row = np.where(np.arange(11) % 2 == 0, 228, 28)
    a = np.repeat(np.tile(row, (11, 1))[..., None], 3, 2).astype(np.uint8)
    b = (256 - a.astype(int)).astype(np.uint8)
    weights = [math.exp(-((i - 5) ** 2) / 4.5) for i in range(11)]
    even = sum(weights[0::2]) / sum(weights)
    mean_a, mean_b = 28 + 200 * even, 228 - 200 * even
    variance = 200**2 * even * (1 - even)
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    expected *= (-2 * variance + c2) / (2 * variance + c2)
    assert ssim(a, b, channels="rgb") == pytest.approx(expected, abs=1e-12)
    assert expected == pytest.approx(-0.994, abs=1e-3)


def slow_ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The paper's formulas, window by window, with weighted sums of deviations."""
    i, j = np.mgrid[-5:6, -5:6]
    w = np.exp(-(i**2 + j**2) / (2 * 1.5**2))
    w /= w.sum()
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            p, q = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mp, mq = (w * p).sum(), (w * q).sum()
            vp, vq = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum()
            cov = (w * (p - mp) * (q - mq)).sum()
            likeness = (2 * mp * mq + 6.5025) / (mp**2 + mq**2 + 6.5025)
            values.append(likeness * (2 * cov + 58.5225) / (vp + vq + 58.5225))
    return float(np.mean(values))


@pytest.mark.parametrize("border", [0, 4])
def test_ssim_is_that_of_the_paper(border: int) -> None:
    a, b = pair()
    inner = np.s_[border : 24 - border, border : 31 - border]
    by_channel = [
        slow_ssim(a[inner][..., c].astype(float), b[inner][..., c].astype(float)) for c in range(3)
    ]
    assert ssim(a, b, border, "rgb") == pytest.approx(np.mean(by_channel), abs=1e-12)
    weights = [65.481 / 255, 128.553 / 255, 24.966 / 255]
    x, y = (sum(w * i[inner][..., c] for c, w in enumerate(weights)) + 16 for i in (a, b))
    assert ssim(a, b, border) == pytest.approx(slow_ssim(x, y), abs=1e-12)


def test_ssim_is_that_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pair(1)
    _, values = metrics.structural_similarity(
        a, b, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert ssim(a, b, channels="rgb") == pytest.approx(values[5:-5, 5:-5].mean(), abs=1e-9)


def test_images_must_agree_and_be_large_enough() -> None:
    small = np.zeros((12, 12, 3), np.uint8)
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match=r"one shape, got \(12, 12, 3\) and \(12, 13, 3\)"):
            measure(small, np.zeros((12, 13, 3), np.uint8))
        with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8, got \(12, 12, 3\) float64"):
            measure(small.astype(float), small)
        with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8, got \(12, 12\)"):
            measure(small[..., 0], small[..., 0])
        with pytest.raises(ValueError, match="border of -1 px >= 0"):
            measure(small, small, -1)
    with pytest.raises(ValueError, match=r"at least 1 px within a border of 6 px .*\(12, 12\)"):
        psnr(small, small, 6)
    with pytest.raises(ValueError, match=r"at least 11 px within a border of 1 px .*\(12, 12\)"):
        ssim(small, small, 1)
