from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tasksr_training.blur_kernels import (
    Blur,
    BlurConfig,
    Defocus,
    GaussianBlur,
    MotionBlur,
    VehicleTurn,
    draw_kernels,
    kernels_of,
)

from tasksr_ros.errors import ConfigError


def moments(kernel: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (2,) xy and covariance (2, 2) of a kernel, px."""
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    points, weights = np.stack([x.ravel(), y.ravel()]), kernel.ravel().astype(float)
    mean = points @ weights
    return mean, np.cov(points, aweights=weights, ddof=0)


EVERY_KIND = [
    GaussianBlur(1.5, 0.7, 30),
    MotionBlur(7.3, 25),
    MotionBlur(8, 200, 0.2),
    VehicleTurn(-0.2, 0.1, 0.015, 1200),
    Defocus(2.6),
]


@pytest.mark.parametrize("blur", EVERY_KIND)
@pytest.mark.parametrize("size", [11, 21])
def test_kernels_sum_to_one_around_their_middle(blur: Blur, size: int) -> None:
    kernel = blur.kernel(size)
    assert kernel.shape == (size, size)
    assert kernel.dtype == np.float32
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert moments(kernel)[0] == pytest.approx([0, 0], abs=1e-6)


def test_gaussian_by_hand() -> None:
    # exp(-1/8), exp(-1/2): one px along x with sigma 2, one px along y with sigma 1
    kernel = GaussianBlur(2, 1).kernel(21)
    assert kernel[10, 11] / kernel[10, 10] == pytest.approx(0.8825, abs=1e-4)
    assert kernel[11, 10] / kernel[10, 10] == pytest.approx(0.6065, abs=1e-4)
    assert kernel[11, 11] / kernel[10, 10] == pytest.approx(0.5353, abs=1e-4)
    turned = GaussianBlur(2, 1, 90).kernel(21)
    assert turned == pytest.approx(kernel.T, abs=1e-7)


def test_angles_go_from_right_to_down() -> None:
    long_axis = np.array([math.cos(math.radians(30)), math.sin(math.radians(30))])
    for blur, variance in ((GaussianBlur(2, 1, 30), 4.0), (MotionBlur(9, 30), 81 / 12 + 1 / 6)):
        covariance = moments(blur.kernel(21))[1]
        assert covariance @ long_axis == pytest.approx(variance * long_axis, abs=0.03)


def test_line_of_three_px_by_hand() -> None:
    # bilinear shares of a line from -1.5 to 1.5: the pixel at 2 gets the integral of x - 1 from
    # 1 to 1.5 = 1/8, that at 1 gets 1/2 + 3/8, that at 0 gets 1; of 3 px together
    row = np.array([0.125, 0.875, 1, 0.875, 0.125]) / 3
    kernel = MotionBlur(3, 0).kernel(5)
    assert kernel[2] == pytest.approx(row, abs=1e-3)
    assert kernel.sum() == pytest.approx(kernel[2].sum())
    assert MotionBlur(3, 90).kernel(5) == pytest.approx(kernel.T, abs=1e-6)
    assert MotionBlur(3, 180).kernel(5) == pytest.approx(kernel, abs=1e-6)


def test_length_may_be_any_fraction() -> None:
    variances = [moments(MotionBlur(n, 0).kernel(11))[1][0, 0] for n in (2, 2.5, 3, 3.5)]
    # L²/12 of an even line and the mean of f (1 - f), f the fraction of the point's coordinate
    by_hand = [4 / 12 + 1 / 6, 6.25 / 12 + 0.15417, 9 / 12 + 1 / 6, 12.25 / 12 + 0.1756]
    assert variances == pytest.approx(by_hand, abs=1e-3)
    assert MotionBlur(0, 77).kernel(3)[1, 1] == 1
    assert MotionBlur(10, 45).kernel(11).shape == (11, 11)


def test_arc_of_half_a_circle_by_hand() -> None:
    # radius 3: from (0, -3) through (3, 0) to (0, 3), its centre of gravity at (6 / pi, 0),
    # starts to the right and bends down at 90° in the middle
    path = MotionBlur(3 * math.pi, 90, 1 / 3).path() + np.array([6 / math.pi, 0])
    assert np.hypot(*path.T) == pytest.approx(np.full(len(path), 3), abs=1e-3)
    assert path[0] == pytest.approx([0, -3], abs=0.02)
    assert path[len(path) // 2] == pytest.approx([3, 0], abs=0.02)
    assert path[-1] == pytest.approx([0, 3], abs=0.02)
    # from the x axis towards the y axis where positive: right, then down
    ends = MotionBlur(3, 0, 0.3).path()[[0, -1]]
    middle = MotionBlur(3, 0, 0.3).path()[48]
    assert (ends[:, 1] > middle[1]).all()


def test_turn_of_the_vehicle_by_hand() -> None:
    # 0.3 rad/s · 0.02 s · 1000 px = 6 px to the right; nose down at 0.4 rad/s: 8 px up
    motion = VehicleTurn(0.3, 0.4, 0.02, 1000).motion
    assert (motion.length, motion.angle) == pytest.approx((10, math.degrees(math.atan2(-8, 6))))
    still = VehicleTurn(0, 0, 0.02, 1000).kernel(3)
    assert still[1, 1] == 1


def test_disc_by_hand() -> None:
    kernel = Defocus(3).kernel(11)
    area = 1 / kernel[5, 5]  # the middle pixel is wholly inside
    assert area == pytest.approx(math.pi * 9, rel=0.01)
    assert kernel[5, 7] == kernel[5, 5]
    assert kernel[5, 8] / kernel[5, 5] == pytest.approx(0.47, abs=0.02)  # cut at 3 of 2.5 to 3.5
    assert kernel[5, 9] == 0
    assert kernel == pytest.approx(kernel.T)
    assert Defocus(0).kernel(3)[1, 1] == 1


@pytest.mark.parametrize("blur", [MotionBlur(12, 0), VehicleTurn(1, 0, 0.02, 1000), Defocus(6)])
def test_what_does_not_fit_is_said(blur: Blur) -> None:
    with pytest.raises(ValueError, match=r"11x11 px, got (MotionBlur|Defocus)\("):
        blur.kernel(11)


def test_impossible_blurs_are_refused() -> None:
    for make in (lambda: GaussianBlur(1, 0), lambda: MotionBlur(-1, 0), lambda: Defocus(-1)):
        with pytest.raises(ValueError, match=r"0 px, got"):
            make()
    with pytest.raises(ValueError, match="odd size, got 10"):
        kernels_of([Defocus(1)], 10)


def test_drawn_kernels_depend_on_seed_and_number_alone() -> None:
    config = BlurConfig()
    kernels, blurs = draw_kernels(config, 60, 7)
    assert kernels.shape == (60, 11, 11)
    assert kernels.dtype == torch.float32
    fewer, _ = draw_kernels(config, 4, 7)
    assert torch.equal(fewer, kernels[:4])
    assert not torch.equal(draw_kernels(config, 4, 8)[0], fewer)
    assert {type(b) for b in blurs} == {GaussianBlur, MotionBlur, VehicleTurn, Defocus}


def test_parameters_give_the_same_kernels_again() -> None:
    kernels, blurs = draw_kernels(BlurConfig(), 30, 3)
    again = [type(blur)(**asdict(blur)) for blur in blurs]
    assert torch.equal(kernels_of(again, 11), kernels)
    assert all(type(v) is float for blur in blurs for v in asdict(blur).values())


def test_weights_are_shares() -> None:
    only = dict.fromkeys(("none", "motion", "curved", "turn"), 0.0)
    config = BlurConfig(gaussian_weight=3, defocus_weight=1, **{f"{k}_weight": 0 for k in only})
    kinds = [type(b) for b in draw_kernels(config, 400, 0)[1]]
    assert kinds.count(GaussianBlur) + kinds.count(Defocus) == 400
    assert 260 < kinds.count(GaussianBlur) < 340  # 300 +- 4.6 standard deviations


def test_an_arc_bends_as_the_range_says() -> None:
    weights = {f"{k}_weight": 0 for k in ("none", "gaussian", "motion", "turn", "defocus")}
    blurs = draw_kernels(BlurConfig(bend=(30, 60), **weights), 50, 0)[1]
    bends = [math.degrees(b.length * b.curvature) for b in blurs if isinstance(b, MotionBlur)]
    assert len(bends) == 50
    assert 30 <= min(bends) < 40 < 50 < max(bends) <= 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 10}, "odd number, got 10"),
        ({"length": (1, 11)}, r"blur\.length: .* 5 px \(kernel_size 11\), got 5\.5 px"),
        ({"radius": (1, 6)}, r"blur\.radius: .*got 6 px"),
        ({"yaw_rate": (0, 2)}, "yaw_rate, pitch_rate, .*got 30"),
        ({"sigma": (0, 2)}, r"blur\.sigma: expected more than 0"),
        ({"sigma": (2, 1)}, r"blur\.sigma: expected 0 <= least <= greatest, got \(2, 1\)"),
        ({"none_weight": -1}, "weights >= 0"),
    ],
)
def test_configurations_that_cannot_be(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BlurConfig(**arguments)  # type: ignore[arg-type]


def test_what_is_never_drawn_need_not_fit() -> None:
    config = BlurConfig(turn_weight=0, yaw_rate=(0, 2))
    assert draw_kernels(config, 2, 0)[0].shape == (2, 11, 11)
