"""Tests of tasksr_ros.ros.demand: images are taken only where they are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from lifecycle_msgs.msg import Transition
from ros_client import Camera, Client, Diagnostics, live_node
from std_srvs.srv import SetBool
from vision_msgs.msg import Detection2DArray
from visualization_msgs.msg import ImageMarker

from tasksr_ros.config import DiagnosticsConfig
from tasksr_ros.ros.demand import DISABLED, NOT_HEARD, idle_reason
from tasksr_ros.ros.live.accounts import Report
from tasksr_ros.ros.live.health import Health, InputState, Level, camera_health


@pytest.mark.parametrize(
    ("on", "lazy", "listeners", "reason"),
    [
        (True, False, 0, ""),
        (True, False, 2, ""),
        (True, True, 0, NOT_HEARD),
        (True, True, 1, ""),
        (False, False, 1, DISABLED),
        (False, True, 0, DISABLED),
        (False, True, 1, DISABLED),
    ],
)
def test_why_a_camera_is_idle(on: bool, lazy: bool, listeners: int, reason: str) -> None:
    assert idle_reason(on=on, lazy=lazy, listeners=listeners) == reason


def test_an_idle_camera_is_well() -> None:
    silent, config = Report(received=5, silent_s=600.0), DiagnosticsConfig()

    def health(idle: str) -> Health:
        inputs = InputState("/image", idle=idle)
        return camera_health(silent, silent, config, paused=False, inputs=inputs)

    expected = Health(Level.OK, "idle", "no images are taken: disabled by ~/enable")
    assert health(DISABLED) == expected
    assert health("").level == Level.ERROR


def switch(client: Client, on: bool) -> str:
    response = client.call(SetBool, "enable", SetBool.Request(data=on))
    assert response.success
    return str(response.message)


@pytest.mark.wire
def test_a_lazy_camera_listens_while_somebody_listens(
    client: Client, ros_domain: int, tiny_bundle: Path
) -> None:
    diagnostics = Diagnostics(client)
    node = client.node

    def subscribed() -> int:
        return int(node.count_subscribers("image"))

    fast = {"diagnostics__silent_warn": 0.3, "diagnostics__silent_error": 60.0}
    with live_node(ros_domain, tiny_bundle, input__lazy=True, output__class_id="name", **fast):
        client.wait(lambda: diagnostics.state("camera") == (0, "idle"), "the idle camera")
        client.spin(0.5)  # longer than silent_warn
        assert diagnostics.state("camera") == (0, "idle")
        assert subscribed() == 0

        marker = node.create_subscription(ImageMarker, "image_markers", lambda _: None, 1)
        client.wait(subscribed, "the subscription")
        node.destroy_subscription(marker)
        client.wait(lambda: not subscribed(), "its end")

        arrays = client.listen(Detection2DArray, "detections")
        client.wait(subscribed, "the subscription again")
        camera = Camera(client)
        camera.send()
        client.wait(lambda: len(arrays) == 1, "detections")
        assert {d.results[0].hypothesis.class_id for d in arrays[0].detections} == {"pedestrian"}

        assert switch(client, False) == "disabled"
        client.wait(lambda: not subscribed(), "the end of the subscription")
        client.wait(lambda: diagnostics.state("camera") == (0, "idle"), "idle diagnostics")
        assert client.transition(Transition.TRANSITION_DEACTIVATE)
        assert client.transition(Transition.TRANSITION_ACTIVATE)
        client.spin(1.0)
        assert subscribed() == 0  # enabled is not active, and active not enabled
        assert switch(client, True) == "enabled"
        client.wait(subscribed, "the subscription once more")
        client.forget("image")
        camera.send()
        client.wait(lambda: len(arrays) == 2, "detections once more")


@pytest.mark.wire
def test_enable_before_the_node_is_active(
    client: Client, ros_domain: int, tiny_bundle: Path
) -> None:
    with live_node(ros_domain, tiny_bundle, autostart=False):
        assert switch(client, False) == "disabled"
        assert client.transition(Transition.TRANSITION_CONFIGURE)
        assert client.transition(Transition.TRANSITION_ACTIVATE)
        client.spin(1.0)
        assert client.node.count_subscribers("image") == 0
        assert switch(client, True) == "enabled"
        client.wait(lambda: client.node.count_subscribers("image"), "the subscription")
