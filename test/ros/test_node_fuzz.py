"""Mutated messages over real ROS 2 topics: none harms the node, none gives another's boxes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from mutation import SEED
from numpy.random import Generator
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from ros_client import Camera, Client, Diagnostics, Expected, LiveNode, assert_accounted, live_node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from tasksr_ros.io.decoding import decode_message
from tasksr_ros.ros.messages import to_image

pytestmark = pytest.mark.wire


def mutated(good: bytes, random: Generator) -> bytes:
    """Bytes changed, cut off, put in or repeated; most often in what is not pixels."""
    data = bytearray(good)
    head = min(len(data), 96)
    for _ in range(random.integers(1, 5)):
        place = int(random.integers(4, head if random.random() < 0.8 else len(data)))
        data[place] = random.choice([0, 1, 0x7F, 0x80, 0xFF, int(random.integers(0, 256))])
    kind = random.random()
    if kind < 0.15:
        data = data[: int(random.integers(4, len(data)))]
    elif kind < 0.25:
        data += random.bytes(int(random.integers(1, 64)))
    return bytes(data)


def messages_of(camera: Camera, kind: type) -> Image | CompressedImage:
    image = camera.image()
    if kind is Image:
        return image
    jpeg = cv2.imencode(".jpg", decode_message(image).image)[1].tobytes()
    return CompressedImage(header=image.header, format="bgr8; jpeg compressed bgr8", data=jpeg)


@pytest.mark.parametrize("transport", ["raw", "compressed"])
@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_images(
    client: Client, ros_domain: int, tiny_bundle: Path, transport: str, count: int
) -> None:
    random = np.random.default_rng(5 + 1000 * SEED)
    kind: type = Image if transport == "raw" else CompressedImage
    topic = "image" if transport == "raw" else "image/compressed"
    arrays = client.listen(Detection2DArray, "detections")
    diagnostics = Diagnostics(client)
    with live_node(ros_domain, tiny_bundle, input__transport=transport) as live:
        camera = Camera(client)
        good = serialize_message(messages_of(camera, kind))
        publisher = client.node.create_publisher(kind, topic, QoSProfile(depth=10))
        client.wait(publisher.get_subscription_count, "the node")
        for number in range(1, count + 1):
            publisher.publish(mutated(good, random))  # bytes are sent as they are
            settle(client, live, number)
        report = live.report()
        outcome = Counter(dict(report.dropped), processed=report.processed)
        print(f"{count} mutated {transport} messages: {dict(outcome)}")
        assert outcome["rejected ImageError"] > count / 4
        assert {c for c in report.dropped if c.startswith("rejected")} == {"rejected ImageError"}
        client.wait(
            lambda: diagnostics.count("camera", "rejected") == report.rejected, "diagnostics"
        )
        answered = len(arrays)
        sent = messages_of(camera, kind)
        publisher.publish(sent)
        settle(client, live, count + 1)
        client.wait(lambda: arrays and arrays[-1].header == sent.header, "the good image")
        assert_accounted(live.report())
    assert len(arrays) > answered
    frame = decode_message(sent)
    as_seen = to_image(frame.image, frame.encoding, sent.header)
    Expected(tiny_bundle).check(arrays[-1:], [as_seen])


def settle(client: Client, live: LiveNode, received: int) -> None:
    client.wait(lambda: live.report().received >= received, f"message {received}")
    client.wait(lambda: not live.report().pending, f"message {received} to be done with")


@pytest.mark.parametrize(
    "count", [300, pytest.param(2000, marks=(pytest.mark.soak, pytest.mark.slow))]
)
def test_mutated_camera_infos(
    client: Client, ros_domain: int, tiny_bundle: Path, count: int
) -> None:
    random = np.random.default_rng(6 + 1000 * SEED)
    arrays = client.listen(Detection2DArray, "detections")
    info = CameraInfo(width=100, height=50, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [90.0, 0.0, 50.0, 0.0, 90.0, 25.0, 0.0, 0.0, 1.0]
    good = serialize_message(info)
    assert deserialize_message(good, CameraInfo) == info
    with live_node(ros_domain, tiny_bundle):
        publisher = client.node.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=10))
        client.wait(publisher.get_subscription_count, "the node")
        for _ in range(count):
            publisher.publish(mutated(good, random))
            client.spin(0.001)
        camera = Camera(client)
        camera.send()
        client.wait(lambda: arrays, "detections")
    Expected(tiny_bundle).check(arrays, camera.sent)
