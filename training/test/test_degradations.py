from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from tasksr_training.blur_kernels import (
    BlurConfig,
    Defocus,
    GaussianBlur,
    MotionBlur,
    draw_kernels,
    kernels_of,
)
from tasksr_training.degradations import (
    CorruptionConfig,
    Faults,
    Noise,
    add_faults,
    add_noise,
    blur,
    correlation_kernels,
    corrupt,
    degrade,
    down_up,
    downscale,
    downscale_exactly,
    draw_faults,
    jpeg,
    quantize,
)

from tasksr_ros.networks.super_resolution import kbpn


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


def test_blur_of_a_point_is_the_kernel_itself() -> None:
    kernels = kernels_of([MotionBlur(6, 30, 0.3), GaussianBlur(1.5, 0.8, 20)], 11)
    points = torch.zeros(2, 3, 21, 17)
    points[:, :, 9, 8] = 1
    blurred = blur(points, kernels)
    assert blurred.shape == points.shape
    assert torch.equal(blurred[:, :, 4:15, 3:14], kernels[:, None].expand(-1, 3, -1, -1))
    assert not torch.equal(kernels, kernels.flip(-1, -2))


def test_blur_moves_light_where_the_kernel_says() -> None:
    right = torch.zeros(1, 3, 3)
    right[0, 1, 2] = 1
    image = torch.arange(5.0).expand(1, 1, 2, 5)
    assert blur(image, right)[0, 0, 0].tolist() == [0, 0, 1, 2, 3]  # the edge is repeated


def test_blur_without_blur_changes_nothing_and_works_beyond_the_edges() -> None:
    images = pictures()
    assert torch.equal(blur(images, kernels_of([Defocus(0)] * 2, 11)), images)
    grey = torch.full((1, 3, 4, 4), 0.25)
    assert blur(grey, kernels_of([Defocus(9)], 21)).flatten().tolist() == pytest.approx([0.25] * 48)


def test_blur_passes_gradients() -> None:
    images = pictures().double().requires_grad_()
    kernels = draw_kernels(BlurConfig(), 2, 0)[0].double().requires_grad_()
    downscale_exactly(blur(images, kernels), 4).sum().backward()
    assert images.grad is not None and kernels.grad is not None
    assert float(images.grad.sum()) == pytest.approx(2 * 3 * 8 * 6)


def test_blur_refuses_kernels_that_do_not_belong() -> None:
    for shape in ((1, 11, 11), (2, 11, 9), (2, 4, 4)):
        with pytest.raises(ValueError, match=r"expected kernels \(2, k, k\), k odd, got"):
            blur(pictures(), torch.ones(shape))


def test_degrading_is_blurring_then_downscaling() -> None:
    images = pictures()
    kernels, _ = draw_kernels(BlurConfig(), 2, 0)
    lr = degrade(images, kernels, 4)
    assert lr.shape == (2, 3, 8, 6)
    assert torch.equal(lr, downscale(blur(images, kernels), 4))
    assert torch.equal(degrade(images[:1], kernels[:1], 4), lr[:1])


def test_strided_sampling_is_that_of_kbpn() -> None:
    images = pictures()
    kernels = kernels_of([MotionBlur(8, 30, 0.3), GaussianBlur(2, 0.5, 70)], 11)
    lr = degrade(images, kernels, 4, sampling="strided")
    kbpn_lr = kbpn.blur(images, correlation_kernels(kernels), 4)
    inner = (slice(None), slice(None), slice(2, -1), slice(2, -1))  # zeros outside there
    assert (lr - kbpn_lr)[inner].abs().max() < 0.51 / 255


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_the_two_samplings_differ_by_their_grids(scale_factor: int) -> None:
    ramp = (torch.arange(256.0) / 255).expand(1, 3, 64, 256)
    kernel = kernels_of([GaussianBlur(1, 1)], 11)
    difference = degrade(ramp, kernel, scale_factor) - degrade(
        ramp, kernel, scale_factor, sampling="strided"
    )
    inner = difference[..., 4:-4] * 255
    assert (inner - (scale_factor - 1) / 2).abs().max() <= 0.51  # HR px; levels are rounded


def test_degrade_refuses_sides_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match=r"multiples of 5, got \(32, 24\)"):
        degrade(pictures(), kernels_of([Defocus(0)] * 2, 3), 5)


def test_noise_has_the_stated_strength() -> None:
    grey = torch.full((3, 200, 200), 0.36)
    shot = add_noise(grey, Noise(shot=0.05, read=0, seed=1)) - grey
    assert float(shot.std()) == pytest.approx(0.05 * 0.6, rel=0.02)  # sqrt(0.36) = 0.6
    assert float(shot.mean()) == pytest.approx(0, abs=5e-4)
    # Poisson: values are whole electrons of 1 / 400 of white
    electrons = (shot + grey) * 400
    assert (electrons - electrons.round()).abs().max() < 1e-3
    read = add_noise(grey, Noise(shot=0, read=0.03, seed=1)) - grey
    assert float(read.std()) == pytest.approx(0.03, rel=0.02)
    both = add_noise(grey, Noise(shot=0.05, read=0.03, seed=2)) - grey
    assert float(both.std()) == pytest.approx(np.hypot(0.03, 0.03), rel=0.02)
    assert torch.equal(add_noise(grey, Noise(0, 0, 5)), grey)


def test_noise_is_its_seed() -> None:
    image = pictures()[0]
    assert torch.equal(
        add_noise(image, Noise(0.02, 0.01, 5)), add_noise(image, Noise(0.02, 0.01, 5))
    )
    assert not torch.equal(
        add_noise(image, Noise(0.02, 0.01, 5)), add_noise(image, Noise(0.02, 0.01, 6))
    )
    assert add_noise(torch.ones(3, 9, 9), Noise(0.1, 0.1, 0)).max() == 1


def test_faults_are_drawn_for_each_image_alone_and_give_the_same_again() -> None:
    images, config = torch.cat([pictures()] * 4), CorruptionConfig(probability=0.6)
    faults = draw_faults(config, 8, 11)
    assert draw_faults(config, 3, 11) == faults[:3]
    assert torch.equal(corrupt(images, config, 11)[:3], corrupt(images[:3], config, 11))
    again = [
        Faults(
            blur=f.blur and GaussianBlur(**asdict(f.blur)),
            noise=f.noise and Noise(**asdict(f.noise)),
            jpeg_quality=f.jpeg_quality,
        )
        for f in faults
    ]
    assert torch.equal(add_faults(images, again), corrupt(images, config, 11))
    for kind in ("blur", "noise", "jpeg_quality"):  # 0.6 of 8 images: some with, some without
        assert len({getattr(f, kind) is None for f in faults}) == 2
    with pytest.raises(ValueError, match="faults of 8 images, got 3"):
        add_faults(images, faults[:3])


def test_faults_come_in_the_order_of_a_camera() -> None:
    image = pictures()
    noise = Noise(0.02, 0.01, 3)
    kernel = kernels_of([GaussianBlur(0.7, 0.7)], 7)
    by_hand = jpeg(add_noise(blur(image[:1], kernel)[0], noise), 70)
    kernels = kernels_of([Defocus(0)], 3)
    assert torch.equal(
        add_faults(image[:1], [Faults(GaussianBlur(0.7, 0.7), noise, 70)])[0], by_hand
    )
    lr = degrade(image[:1], kernels, 2, [Faults(noise=noise, jpeg_quality=70)])
    assert torch.equal(lr[0], jpeg(add_noise(downscale(image[:1], 2)[0], noise), 70))


def test_jpeg_changes_a_smooth_image_little() -> None:
    ramp = torch.linspace(0, 1, 32).expand(3, 32, 32)
    assert (jpeg(ramp, 90) - ramp).abs().max() < 0.03
    assert not torch.equal(jpeg(pictures()[0], 50), pictures()[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees_with_the_cpu() -> None:
    images, config = pictures(), CorruptionConfig(probability=1, forward_motion_probability=1)
    kernels, _ = draw_kernels(BlurConfig(), 2, 0)
    faults = draw_faults(config, 2, 0)
    on_gpu = blur(images.cuda(), kernels)
    assert on_gpu.is_cuda
    assert (on_gpu.cpu() - blur(images, kernels)).abs().max() < 1e-4
    lr = degrade(images.cuda(), kernels, 4, faults)
    assert lr.is_cuda
    assert (lr.cpu() - degrade(images, kernels, 4, faults)).abs().mean() < 0.01
