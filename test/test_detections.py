"""Tests of tasksr_ros.detections."""

from __future__ import annotations

import numpy as np
import pytest

from tasksr_ros.detections import NO_TRACK, Detections, concatenate

ONE = Detections.from_arrays(np.array([[1, 2, 3, 4]]), np.array([0.5]))


def test_from_arrays_fills_what_is_not_given() -> None:
    assert ONE.class_id.tolist() == [0]
    assert ONE.track_id.tolist() == [NO_TRACK]
    assert ONE.xyxy.dtype == np.float32


def test_arrays_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ONE.xyxy[0, 0] = 7


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"xyxy must have shape \(2, 4\), got \(1, 4\)"):
        Detections(ONE.xyxy, np.zeros(2, np.float32), ONE.class_id, ONE.track_id)


def test_concatenate_and_select() -> None:
    other = Detections.from_arrays(np.array([[5, 6, 7, 8]]), np.array([0.9]), np.array([1]))
    both = concatenate([ONE, other])
    assert both.score.tolist() == pytest.approx([0.5, 0.9])
    assert both.select(np.array([1])).xyxy.tolist() == [[5, 6, 7, 8]]
    assert len(both.select(both.score > 0.95)) == 0
    assert len(concatenate([])) == 0
