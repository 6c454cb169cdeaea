"""Where people stand, in the camera's optical frame, worked out only while somebody listens.

``detections_3d`` is a vision_msgs/Detection3DArray for programs, ``markers`` a
visualization_msgs/MarkerArray for RViz.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)
from visualization_msgs.msg import Marker, MarkerArray

from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.ranging import Ranges
from tasksr_ros.ros.graph import extra_publisher

_ANY_ANGLE = math.pi**2 / 3
"""Variance of an angle of which nothing is known."""
_COLOR = {"r": 0.0, "g": 1.0, "b": 0.0}
_LETTERS_M = 0.5


class InSpace:
    """The publishers of where one camera's people stand.

    Args:
        node: that publishes.
        prefix: of the topics; empty, or ends with a slash.
        qos: of both.
    """

    def __init__(self, node: Node, prefix: str, qos: QoSProfile) -> None:
        made = ((Detection3DArray, "detections_3d"), (MarkerArray, "markers"))
        publishers = [extra_publisher(node, kind, f"{prefix}{topic}", qos) for kind, topic in made]
        makers = (to_detection_3d_array, to_markers)
        self._made: dict[Publisher, Callable[..., Any]] = dict(zip(publishers, makers, strict=True))

    @property
    def publishers(self) -> tuple[Publisher, ...]:
        """One for each kind of message."""
        return tuple(self._made)

    @property
    def wanted(self) -> bool:
        """Whether somebody listens."""
        return any(publisher.get_subscription_count() for publisher in self._made)

    def publish(
        self, detections: Detections, ranges: Ranges, header: Header, classes: Sequence[str] = ()
    ) -> None:
        """Publish what somebody listens to, under the image's header."""
        for publisher, make in self._made.items():
            if publisher.get_subscription_count():
                publisher.publish(make(detections, ranges, header, classes))


def to_detection_3d_array(
    detections: Detections, ranges: Ranges, header: Header, classes: Sequence[str] = ()
) -> Detection3DArray:
    """People whose distance is known, under the source image's header, inner headers too.

    The frame is the image's: x right, y down, z forward (REP 103). A pose is the middle of the
    person, its covariance that of where they stand; of the orientation nothing is known.
    ``classes`` are names that stand in place of class numbers.
    """
    known = np.flatnonzero(np.isfinite(ranges.depth)).tolist()
    return Detection3DArray(
        header=header,
        detections=[_detection(detections, ranges, k, header, classes) for k in known],
    )


def _detection(
    detections: Detections, ranges: Ranges, index: int, header: Header, classes: Sequence[str]
) -> Detection3D:
    x, foot, z = (float(value) for value in ranges.feet[index])
    width, height, depth = (float(value) for value in ranges.size[index])
    pose = Pose(position=Point(x=x, y=foot - height / 2, z=z), orientation=Quaternion(w=1.0))
    covariance = np.diag([0.0] * 3 + [_ANY_ANGLE] * 3)
    covariance[:3, :3] = ranges.covariance[index]
    class_id = int(detections.class_id[index])
    hypothesis = ObjectHypothesis(
        class_id=classes[class_id] if classes else str(class_id),
        score=float(detections.score[index]),
    )
    result = ObjectHypothesisWithPose(
        hypothesis=hypothesis,
        pose=PoseWithCovariance(pose=pose, covariance=covariance.reshape(-1)),
    )
    track_id = int(detections.track_id[index])
    return Detection3D(
        header=header,
        results=[result],
        bbox=BoundingBox3D(center=pose, size=Vector3(x=width, y=height, z=depth)),
        id="" if track_id == NO_TRACK else str(track_id),
    )


def to_markers(
    detections: Detections, ranges: Ranges, header: Header, classes: Sequence[str] = ()
) -> MarkerArray:
    """A box for each person whose distance is known, fainter the lower the score, and its text.

    The text is the depth with its standard deviation, m, behind the class where it has a name.
    The first marker takes those of the image before away.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for k, one in enumerate(to_detection_3d_array(detections, ranges, header, classes).detections):
        box, score = one.bbox, one.results[0].hypothesis.score
        name = f"{one.results[0].hypothesis.class_id} " if classes else ""
        depth, deviation = box.center.position.z, math.sqrt(one.results[0].pose.covariance[14])
        above = Point(
            x=box.center.position.x,
            y=box.center.position.y - box.size.y / 2 - _LETTERS_M,
            z=box.center.position.z,
        )
        markers += [
            Marker(
                header=header,
                ns="people",
                id=k,
                type=Marker.CUBE,
                pose=box.center,
                scale=box.size,
                color=ColorRGBA(**_COLOR, a=0.2 + 0.8 * score),
            ),
            Marker(
                header=header,
                ns="distances",
                id=k,
                type=Marker.TEXT_VIEW_FACING,
                pose=Pose(position=above, orientation=Quaternion(w=1.0)),
                scale=Vector3(z=_LETTERS_M),
                color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
                text=f"{name}{depth:.1f} m, sd {deviation:.1f}",
            ),
        ]
    return MarkerArray(markers=markers)
