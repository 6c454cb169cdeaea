"""Where people stand, as vision_msgs/Detection3DArray in the camera's optical frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.ranging import Ranges

_ANY_ANGLE = math.pi**2 / 3
"""Variance of an angle of which nothing is known."""


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
