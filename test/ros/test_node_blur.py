"""The node with a bundle that estimates the blur, over real ROS 2 topics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticArray
from ros_client import Client, header, live_node, values
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from tasksr_ros.config import EngineConfig, PipelineConfig, RegionConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.io.annotate import draw, draw_blur
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.io.frames import Frame, to_bgr
from tasksr_ros.model import load_model
from tasksr_ros.ros import messages

pytestmark = pytest.mark.wire

TORCH = EngineConfig(name="torch", device="cpu", threads=1)


def test_diagnostics_tell_the_blur_and_the_debug_image_shows_it(
    client: Client, ros_domain: int, blind_bundle: Path
) -> None:
    diagnostics = client.listen(DiagnosticArray, "/diagnostics")
    arrays = client.listen(Detection2DArray, "detections")
    images = client.listen(Image, "debug_image")
    region = RegionConfig(mode="full", tile_overlap=8)
    pixels = np.random.default_rng(1).integers(0, 256, (50, 100, 3), np.uint8)
    sent = messages.to_image(pixels, "rgb8", header(client))

    def told() -> dict[str, str]:
        statuses = [s for d in diagnostics for s in d.status if s.name == "tasksr: camera"]
        return values(statuses[-1]) if statuses else {}

    with live_node(
        ros_domain, blind_bundle, build_engine, engine__name="torch", engine__device="cpu"
    ):
        client.wait(lambda: client.node.count_publishers("debug_image"), "its publisher")
        client.publish(sent)
        client.wait(lambda: arrays and images and "blur" in told(), "what was found")
    pipeline = load_model(blind_bundle, TORCH).pipeline(PipelineConfig(region))
    result = pipeline.run(Frame(pixels))
    assert result.blur is not None
    assert len(result.blur.regions) == len(result.tiles) > 1
    assert told()["blur"] == str(result.blur.frame)
    expected = draw(to_bgr(Frame(pixels)), result.detections, [tile.rect for tile in result.tiles])
    plain = expected.copy()
    draw_blur(expected, result.blur)
    assert (expected != plain).any()
    inset = np.s_[2:44, 56:98]
    np.testing.assert_array_equal(decode_message(images[0]).image[inset], expected[inset])
