from __future__ import annotations

import math

import numpy as np
import pytest
from tasksr_training.psnr import psnr_y


def test_grey_difference_by_hand() -> None:
    a = np.full((10, 10, 3), 100, np.uint8)
    # 10 levels of grey are 10 · 219 / 255 = 8.588 levels of Y: 20 log10(255 / 8.588) dB
    assert psnr_y(a, a + np.uint8(10), 0) == pytest.approx(29.453, abs=1e-3)
    assert psnr_y(a, a, 0) == math.inf


def test_green_weighs_most() -> None:
    a = np.full((10, 10, 3), 100, np.uint8)
    green = a + np.array([0, 10, 0], np.uint8)
    assert psnr_y(a, green, 0) == pytest.approx(20 * math.log10(255 / (10 * 128.553 / 255)))


def test_the_border_is_left_out() -> None:
    a = np.zeros((10, 10, 3), np.uint8)
    b = a.copy()
    b[0], b[:, -1] = 200, 200
    assert psnr_y(a, b, 1) == math.inf
    assert psnr_y(a, b, 0) < 20


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4, 3\).*\(4, 5, 3\)"):
        psnr_y(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8), 0)
