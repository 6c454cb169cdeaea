"""Super-resolution of video in the running node, over real ROS 2 topics."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from ros_client import RED_PARAMETERS, Client, live_node
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from tasksr_ros.config import NearConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.model import load_model
from tasksr_ros.ros import messages
from tasksr_ros.ros.settings import read_settings

pytestmark = [pytest.mark.wire]

MS = 1_000_000
LATE = {1350}
STAMPS_MS = [
    *(1000, 1100, 1200),
    *(1400, 1500),  # one was dropped on the way
    *(1350, 1600),  # a late one
    *(4000, 4100),  # a gap
    *(1000, 1100, 1200),  # the bag is played again
]


def picture(number: int) -> np.ndarray:
    """A scene that goes to the left, (32, 64, 3) uint8 BGR."""
    noise = np.random.default_rng(0).random((32, 100, 3)).astype(np.float32)
    wide = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(wide[:, 3 * number : 3 * number + 64].astype(np.uint8))


def test_dropped_late_and_looped_frames_give_what_the_pipeline_gives(
    client: Client, ros_domain: int, video_bundle: Path
) -> None:
    parameters = {"engine__name": "torch", "engine__device": "cpu", "detection__max_detections": 50}
    images = []
    for number, ms in enumerate(STAMPS_MS):
        stamp = Header(frame_id=str(number))
        stamp.stamp.sec, stamp.stamp.nanosec = divmod(ms * MS, 1_000_000_000)
        images.append(messages.to_image(picture(number), "bgr8", stamp))
    with live_node(ros_domain, video_bundle, build_engine, **parameters):
        arrays = client.listen(Detection2DArray, "detections")
        answered: list[Image] = []
        for ms, image in zip(STAMPS_MS, images, strict=True):
            client.publish(image)
            if ms not in LATE:
                answered.append(image)
                client.wait(lambda: len(arrays) == len(answered), "an answer")
    assert [a.header.frame_id for a in arrays] == [image.header.frame_id for image in answered]
    given = {**RED_PARAMETERS, **{k.replace("__", "."): v for k, v in parameters.items()}}
    config = read_settings(given).common
    model = load_model(video_bundle, config.engine, NearConfig(width=0))
    pipeline, changed = model.pipeline(config), []
    for image, array in zip(answered, arrays, strict=True):
        expected = pipeline(decode_message(image))
        received = messages.from_detection_array(array)
        assert len(received) == len(expected) == 50
        np.testing.assert_allclose(received.score, expected.score, atol=1e-6)
        np.testing.assert_allclose(received.xyxy, expected.xyxy, atol=1e-4)
        alone = model.pipeline(config)(decode_message(image))
        changed.append(bool(np.abs(alone.score - expected.score).max() > 1e-4))
    # Those without any frame before them: the first, that after the gap, and that of the new turn.
    assert [k for k, differs in enumerate(changed) if not differs] == [0, 6, 8]
