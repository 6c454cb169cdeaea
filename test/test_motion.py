"""Tests of tasksr_ros.motion."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.motion import Motion

STILL = np.zeros(1)


def one(value: float) -> NDArray[np.float64]:
    return np.array([[value]])


def numbers(motion: Motion) -> list[float]:
    arrays = (motion.position, motion.velocity, motion.pp, motion.pv, motion.vv)
    return [float(array[0, 0]) for array in arrays]


def test_prediction_and_update_by_hand() -> None:
    motion = Motion.at(one(0.0), one(1.0), STILL, one(2.0))
    assert numbers(motion) == [0, 0, 1, 0, 4]
    later = motion.predict(np.array([1.0]), density=one(0.0))
    assert numbers(later) == [0, 0, 5, 4, 4]
    seen = later.update(one(6.0), noise=one(1.0))
    assert numbers(seen) == pytest.approx([5, 4, 5 / 6, 4 / 6, 4 / 3])


def test_acceleration_widens_as_the_integral_of_white_noise() -> None:
    motion = Motion.at(one(0.0), one(0.0), STILL, one(0.0))
    assert numbers(motion.predict(np.array([2.0]), one(3.0))) == [0, 0, 8, 6, 6]


def test_two_short_steps_are_one_long_one() -> None:
    motion = Motion.at(one(1.0), one(0.5), STILL, one(2.0)).update(one(2.0), one(0.5))
    twice = motion.predict(np.array([0.2]), one(3.0)).predict(np.array([0.3]), one(3.0))
    assert numbers(twice) == pytest.approx(numbers(motion.predict(np.array([0.5]), one(3.0))))


def test_select_join_and_put() -> None:
    both = Motion.at(one(1.0), one(1.0), STILL, one(1.0)).join(
        Motion.at(one(2.0), one(2.0), STILL, one(2.0))
    )
    assert both.select(np.array([1])).position.tolist() == [[2.0]]
    changed = both.put(np.array([0]), Motion.at(one(7.0), one(3.0), STILL, one(1.0)))
    assert changed.position.tolist() == [[7.0], [2.0]]
    assert changed.pp.tolist() == [[9.0], [4.0]]
    assert both.position.tolist() == [[1.0], [2.0]]
