"""Tests of tasksr_ros.in_image: a tile at (100, 50) whose every region px is two of the image."""

from __future__ import annotations

import numpy as np

from tasksr_ros.detections import Detections
from tasksr_ros.engines.found import Found
from tasksr_ros.in_image import InImage, in_image, joined
from tasksr_ros.regions import Rect, Tile

TILE = Tile(Rect(100, 50, 164, 82), (32, 16), open=(True, True, True, True))


def look(*boxes: tuple[float, float, float, float], scores: list[float]) -> InImage:
    found = Found.of_one_class(np.array([boxes], np.float32), np.array([scores], np.float32))
    return in_image(TILE, found, 4, (160, 200), np.array([0.5], np.float32), 4)


def test_boxes_of_a_tile_become_image_px_and_are_clipped_to_the_image() -> None:
    found = look((40, 24, 48, 40), (100, 20, 126, 40), scores=[0.9, 0.5])
    assert found.detections.xyxy.tolist() == [[120, 62, 124, 70], [150, 60, 160, 70]]
    assert found.cut.tolist() == [False, True]


def test_the_unlikely_are_left_out() -> None:
    assert len(look((40, 24, 48, 40), scores=[0.49]).detections) == 0
    both = joined([look((40, 24, 48, 40), scores=[0.49]), look((40, 24, 48, 40), scores=[0.6])])
    assert both.detections.xyxy.tolist() == [[120, 62, 124, 70]]
    assert both.cut.tolist() == [False]


def test_each_class_has_a_least_score_of_its_own() -> None:
    boxes = np.array([[[0, 0, 8, 16], [40, 24, 48, 40], [60, 24, 68, 40]]], np.float32)
    found = Found(boxes, np.array([[0.4, 0.4, 0.7]], np.float32), np.array([[0, 1, 0]], np.int32))
    least = np.array([0.6, 0.3], np.float32)
    detections = in_image(TILE, found, 4, (160, 200), least, 4).detections
    assert detections.class_id.tolist() == [1, 0]
    assert detections.xyxy.tolist() == [[120, 62, 124, 70], [130, 62, 134, 70]]


def test_the_weaker_group_suppresses_none_of_the_stronger() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 11], [50, 0, 60, 10]], np.float32)
    found = InImage(Detections.from_arrays(boxes, np.array([0.4, 0.6, 0.3])), np.zeros(3, np.bool_))
    strong, weak = np.array([0.5], np.float32), np.array([0.35], np.float32)
    assert found.merged(0.5, 10, strong).score.tolist() == [np.float32(0.6)]
    assert found.merged(0.5, 10, weak).score.tolist() == [np.float32(0.6)]
    groups = found.merged(0.5, 10, strong, weak)
    assert groups.score.tolist() == [np.float32(0.6), np.float32(0.4)]
