"""Tests of tasksr_ros.ros.in_space."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RangeConfig, RegionConfig
from tasksr_ros.detections import Detections
from tasksr_ros.ranging import Ranges, Ranging
from tasksr_ros.ros.in_space import to_detection_3d_array, to_markers

HEADER = Header(stamp=Time(sec=3, nanosec=7), frame_id="front")


def two() -> tuple[Detections, Ranges]:
    """Someone 10 m ahead and 2 m to the right; of somebody else the distance is not known."""
    camera = CameraModel(1280, 720, 1000.0, 1000.0, 640.0, 360.0)
    detections = Detections.from_arrays(
        np.array([[600, 100, 601, 102], [815, 340, 865, 510]]), np.array([0.5, 0.75])
    )
    mounting = RegionConfig(camera_height=1.5)
    ranging = Ranging(RangeConfig(person_height=1.7), mounting, ("person",))
    return detections, ranging.ranges(detections.xyxy, detections.class_id, camera)


def test_where_people_stand() -> None:
    detections, ranges = two()
    array = to_detection_3d_array(detections, ranges, HEADER)
    received = deserialize_message(serialize_message(array), Detection3DArray)
    (person,) = received.detections
    position, size = person.bbox.center.position, person.bbox.size
    assert (received.header, person.header, person.id) == (HEADER, HEADER, "")
    assert (position.x, position.y, position.z) == pytest.approx((2.0, 1.5 - 0.85, 10.0))
    assert (size.x, size.y, size.z) == pytest.approx((0.6, 1.7, 0.6))
    result = person.results[0]
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("0", 0.75)
    assert result.pose.pose == person.bbox.center
    covariance = np.array(result.pose.covariance).reshape(6, 6)
    np.testing.assert_allclose(covariance[:3, :3], ranges.covariance[1])
    assert covariance[5, 5] == pytest.approx(np.pi**2 / 3)
    named = to_detection_3d_array(detections, ranges, HEADER, ["person"])
    assert named.detections[0].results[0].hypothesis.class_id == "person"


def test_markers_are_a_box_and_its_distance() -> None:
    sent = serialize_message(to_markers(*two(), HEADER, ["person"]))
    clear, person, distance = deserialize_message(sent, MarkerArray).markers
    assert {marker.header.frame_id for marker in (clear, person, distance)} == {"front"}
    assert clear.action == Marker.DELETEALL
    assert (person.ns, person.type, person.action) == ("people", Marker.CUBE, Marker.ADD)
    place, scale = person.pose.position, person.scale
    assert (place.x, place.y, place.z) == pytest.approx((2.0, 0.65, 10.0))
    assert (scale.x, scale.y, scale.z) == pytest.approx((0.6, 1.7, 0.6))
    assert person.color.a == pytest.approx(0.8)
    assert (distance.ns, distance.type) == ("distances", Marker.TEXT_VIEW_FACING)
    assert distance.pose.position.y == pytest.approx(0.65 - 0.85 - 0.5)  # above the head
    assert distance.text == "person 10.0 m, sd 1.0"
    assert to_markers(*two(), HEADER).markers[2].text == "10.0 m, sd 1.0"


def test_where_nobody_stands_the_markers_of_before_go_away() -> None:
    detections, ranges = two()
    (clear,) = to_markers(detections.select(slice(1)), ranges.select(slice(1)), HEADER).markers
    assert clear.action == Marker.DELETEALL
