from __future__ import annotations

import pytest
import torch
from tasksr_training.degradations import (
    CorruptionConfig,
    corrupt,
    down_up,
    downscale,
    gaussian_blur,
    jpeg,
    quantize,
)


def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_downscale_keeps_a_constant_and_removes_what_is_too_fine(scale_factor: int) -> None:
    grey = torch.full((1, 3, 32, 64), 51 / 255)
    assert torch.equal(
        downscale(grey, scale_factor),
        torch.full((1, 3, 32 // scale_factor, 64 // scale_factor), 0.2),
    )
    rows = torch.arange(32).view(1, 1, -1, 1) % 2 * torch.ones(1, 3, 1, 64)
    inner = downscale(rows, scale_factor)[:, :, 1:-1]
    assert ((inner - 0.5).abs() < 0.02).all()


def test_downscale_is_as_bicubic_with_antialiasing_by_hand() -> None:
    # a step edge at the middle of 16 px, x2: weights of the a = -0.5 kernel stretched by 2
    edge = (torch.arange(16) >= 8).float().view(1, 1, 1, -1).expand(1, 3, 4, -1)
    t = (torch.arange(8, dtype=torch.float64) - 3.5).abs() / 2
    kernel = torch.where(t <= 1, 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2)
    kernel = kernel / kernel.sum()
    expected = [float(kernel[8 - max(0, min(8, n)) :].sum()) for n in (1, 3, 5, 7)]
    row = downscale(edge, 2)[0, 0, 0, 2:6]
    assert row.tolist() == pytest.approx(
        [round(min(max(e, 0), 1) * 255) / 255 for e in expected], abs=1e-6
    )


def test_quantize() -> None:
    values = torch.tensor([-0.1, 0.0, 0.5, 1.2])
    assert quantize(values).mul(255).tolist() == pytest.approx([0, 0, 128, 255])


def test_down_up_keeps_the_size_and_loses_detail() -> None:
    images = pictures()
    soft = down_up(images, 3.0)
    assert soft.shape == images.shape
    assert soft.std() < 0.6 * images.std()


def test_corruption_is_reproducible_and_off_at_probability_zero() -> None:
    images, config = pictures(), CorruptionConfig(probability=0.9)
    assert torch.equal(corrupt(images, CorruptionConfig(probability=0.0), 1), images)
    assert torch.equal(corrupt(images, config, 1), corrupt(images, config, 1))
    assert not torch.equal(corrupt(images, config, 1), corrupt(images, config, 2))
    faulty = corrupt(images, config, 3)
    assert faulty.shape == images.shape
    assert faulty.min() >= 0
    assert faulty.max() <= 1


def test_blur_of_a_point_is_the_gaussian() -> None:
    point = torch.zeros(3, 15, 15)
    point[:, 7, 7] = 1
    blurred = gaussian_blur(point, 1.0)
    assert blurred.sum(dim=(1, 2)).tolist() == pytest.approx([1, 1, 1])
    # separable: 0.3991² in the middle with the kernel cut at 3 px
    assert float(blurred[0, 7, 7]) == pytest.approx(0.15925, abs=1e-4)
    assert float(blurred[0, 7, 8] / blurred[0, 7, 7]) == pytest.approx(0.60653, abs=1e-4)


def test_jpeg_changes_a_smooth_image_little() -> None:
    ramp = torch.linspace(0, 1, 32).expand(3, 32, 32)
    assert (jpeg(ramp, 90) - ramp).abs().max() < 0.03
    assert not torch.equal(jpeg(pictures()[0], 50), pictures()[0])
