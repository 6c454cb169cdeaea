from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from tasksr_training.degradations import CorruptionConfig, Faults, add_faults, draw_faults
from tasksr_training.forward_motion import (
    ForwardMotion,
    ForwardMotionConfig,
    blur_by_forward_motion,
    draw_forward_motion,
)

from tasksr_ros.errors import ConfigError

# 20 m/s for 0.02 s at 10 m: points move by 0.04 of their distance from the focus
AHEAD = ForwardMotion(20, 0.02, 10, focus_x=0.5, focus_y=0.5)


def dots(*xy: tuple[int, int], side: int = 101) -> torch.Tensor:
    image = torch.zeros(3, side, side)
    for x, y in xy:
        image[:, y, x] = 1
    return image


def spread(image: torch.Tensor, x: int, y: int) -> tuple[list[float], list[float]]:
    """Mean and variance in x and y, px, of the light within 10 px of a point."""
    part = image[0, y - 10 : y + 11, x - 10 : x + 11].double().numpy()
    at = np.arange(-10, 11)
    shares = part.sum(0) / part.sum(), part.sum(1) / part.sum()
    means = [float(s @ at) for s in shares]
    return means, [float(s @ at**2 - m**2) for s, m in zip(shares, means, strict=True)]


def test_growth_and_longest_streak_by_hand() -> None:
    assert AHEAD.growth == pytest.approx(0.04)
    assert AHEAD.longest((60, 80)) == pytest.approx(0.04 * 50)  # hypot(30, 40)
    beside = ForwardMotion(20, 0.02, 10, focus_x=-1, focus_y=0)
    assert beside.longest((60, 80)) == pytest.approx(0.04 * np.hypot(160, 60))


def test_streaks_point_away_from_the_focus_and_grow_with_the_distance_from_it() -> None:
    # The focus is the middle of pixel (50, 50). A dot p px away is at p / (1 - g t), t from -1/2 to
    # 1/2 and g = 0.2, and grows likewise: its light is 1 / (1 - g t)². Moments of this by hand:
    # the mean is 1.0101 p, the variance 0.003401 p², and a dot's own is 1/6 (bilinear).
    fast = ForwardMotion(50, 0.02, 5, focus_x=0.5, focus_y=0.5)
    blurred = blur_by_forward_motion(dots((90, 50), (50, 30)), fast)
    means, variances = spread(blurred, 90, 50)
    assert means == pytest.approx([0.404, 0], abs=0.02)
    assert variances == pytest.approx([1600 * 0.003401 + 1 / 6, 0], abs=0.1)
    means, variances = spread(blurred, 50, 30)
    assert means == pytest.approx([0, -0.202], abs=0.02)
    assert variances == pytest.approx([0, 400 * 0.003401 + 1 / 6], abs=0.1)


def test_no_speed_is_no_blur_and_a_constant_stays() -> None:
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    still = ForwardMotion(0, 0.02, 10, 0.5, 0.5)
    assert blur_by_forward_motion(image, still) == pytest.approx(image.numpy(), abs=1e-5)
    grey = torch.full((3, 20, 30), 0.3)
    aside = ForwardMotion(30, 0.02, 5, -1.5, 2.5)
    assert blur_by_forward_motion(grey, aside) == pytest.approx(grey.numpy(), abs=1e-6)


def test_drawn_motions_are_reproducible_and_in_range() -> None:
    config = ForwardMotionConfig(speed=(10, 20), focus=(0.2, 0.8))
    drawn = [draw_forward_motion(config, np.random.default_rng(i)) for i in range(30)]
    assert drawn[3] == draw_forward_motion(config, np.random.default_rng(3))
    assert all(10 <= m.speed <= 20 and 0.2 <= m.focus_x <= 0.8 for m in drawn)
    assert ForwardMotion(**asdict(drawn[5])) == drawn[5]


def test_corruption_draws_it_only_where_wanted() -> None:
    config = CorruptionConfig(probability=0, forward_motion_probability=0.5)
    faults = draw_faults(config, 40, 0)
    assert 8 < sum(f.forward_motion is not None for f in faults) < 32
    assert all(f == Faults() for f in draw_faults(CorruptionConfig(probability=0), 9, 0))
    image = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    blurred = add_faults(image, [Faults(forward_motion=AHEAD)])
    assert torch.equal(blurred[0], blur_by_forward_motion(image[0], AHEAD))


def test_motions_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"less way .* got ForwardMotion\(speed=600"):
        ForwardMotion(600, 0.02, 10, 0.5, 0.5)
    with pytest.raises(ConfigError, match=r"forward_motion\.speed: .* got 3, 2"):
        ForwardMotionConfig(speed=(3, 2))
    with pytest.raises(ConfigError, match=r"distance: .* 0\.6 m, got 0\.5 m"):
        ForwardMotionConfig(distance=(0.5, 9))
