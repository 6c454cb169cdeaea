"""Tests of tasksr_ros.ros.messages."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.ros import messages

HEADER = Header(stamp=Time(sec=3, nanosec=7), frame_id="front")


@pytest.mark.parametrize("size", [(3, 5), (4, 8)])
@pytest.mark.parametrize("encoding", ["bgr8", "mono8"])
def test_image_survives_the_wire(size: tuple[int, int], encoding: str) -> None:
    channels = 1 if encoding == "mono8" else 3
    image = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    sent = messages.to_image(image, encoding, HEADER)
    received = decode_message(deserialize_message(serialize_message(sent), Image))
    np.testing.assert_array_equal(received.image, image)
    assert (received.stamp_ns, received.frame_id) == (3_000_000_007, "front")
    assert received.encoding == encoding


def test_pixels_are_a_view_of_the_message() -> None:
    message = messages.to_image(np.zeros((2, 2, 3), np.uint8), "rgb8", HEADER)
    frame = decode_message(message)
    message.data[0] = 9
    assert frame.image[0, 0, 0] == 9


def test_detections_survive_the_wire() -> None:
    detections = Detections.from_arrays(
        np.array([[1.5, 2, 3, 10], [0, 0, 4, 8]]), np.array([0.75, 0.5]), np.array([0, 2])
    )
    array = messages.to_detection_array(detections, HEADER)
    received = deserialize_message(serialize_message(array), Detection2DArray)
    back = messages.from_detection_array(received)
    np.testing.assert_array_equal(back.xyxy, detections.xyxy)
    np.testing.assert_array_equal(back.score, detections.score)
    np.testing.assert_array_equal(back.class_id, detections.class_id)
    assert received.header == HEADER
    assert {d.header.frame_id for d in received.detections} == {"front"}
    assert [d.id for d in received.detections] == ["", ""]


def test_class_names_in_place_of_numbers() -> None:
    classes = ["person", "rider", "dog"]
    detections = Detections.from_arrays(
        np.array([[1.0, 2, 3, 10], [0, 0, 4, 8]]), np.array([0.75, 0.5]), np.array([0, 2])
    )
    array = messages.to_detection_array(detections, HEADER, classes)
    assert [d.results[0].hypothesis.class_id for d in array.detections] == ["person", "dog"]
    assert messages.from_detection_array(array, classes).class_id.tolist() == [0, 2]
    numbers = messages.to_detection_array(detections, HEADER)
    assert [d.results[0].hypothesis.class_id for d in numbers.detections] == ["0", "2"]
    assert messages.from_detection_array(numbers, classes).class_id.tolist() == [0, 2]
    with pytest.raises(RecordingError, match=r"^class_id must be a number, got 'person'$"):
        messages.from_detection_array(array)
    with pytest.raises(RecordingError, match=r"must be a number or one of car, got 'person'$"):
        messages.from_detection_array(array, ["car"])


def test_no_detections() -> None:
    array = messages.to_detection_array(Detections.empty(), HEADER)
    assert array.detections == []
    assert len(messages.from_detection_array(array)) == 0


def test_track_ids_are_told() -> None:
    tracked = Detections(
        np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int32),
        np.array([12], np.int32),
    )  # fmt: skip
    array = messages.to_detection_array(tracked, HEADER)
    assert array.detections[0].id == "12"
    assert messages.from_detection_array(array).track_id.tolist() == [12]


def test_camera_model_of_raw_and_of_rectified_images() -> None:
    info = CameraInfo(width=640, height=480)
    info.k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
    assert messages.to_camera_model(info) == CameraModel(640, 480, 500, 510, 320, 240)
    info.p = [450.0, 0.0, 310.0, 0.0, 0.0, 460.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert messages.to_camera_model(info) == CameraModel(640, 480, 500, 510, 320, 240)
    rectified = messages.to_camera_model(info, rectified=True)
    assert rectified == CameraModel(640, 480, 450, 460, 310, 230)


@pytest.mark.parametrize(
    "camera",
    [
        CameraModel(640, 480, 500, 510, 320, 240),
        CameraModel(640, 480, 500, 510, 320, 240, "plumb_bob", (-0.3, 0.1, 0.0, 0.0, 0.01)),
        CameraModel(640, 480, 500, 510, 320, 240, "equidistant", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_cameras_survive_the_wire(camera: CameraModel) -> None:
    sent = messages.to_camera_info(camera, HEADER)
    received = deserialize_message(serialize_message(sent), CameraInfo)
    assert messages.to_camera_model(received) == camera


def test_an_uncalibrated_camera_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 640x480 px, fx 0, fy 0"):
        messages.to_camera_model(CameraInfo(width=640, height=480))
