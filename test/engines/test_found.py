"""Tests of tasksr_ros.engines.found."""

from __future__ import annotations

import numpy as np

from tasksr_ros.engines.found import Found, joined, new_found


def found(number: int, boxes: int, kernel: float | None) -> Found:
    made = new_found(number, boxes, 0 if kernel is None else 3)
    for array, value in zip(made.arrays, (1, 0.5, 2, kernel), strict=False):
        array.fill(value)
    return made


def test_regions_are_joined_with_their_kernels() -> None:
    both = joined([found(2, 1, 0.1), found(1, 3, 0.2)])
    assert both.scores.tolist() == [[0.5, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0.5]]
    assert both.kernels is not None
    assert both.kernels.shape == (3, 3, 3)
    np.testing.assert_allclose(both.kernels[:, 1, 1], [0.1, 0.1, 0.2], atol=1e-7)
    last = both.of(slice(2, 3)).kernels
    assert last is not None
    assert last.shape == (1, 3, 3)


def test_without_kernels_there_are_three_arrays() -> None:
    both = joined([found(1, 1, None), found(1, 2, None)])
    assert both.kernels is None
    assert both.of(slice(0, 1)).kernels is None
    assert len(both.arrays) == 3
