from __future__ import annotations

import numpy as np
import pytest
from tasksr_training.box_fusion import box_iou, fuse


def test_boxes_of_one_person_become_their_weighted_mean() -> None:
    """Worked out by hand: weights .8 and .4 of 1.2; score (.8 + .4) / 2 x 2 / 3."""
    found = [
        np.array([[0.0, 0, 10, 20, 0.8]]),
        np.array([[0.0, 3, 10, 20, 0.4]]),
        np.zeros((0, 5)),
    ]
    np.testing.assert_allclose(fuse(found), [[0, 1, 10, 20, 0.4]])


def test_boxes_apart_stay_apart_and_the_surer_comes_first() -> None:
    found = [np.array([[0.0, 0, 10, 20, 0.5]]), np.array([[50.0, 0, 60, 20, 0.9]])]
    np.testing.assert_allclose(fuse(found), [[50, 0, 60, 20, 0.45], [0, 0, 10, 20, 0.25]])


def test_a_box_joins_the_fused_one_that_it_overlaps_most() -> None:
    found = [
        np.array([[0.0, 0, 10, 10, 0.9], [6.0, 0, 16, 10, 0.8]]),
        np.array([[5.0, 0, 15, 10, 0.4]]),
    ]
    fused = fuse(found, 0.3)
    np.testing.assert_allclose(fused[1, :4], [0, 0, 10, 10])
    np.testing.assert_allclose(fused[0, 0], (6 * 0.8 + 5 * 0.4) / 1.2)


def test_more_boxes_than_detectors_do_not_raise_the_score() -> None:
    found = [np.array([[0.0, 0, 10, 10, 0.6], [0.0, 0, 10, 9, 0.4]])]
    assert fuse(found)[:, 4].tolist() == pytest.approx([0.5])


def test_nothing_found() -> None:
    assert fuse([np.zeros((0, 5))]).shape == (0, 5)
    assert fuse([]).shape == (0, 5)


def test_iou() -> None:
    a = np.array([[0.0, 0, 2, 2], [5, 5, 6, 6]])
    b = np.array([[1.0, 0, 3, 2]])
    np.testing.assert_allclose(box_iou(a, b), [[1 / 3], [0]])
