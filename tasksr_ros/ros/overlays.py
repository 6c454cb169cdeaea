"""Boxes for a viewer to draw over the image, made only while one listens.

``image_markers`` is a visualization_msgs/ImageMarker. ``annotations`` is Foxglove's
ImageAnnotations, with classes and scores, where foxglove_msgs is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from geometry_msgs.msg import Point
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import ImageMarker

from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError
from tasksr_ros.ros.graph import extra_publisher

_COLOR = (0.0, 1.0, 0.0, 1.0)
_WIDTH = 2.0
_FONT = 14.0
_BACK = (0.0, 0.0, 0.0, 0.6)
_POINTS_LINE_LOOP = 2


class Overlays:
    """The publishers of one camera's boxes.

    Args:
        node: that publishes.
        prefix: of the topics; empty, or ends with a slash.
    """

    def __init__(self, node: Node, prefix: str) -> None:
        qos = QoSProfile(depth=1)
        self._node = node
        publisher = extra_publisher(node, ImageMarker, f"{prefix}image_markers", qos)
        self._made: dict[Publisher, Callable[[Detections, Header, Sequence[str]], Any]] = {}
        self._made[publisher] = to_image_marker
        kinds = foxglove_types()
        if kinds is not None:
            kind, topic = kinds.ImageAnnotations, f"{prefix}annotations"
            publisher = extra_publisher(node, kind, topic, qos)
            self._made[publisher] = lambda *what: to_annotations(kinds, *what)

    @property
    def publishers(self) -> tuple[Publisher, ...]:
        """One for each kind of message."""
        return tuple(self._made)

    def publish(self, detections: Detections, header: Header, classes: Sequence[str]) -> None:
        """Publish what somebody listens to; boxes in image px, under the image's header."""
        for publisher, make in self._made.items():
            if publisher.get_subscription_count():
                publisher.publish(make(detections, header, classes))


def foxglove_types() -> Any:
    """The messages of foxglove_msgs, or None where it is not installed."""
    try:
        return importlib.import_module("foxglove_msgs.msg")
    except ImportError:
        return None


def class_name(classes: Sequence[str], class_id: int) -> str:
    """The name of a class.

    Raises:
        ConfigError: if the bundle does not name it.
    """
    if not 0 <= class_id < len(classes):
        raise ConfigError(f"class_id must be one of {len(classes)} classes, got {class_id}")
    return classes[class_id]


def to_image_marker(
    detections: Detections, header: Header, classes: Sequence[str] = ()
) -> ImageMarker:
    """All boxes as one list of lines; without detections it takes the former ones away."""
    marker = ImageMarker(
        header=header,
        ns="detections",
        type=ImageMarker.LINE_LIST,
        action=ImageMarker.ADD if len(detections) else ImageMarker.REMOVE,
        scale=_WIDTH,
        outline_color=ColorRGBA(**_rgba(_COLOR)),
    )
    for box in detections.xyxy:
        corners = _corners(box)
        for begin, end in zip(corners, (*corners[1:], corners[0]), strict=True):
            marker.points += [Point(x=begin[0], y=begin[1]), Point(x=end[0], y=end[1])]
    return marker


def to_annotations(
    kinds: Any, detections: Detections, header: Header, classes: Sequence[str]
) -> Any:
    """Boxes with class and score as text; an empty message takes the former ones away.

    Args:
        kinds: the messages of foxglove_msgs.
        detections: boxes in image px.
        header: of the image; its stamp is each annotation's.
        classes: names by class id.
    """
    made = kinds.ImageAnnotations()
    for index, box in enumerate(detections.xyxy):
        corners = [kinds.Point2(x=x, y=y) for x, y in _corners(box)]
        name = class_name(classes, int(detections.class_id[index]))
        made.points.append(
            kinds.PointsAnnotation(
                timestamp=header.stamp,
                type=_POINTS_LINE_LOOP,
                points=corners,
                outline_color=kinds.Color(**_rgba(_COLOR)),
                thickness=_WIDTH,
            )
        )
        made.texts.append(
            kinds.TextAnnotation(
                timestamp=header.stamp,
                position=corners[0],
                text=f"{name} {detections.score[index]:.2f}",
                font_size=_FONT,
                text_color=kinds.Color(**_rgba(_COLOR)),
                background_color=kinds.Color(**_rgba(_BACK)),
            )
        )
    return made


def _corners(box: Any) -> list[tuple[float, float]]:
    """Of a box, from the upper left on, clockwise."""
    x0, y0, x1, y1 = (float(value) for value in box)
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _rgba(color: tuple[float, float, float, float]) -> dict[str, float]:
    return dict(zip("rgba", color, strict=True))
