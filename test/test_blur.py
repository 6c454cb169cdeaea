"""Tests of tasksr_ros.blur."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.blur import Blur, Blurs, blur_of, blurs_of, second_moments, summary, to_json
from tasksr_ros.errors import EngineError
from tasksr_ros.regions import Rect, Tile

SIZE = 9
TILE = Tile(Rect(0, 0, 64, 32), (64, 32))
REDUCED = Tile(Rect(64, 0, 192, 32), (64, 32))  # 2 image px per region px across, 1 down


def line(*points: tuple[int, int]) -> NDArray[np.float32]:
    """A kernel of equal weights at x, y from the middle."""
    kernel = np.zeros((SIZE, SIZE), np.float32)
    for x, y in points:
        kernel[SIZE // 2 + y, SIZE // 2 + x] = 1 / len(points)
    return kernel


def measured(kernel: NDArray[np.float32]) -> Blur:
    return blur_of(second_moments(kernel[None])[0])


ACROSS = line(*((x, 0) for x in range(-2, 3)))
DOWN = line(*((0, y) for y in range(-3, 4)))
DELTA = line((0, 0))


@pytest.mark.parametrize(
    ("kernel", "length", "angle"),
    [
        (ACROSS, math.sqrt(24), 0),  # five points 1 px apart have the variance (5² - 1) / 12
        (DOWN, math.sqrt(48), 90),
        (line(*((k, k) for k in range(-2, 3))), math.sqrt(48), 45),  # each step is sqrt(2) px
        (line(*((k, -k) for k in range(-2, 3))), math.sqrt(48), 135),
        (line((-2, -1), (0, 0), (2, 1)), math.sqrt(12 * 10 / 3), math.degrees(math.atan2(1, 2))),
        (DELTA, 0, 0),
        (line((-1, 0), (1, 0), (0, -1), (0, 1)), 0, 0),  # as wide as high
        (line((3, 2)), 0, 0),  # moved, not smeared
        (line((2, 4), (3, 4), (4, 4)), math.sqrt(8), 0),  # moved, too
    ],
)
def test_length_and_angle_by_hand(kernel: NDArray[np.float32], length: float, angle: float) -> None:
    blur = measured(kernel)
    assert blur.length == pytest.approx(length, abs=1e-3)
    assert blur.angle == pytest.approx(angle, abs=1e-3)


def test_the_sense_and_the_sum_of_a_kernel_say_nothing() -> None:
    slanted = line((-2, -1), (-1, 0), (1, 1), (3, 1))
    turned = measured(slanted[::-1, ::-1])
    assert (turned.length, turned.angle) == pytest.approx(
        (measured(slanted).length, measured(slanted).angle)
    )
    assert measured(3 * slanted).length == pytest.approx(measured(slanted).length)


def test_values_below_zero_count_as_they_are() -> None:
    """The lobes of an upscaling: 5/4 in the middle and -1/8 at both sides have the moment -1/4."""
    kernel = 1.25 * line((0, 0)) - 0.25 * line((-1, 0), (1, 0))
    assert measured(kernel.astype(np.float32)) == Blur(pytest.approx(math.sqrt(3)), 90.0)


@pytest.mark.parametrize(
    ("value", "got"), [(math.nan, "not finite"), (math.inf, "not finite"), (-1.0, "got -8.0")]
)
def test_what_is_no_kernel_is_one_clear_line(value: float, got: str) -> None:
    kernels = np.stack([DELTA, np.zeros_like(DELTA)])
    kernels[1, 0, :8] = value
    with pytest.raises(EngineError, match=f"kernels must be finite with a sum above 0.*{got}"):
        second_moments(kernels)


def test_lengths_are_in_image_px() -> None:
    """Two SR px are one region px; a tile reduced across has two image px in it."""
    blurs = blurs_of(np.stack([DOWN, ACROSS]), [TILE, REDUCED], 2)
    assert blurs.regions == (
        Blur(pytest.approx(math.sqrt(48) / 2), 90.0),
        Blur(pytest.approx(math.sqrt(24)), 0.0),
    )
    np.testing.assert_allclose(blurs.kernel, (DOWN + ACROSS) / 2, atol=1e-7)


def test_a_frame_has_the_mean_of_the_moments() -> None:
    """Motions across each other leave what one has more: 4 and 2 px² in two regions."""
    blurs = blurs_of(np.stack([DOWN, ACROSS]), [TILE, TILE], 1)
    assert blurs.frame == Blur(pytest.approx(math.sqrt(12 * (4 - 2) / 2)), 90.0)


def test_for_files_and_people() -> None:
    blurs = Blurs(Blur(3.25, 179.9999), (Blur(1.5, 0.25),), DELTA)
    assert to_json(blurs, [REDUCED]) == {
        "length_px": 3.25,
        "angle_deg": 0.0,
        "regions": [{"rect": [64, 0, 192, 32], "length_px": 1.5, "angle_deg": 0.25}],
    }
    assert str(blurs.frame) == "3.2 px, 0 deg"
    assert summary([Blur(3.0, 12.4)]) == "3.0 px, 12 deg"
    three = [Blur(1.0, 0), Blur(5.0, 10), Blur(2.0, 20)]
    assert summary(three) == "2.0 px in the median of frames, 5.0 px at most"
