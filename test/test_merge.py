"""Tests of tasksr_ros.merge, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasksr_ros.detections import Detections
from tasksr_ros.merge import merge as merge_tiles

BOXES = np.array(
    [
        [0, 0, 10, 20],
        [0, 5, 10, 25],  # IoU with the first: 150 / 250 = .6
        [0, 10, 10, 30],  # with the first 100 / 300 = .33, with the second .6
        [100, 0, 110, 20],
    ],
    np.float32,
)


def merge(detections: Detections, nms_iou: float, max_detections: int) -> Detections:
    """With no box cut by a tile."""
    whole = np.zeros(len(detections), bool)
    return merge_tiles(detections, whole, nms_iou, max_detections)


@pytest.mark.parametrize(
    ("nms_iou", "kept"),
    [(0.5, [0, 3, 2]), (0.6, [0, 1, 3, 2]), (0.3, [0, 3]), (1.0, [0, 1, 3, 2])],
)
def test_weaker_of_overlapping_boxes_is_dropped(nms_iou: float, kept: list[int]) -> None:
    scores = np.array([0.9, 0.8, 0.5, 0.7])
    merged = merge(Detections.from_arrays(BOXES, scores), nms_iou, 100)
    np.testing.assert_array_equal(merged.xyxy, BOXES[kept])
    np.testing.assert_array_equal(merged.score, scores.astype(np.float32)[kept])


def test_a_dropped_box_suppresses_no_other() -> None:
    merged = merge(Detections.from_arrays(BOXES[:3], np.array([0.9, 0.8, 0.7])), 0.5, 100)
    np.testing.assert_array_equal(merged.xyxy, BOXES[[0, 2]])


def test_of_many_boxes_in_a_row_every_other_is_kept() -> None:
    left = np.arange(0, 1000, 5.0)  # each overlaps the next by 5 of 15 px
    boxes = np.stack((left, 0 * left, left + 10, 0 * left + 20), 1)
    scores = np.linspace(0.9, 0.1, 200)
    merged = merge(Detections.from_arrays(boxes, scores), 0.3, 300)
    assert merged.xyxy[:, 0].tolist() == list(range(0, 1000, 10))


def test_classes_do_not_suppress_one_another() -> None:
    same = np.repeat(BOXES[:1], 2, 0)
    merged = merge(Detections.from_arrays(same, np.array([0.5, 0.6]), np.array([0, 1])), 0.5, 100)
    assert merged.class_id.tolist() == [1, 0]


def test_order_of_the_input_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (200, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(3, 20, (200, 2))), 1)
    scores = rng.integers(0, 10, 200) / 10  # many ties
    expected = merge(Detections.from_arrays(boxes, scores), 0.4, 60)
    for _ in range(3):
        order = rng.permutation(200)
        merged = merge(Detections.from_arrays(boxes[order], scores[order]), 0.4, 60)
        np.testing.assert_array_equal(merged.xyxy, expected.xyxy)
        np.testing.assert_array_equal(merged.score, expected.score)


def test_nothing_and_the_limit() -> None:
    assert len(merge(Detections.empty(), 0.5, 10)) == 0
    assert len(merge(Detections.from_arrays(BOXES, np.ones(4)), 1.0, 2)) == 2


def test_a_cut_box_is_dropped_for_the_whole_one_even_if_it_is_stronger() -> None:
    boxes = np.array([[0, 0, 10, 30], [0, 0, 10, 8]], np.float32)  # IoU .27, a part of the first
    scores = np.array([0.6, 0.9])
    detections = Detections.from_arrays(boxes, scores)
    whole = merge_tiles(detections, np.array([False, False]), 0.5, 100)
    assert len(whole) == 2
    cut = merge_tiles(detections, np.array([False, True]), 0.5, 100)
    assert cut.xyxy.tolist() == [[0, 0, 10, 30]]


def test_of_two_cut_boxes_the_stronger_stays() -> None:
    boxes = np.array([[0, 0, 10, 30], [0, 14, 10, 40]], np.float32)  # share 16 of 26 rows
    detections = Detections.from_arrays(boxes, np.array([0.6, 0.9]))
    cut = merge_tiles(detections, np.array([True, True]), 0.5, 100)
    assert cut.xyxy.tolist() == [[0, 14, 10, 40]]
