"""Tests of tasksr_ros.ros.overlays."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import ImageMarker

from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError
from tasksr_ros.ros import overlays

HEADER = Header(stamp=Time(sec=3, nanosec=7), frame_id="front")
TWO = Detections.from_arrays(
    np.array([[1.5, 2, 3, 10], [0, 0, 4, 8]]), np.array([0.754, 0.5]), np.array([0, 1])
)


@dataclass
class Color:
    """As in foxglove_msgs, which is not to be had here; so are the others."""

    r: float
    g: float
    b: float
    a: float


@dataclass
class Point2:
    x: float
    y: float


@dataclass
class PointsAnnotation:
    timestamp: Time
    type: int
    points: list[Point2]
    outline_color: Color
    thickness: float


@dataclass
class TextAnnotation:
    timestamp: Time
    position: Point2
    text: str
    font_size: float
    text_color: Color
    background_color: Color


@dataclass
class ImageAnnotations:
    points: list[Any] = field(default_factory=list)
    texts: list[Any] = field(default_factory=list)


@pytest.fixture
def foxglove(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("foxglove_msgs.msg")
    for kind in (Color, Point2, PointsAnnotation, TextAnnotation, ImageAnnotations):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "foxglove_msgs", ModuleType("foxglove_msgs"))
    monkeypatch.setitem(sys.modules, "foxglove_msgs.msg", module)
    return module


def test_a_marker_has_the_four_edges_of_every_box() -> None:
    marker = overlays.to_image_marker(TWO, HEADER)
    received = deserialize_message(serialize_message(marker), ImageMarker)
    assert received.header == HEADER
    assert (received.type, received.action) == (ImageMarker.LINE_LIST, ImageMarker.ADD)
    points = [(p.x, p.y) for p in received.points]
    assert points[:8] == [
        *((1.5, 2), (3, 2)),
        *((3, 2), (3, 10)),
        *((3, 10), (1.5, 10)),
        *((1.5, 10), (1.5, 2)),
    ]
    assert len(points) == 16
    assert (received.outline_color.g, received.outline_color.a) == (1.0, 1.0)
    assert received.scale > 0


def test_without_detections_the_former_marker_is_taken_away() -> None:
    marker = overlays.to_image_marker(Detections.empty(), HEADER)
    assert (marker.action, list(marker.points)) == (ImageMarker.REMOVE, [])


def test_annotations_name_class_and_score(foxglove: ModuleType) -> None:
    assert overlays.foxglove_types() is foxglove
    made = overlays.to_annotations(foxglove, TWO, HEADER, ["person", "rider"])
    assert [text.text for text in made.texts] == ["person 0.75", "rider 0.50"]
    assert made.texts[0].position == Point2(1.5, 2.0)
    first = made.points[0]
    assert (first.timestamp, first.type) == (HEADER.stamp, 2)  # LINE_LOOP
    assert first.points == [
        Point2(1.5, 2.0),
        Point2(3.0, 2.0),
        Point2(3.0, 10.0),
        Point2(1.5, 10.0),
    ]
    empty = overlays.to_annotations(foxglove, Detections.empty(), HEADER, ["person"])
    assert (empty.points, empty.texts) == ([], [])
    with pytest.raises(ConfigError, match=r"^class_id must be one of 1 classes, got 1$"):
        overlays.to_annotations(foxglove, TWO, HEADER, ["person"])


class Publisher:
    def __init__(self, kind: type, topic: str) -> None:
        self.kind, self.topic, self.listeners, self.sent = kind, topic, 0, []

    def get_subscription_count(self) -> int:
        return self.listeners

    def publish(self, message: object) -> None:
        self.sent.append(message)


class Node:
    def create_publisher(self, kind: type, topic: str, _: object, **__: object) -> Publisher:
        return Publisher(kind, topic)


def test_only_what_somebody_listens_to_is_made(foxglove: ModuleType) -> None:
    made = overlays.Overlays(Node(), "front/")  # type: ignore[arg-type]
    marker, annotations = made.publishers
    assert (marker.topic, marker.kind) == ("front/image_markers", ImageMarker)
    assert (annotations.topic, annotations.kind) == ("front/annotations", ImageAnnotations)
    made.publish(TWO, HEADER, [])  # nobody listens: the missing classes do not matter
    assert (marker.sent, annotations.sent) == ([], [])
    marker.listeners = 1
    made.publish(TWO, HEADER, [])
    assert (len(marker.sent), annotations.sent) == (1, [])
    annotations.listeners = 2
    made.publish(TWO, HEADER, ["person", "rider"])
    assert (len(marker.sent), len(annotations.sent)) == (2, 1)


def test_without_foxglove_there_are_no_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foxglove_msgs", None)
    monkeypatch.setitem(sys.modules, "foxglove_msgs.msg", None)
    assert overlays.foxglove_types() is None
    made = overlays.Overlays(Node(), "")  # type: ignore[arg-type]
    assert [publisher.topic for publisher in made.publishers] == ["image_markers"]
