"""What the ROS graph says of the publishers of cameras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher as RosPublisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from tasksr_ros.ros.live.silence import CAMERA_INFO, Publisher
from tasksr_ros.ros.live.wire import COMPRESSED_IMAGE, IMAGE


def extra_publisher(node: Node, kind: Any, topic: str, qos: QoSProfile) -> RosPublisher:
    """A publisher of what comes beside detections: ROS tells who cannot be served by it, not us.

    For us to be told, rclpy would look after each publisher's events whenever an image comes.
    """
    quiet = PublisherEventCallbacks(use_default_callbacks=False)
    return node.create_publisher(kind, topic, qos, event_callbacks=quiet)


def published(
    node: Node, topic: str, asked: QoSProfile, mend: Callable[[str], str]
) -> dict[str, list[Publisher]]:
    """Publishers of a topic, and of all topics of images and of CameraInfo; not the node's own.

    Args:
        node: that asks.
        topic: its full name.
        asked: the QoS that the node's subscription asks for.
        mend: the mend where a publisher offers less of a policy, by the policy's name.
    """
    kinds = {CAMERA_INFO, COMPRESSED_IMAGE, IMAGE}
    names = {name for name, types in node.get_topic_names_and_types() if kinds & set(types)}
    own = str(node.get_fully_qualified_name())
    found: dict[str, list[Publisher]] = {}
    for name in sorted(names | {topic}):
        found[name] = []
        for info in node.get_publishers_info_by_topic(name):
            other = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            policy = _lacking(info.qos_profile, asked)
            if other != own:
                problem = mend(policy) if policy else ""
                found[name].append(Publisher(other, str(info.topic_type), problem))
    return found


def publishers(node: Node, topic: str, kind: str) -> list[str]:
    """Full name of the node of each publisher of messages of a type on a topic."""
    return sorted(
        f"{info.node_namespace.rstrip('/')}/{info.node_name}"
        for info in node.get_publishers_info_by_topic(topic)
        if info.topic_type == kind
    )


def is_latched(node: Node, topic: str) -> bool | None:
    """Whether all publishers of CameraInfo on a topic latch it; None where there are none."""
    offered = [
        info.qos_profile
        for info in node.get_publishers_info_by_topic(topic)
        if info.topic_type == CAMERA_INFO
    ]
    if not offered:
        return None
    return all(
        qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and qos.reliability == ReliabilityPolicy.RELIABLE
        for qos in offered
    )


def _lacking(offered: QoSProfile, asked: QoSProfile) -> str:
    """The policy of which a publisher offers less than is asked for, or ""."""
    if (
        asked.reliability == ReliabilityPolicy.RELIABLE
        and offered.reliability == ReliabilityPolicy.BEST_EFFORT
    ):
        return "RELIABILITY"
    if (
        asked.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and offered.durability == DurabilityPolicy.VOLATILE
    ):
        return "DURABILITY"
    return ""
