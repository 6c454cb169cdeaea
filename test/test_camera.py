"""Tests of tasksr_ros.camera: expected values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError


def camera(distortion: str = "", *coefficients: float) -> CameraModel:
    return CameraModel(1000, 800, 100.0, 200.0, 500.0, 400.0, distortion, coefficients)


@pytest.mark.parametrize(
    ("lens", "ray", "point"),
    [
        (camera(), (0.5, -0.25, 1), (550, 350)),
        (camera(), (1, -0.5, 2), (550, 350)),
        # r² = .25: 1 - .2 x .25 + .4 x .0625 = .975
        (camera("plumb_bob", -0.2, 0.4, 0, 0, 0), (0.5, 0, 1), (548.75, 400)),
        # x + 2 p1 x y + p2 (r² + 2 x²), y + p1 (r² + 2 y²) + 2 p2 x y
        (camera("plumb_bob", 0, 0, 0.01, 0.02), (0.5, 0.5, 1), (552.5, 502 + 2)),
        # (1 + .4 r²) / (1 + 1.6 r²) = 1.1 / 1.4
        (camera("rational_polynomial", 0.4, 0, 0, 0, 0, 1.6, 0, 0), (0, 0.5, 1), (500, 478.571429)),
        (camera("equidistant", 0, 0, 0, 0), (1, 0, 1), (500 + 25 * math.pi, 400)),
        (camera("equidistant", 0, 0, 0, 0), (0, 1, 0), (500, 400 + 100 * math.pi)),
        # to the side and back, 100 degrees from the axis
        (
            camera("equidistant", 0, 0, 0, 0),
            (-math.cos(math.radians(10)), 0, -math.sin(math.radians(10))),
            (500 - 100 * math.radians(100), 400),
        ),
        # θ (1 + .1 θ²), θ = π/4
        (camera("equidistant", 0.1, 0, 0, 0), (1, 0, 1), (583.384554, 400)),
    ],
)
def test_rays_to_px(lens: CameraModel, ray: tuple[float, ...], point: tuple[float, float]) -> None:
    assert lens.project(np.array([ray]))[0] == pytest.approx(point)


def test_rays_beyond_the_lens_stay_at_its_rim() -> None:
    """r (1 - r²) grows up to r = 1 / sqrt 3 only; further out the polynomial would come back."""
    lens = camera("plumb_bob", -1, 0, 0, 0)
    rim = 2 / 3 / math.sqrt(3)
    points = lens.project(np.array([(1.0, 0, 1), (5.0, 0, 1), (0, -1.0, 0), (-1.0, 0, -1)]))
    expected = [(100 * rim + 500, 400)] * 2 + [(500, 400 - 200 * rim), (500 - 100 * rim, 400)]
    assert points == pytest.approx(np.array(expected), abs=1e-3)


@pytest.mark.parametrize(
    "lens",
    [
        camera(),
        camera("plumb_bob", -0.2, 0.05, 0.001, 0.002, 0.0),
        camera("rational_polynomial", 0.4, 0.1, 0.001, 0, 0, 0.6, 0.1, 0),
        camera("equidistant", 0.02, -0.003, 0.001, 0.0),
    ],
)
def test_straightened_is_what_a_pinhole_sees(lens: CameraModel) -> None:
    rays = np.array([(0.3, -0.2, 1), (0, 0.4, 1), (-0.5, 0.1, 1)])
    straight = lens.straightened(lens.project(rays))
    assert straight == pytest.approx(camera().project(rays), abs=0.01)
    assert lens.straightened(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    ("distortion", "coefficients", "message"),
    [
        (
            "fisheye62",
            (0.1,),
            "distortion_model must be one of plumb_bob, rational_polynomial, equidistant, "
            "got 'fisheye62'",
        ),
        ("", (0.1,), "equidistant, got ''"),
        (
            "plumb_bob",
            (0.1, 0, 0),
            r"distortion_model plumb_bob must have 4 or 5 finite coefficients, got \[0.1, 0, 0\]",
        ),
        ("equidistant", (0, 0, math.nan, 0), "must have 4 finite coefficients"),
    ],
)
def test_other_lenses_are_refused(
    distortion: str, coefficients: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        camera(distortion, *coefficients)
