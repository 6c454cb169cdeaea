"""The topics of one camera: what the node subscribes to and publishes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float64, Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import InputConfig, OutputConfig
from tasksr_ros.errors import ConfigError, TaskSRError
from tasksr_ros.io.annotate import draw, draw_blur
from tasksr_ros.io.calibration import is_rectified
from tasksr_ros.io.frames import to_bgr
from tasksr_ros.ros import messages
from tasksr_ros.ros.graph import extra_publisher, is_latched, published, publishers
from tasksr_ros.ros.in_space import InSpace
from tasksr_ros.ros.live import wire
from tasksr_ros.ros.live.scheduler import RateLimit
from tasksr_ros.ros.live.silence import (
    CAMERA_INFO,
    Wanted,
    several_answers,
    several_sources,
    why_silent,
)
from tasksr_ros.ros.live.worker import Answer
from tasksr_ros.ros.overlays import Overlays
from tasksr_ros.ros.topic_names import TopicNames, named

OnImage: TypeAlias = Callable[[wire.Serialized], None]
OnCamera: TypeAlias = Callable[[CameraModel], None]
OnWrongCamera: TypeAlias = Callable[[str], None]
OnError: TypeAlias = Callable[[str, str], None]
"""Given what kind of message it is (see `live.throttle`) and the message."""

PLAIN_STAGES = ("total", "delay", "age")
"""Of the latency, also published as plain numbers, ms, for rqt_plot: ``latency/age/data``."""
DETECTIONS = "vision_msgs/msg/Detection2DArray"
_KINDS = {"raw": (Image, wire.IMAGE), "compressed": (CompressedImage, wire.COMPRESSED_IMAGE)}
_MENDS = {"RELIABILITY": "best_effort", "DURABILITY": "volatile"}
_LATEST_ONLY = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class CameraInputs:
    """The subscriptions of one camera.

    Args:
        node: that subscribes.
        name: of the camera, before its topics; may be empty.
        config: topics, transport and QoS.
        on_image: called with each image message, serialized.
        on_camera: called with the intrinsics of each CameraInfo.
        on_wrong_camera: called with what is wrong with one that has none.
        on_error: told what the user should mend.

    Attributes:
        topic: of the images, without the transport's suffix.
        info_topic: of the intrinsics.
        qos_error: why a publisher cannot be heard, until an image comes; else "".
    """

    def __init__(
        self,
        node: Node,
        name: str,
        config: InputConfig,
        on_image: OnImage,
        on_camera: OnCamera,
        on_wrong_camera: OnWrongCamera,
        on_error: OnError,
    ) -> None:
        self._node = node
        self._name = name
        self._config = config
        self._on_image = on_image
        self._on_camera = on_camera
        self._on_wrong_camera = on_wrong_camera
        self._on_error = on_error
        self.qos_error = ""
        self._transport = ""
        self._images: Subscription | None = None
        self._infos: Subscription | None = None
        self._names = TopicNames(node, name, config)
        self.topic, self.info_topic = self._names.image, self._names.info
        self.follow_publishers(wanted=False)

    def follow_publishers(self, wanted: bool) -> None:
        """Subscribe as configured; to what depends on the publishers, once they are there.

        Args:
            wanted: whether images are; without, CameraInfo alone is subscribed to.
        """
        if wanted:
            self._choose_transport()
        else:
            self._pause()
        latched = is_latched(self._node, self.info_topic)
        qos = _LATCHED if latched else _LATEST_ONLY  # one published before is asked for, too
        if self._infos is None or (latched is not None and self._info_qos is not qos):
            self._subscribe_info(qos)

    def _subscribe_info(self, qos: QoSProfile) -> None:
        if self._infos is not None:
            self._node.destroy_subscription(self._infos)
        self._info_qos = qos
        with _told(self.info_topic, CAMERA_INFO):
            self._infos = self._node.create_subscription(
                CameraInfo, self.info_topic, self._receive_info, qos, raw=True
            )
        used = "P, for rectified images" if self.rectified else "K, for raw images"
        self._say(f"CameraInfo ({used})", self._infos, CAMERA_INFO, qos)

    def _say(self, what: str, subscription: Subscription, kind: str, qos: QoSProfile) -> None:
        self._node.get_logger().info(
            f"{self._name or 'camera'}: takes {what} of {subscription.topic_name} ({kind}; "
            f"{qos.reliability.name.lower()}, {qos.durability.name.lower()}, depth {qos.depth})"
        )

    def _pause(self) -> None:
        if self._images is not None:
            self._node.destroy_subscription(self._images)
        self._images, self._transport, self.qos_error = None, "", ""

    def _choose_transport(self) -> None:
        wanted = self._config.transport
        if wanted == "auto":
            published = [
                kind for kind in _KINDS if self._node.count_publishers(self._names.of(kind))
            ]
            if not published or self._transport in published:
                return
            wanted = "raw" if "raw" in published else "compressed"
        if wanted != self._transport:
            self._subscribe(wanted)

    def _subscribe(self, transport: str) -> None:
        if self._images is not None:
            self._node.destroy_subscription(self._images)
        message_type, kind = _KINDS[transport]
        topic = self._names.of(transport)

        def receive(data: bytes) -> None:
            self.qos_error = ""
            self._on_image(wire.Serialized(kind, data))

        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda event: self._tell_qos(topic, event)
        )
        with _told(topic, kind):
            self._images = self._node.create_subscription(
                message_type, topic, receive, self._qos, event_callbacks=events, raw=True
            )
        self._transport = transport
        self._say("images", self._images, kind, self._qos)

    @property
    def _qos(self) -> QoSProfile:
        return _qos(self._config.reliability, self._config.depth, self._config.durability)

    @property
    def _parameters(self) -> str:
        return f"{self._name}.input" if self._name else "input"

    def _tell_qos(self, topic: str, event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self.qos_error = f"{topic}: {self._qos_mend(policy)}"
        self._on_error(f"{topic}: qos", self.qos_error)

    def _qos_mend(self, policy: str) -> str:
        mend = (
            f"set {self._parameters}.{policy.lower()} to {_MENDS[policy]} or change the publisher"
            if policy in _MENDS
            else "change the publisher"
        )
        return (
            f"a publisher's {policy.lower()} is less than what the node asks for, so none of its "
            f"images come: {mend}"
        )

    # What the graph says

    @property
    def image_topic(self) -> str:
        """Where images are taken; both topics while ``auto`` has not found one."""
        raw, compressed = map(self._names.of, _KINDS)
        return self._names.of(self._transport) if self._transport else f"{raw} or {compressed}"

    def why_no_image(self) -> str:
        """Why no image comes, by the graph, or ""."""
        topic = self._names.of(self._transport or "raw")
        kind = _KINDS[self._transport][1] if self._transport else ""
        there = published(self._node, topic, self._qos, self._qos_mend)
        return why_silent(Wanted(topic, kind, self._parameters), there)

    def why_too_many(self) -> str:
        """What is wrong where several publish these images, or ""."""
        if not self._transport:
            return ""
        topic, (_, kind) = self._names.of(self._transport), _KINDS[self._transport]
        return several_sources(topic, publishers(self._node, topic, kind))

    def why_no_info(self) -> str:
        """Why no CameraInfo comes, by the graph, or ""."""
        there = published(self._node, self.info_topic, self._info_qos, self._qos_mend)
        return why_silent(Wanted(self.info_topic, CAMERA_INFO, self._parameters), there)

    def _receive_info(self, data: bytes) -> None:
        try:
            self._on_camera(messages.to_camera_model(_read_info(data), rectified=self.rectified))
        except TaskSRError as error:
            self._on_wrong_camera(str(error))

    @property
    def rectified(self) -> bool:
        """Whether the images are, as configured or by the topic's name."""
        return is_rectified(self._config.intrinsics, self.topic)

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in (self._images, self._infos):
            if subscription is not None:
                self._node.destroy_subscription(subscription)


class CameraOutputs:
    """The publishers of one camera.

    Args:
        node: that publishes.
        name: of the camera, before its topics; may be empty.
        config: QoS.
    """

    def __init__(self, node: Node, name: str, config: OutputConfig) -> None:
        self._node = node
        qos = _qos(config.reliability, config.depth)
        self._detections = node.create_publisher(Detection2DArray, named(name, "detections"), qos)
        extra = partial(extra_publisher, node)
        self._latency = extra(DiagnosticArray, named(name, "latency"), qos)
        self._plain = {
            stage: extra(Float64, named(name, f"latency/{stage}"), qos) for stage in PLAIN_STAGES
        }
        self._in_space = InSpace(node, named(name, ""), qos)
        self._labels = extra(LabelInfo, named(name, "label_info"), _LATCHED)
        self._debug = extra(Image, named(name, "debug_image"), QoSProfile(depth=1))
        self._overlays = Overlays(node, named(name, ""))
        self._debug_rate = RateLimit(0.0)
        self._debug_wanted = True
        self._names_classes = config.class_id == "name"
        self._classes: list[str] = []

    @property
    def listeners(self) -> int:
        """How many listen to what is made of the images."""
        return sum(p.get_subscription_count() for p in self._publishers if p is not self._labels)

    @property
    def _publishers(self) -> tuple[Publisher, ...]:
        own = (self._detections, self._latency, self._labels, self._debug)
        extras = (*self._in_space.publishers, *self._overlays.publishers)
        return (*own, *self._plain.values(), *extras)

    @property
    def wants_ranges(self) -> bool:
        """Whether somebody listens to where people are."""
        return self._in_space.wanted

    def why_too_many(self) -> str:
        """What is wrong where others publish on the topic of these detections, or ""."""
        topic = str(self._detections.topic_name)
        return several_answers(topic, publishers(self._node, topic, DETECTIONS))

    def limit_debug_images(self, wanted: bool, rate_hz: float) -> None:
        """Whether to publish debug images while someone listens, and how many at most."""
        self._debug_wanted, self._debug_rate = wanted, RateLimit(rate_hz)

    def publish_labels(self, labels: LabelInfo) -> None:
        """Publish the class names; whoever subscribes later gets them, too."""
        self._classes = [entry.class_name for entry in labels.class_map]
        self._labels.publish(labels)

    def publish(self, answer: Answer, on_error: OnError) -> None:
        """Publish detections; latency, a debug image and overlays while someone listens.

        A picture that cannot be drawn is no rejection: the detections are out.
        """
        draws = self._wants_debug_image()  # who listens later does not get this frame's picture
        header = messages.to_header(answer.header)
        detections, classes = answer.result.detections, self._classes
        names = classes if self._names_classes else ()
        self._detections.publish(messages.to_detection_array(detections, header, names))
        try:
            if self._latency.get_subscription_count():
                latency = messages.to_latency(answer.latency_ms, self._node.get_name(), header)
                self._latency.publish(latency)
            self._publish_in_space(answer, header, names, on_error)
            for stage, publisher in self._plain.items():
                if publisher.get_subscription_count():
                    publisher.publish(Float64(data=answer.latency_ms[stage]))
            self._overlays.publish(detections, header, classes)
            if draws:
                self._debug.publish(_debug_image(answer))
        except Exception as error:
            camera = answer.channel or "camera"
            on_error(
                f"{camera}: extras",
                f"{camera}: no debug image, overlay, latency or distances: {error}",
            )

    def _publish_in_space(
        self, answer: Answer, header: Header, classes: Sequence[str], on_error: OnError
    ) -> None:
        """Publish where people are, while someone listens and it is known."""
        if not answer.ranged:
            return
        result, ranges = answer.result, answer.result.ranges
        if ranges is None:
            camera = answer.channel or "camera"
            width, height = answer.frame.size
            on_error(
                f"{camera}: detections_3d",
                f"{camera}: no detections_3d or markers: they need range.enabled and a "
                f"CameraInfo for images of {width}x{height} px",
            )
            return
        self._in_space.publish(result.detections, ranges, header, classes)

    def _wants_debug_image(self) -> bool:
        listened_to = self._debug_wanted and self._debug.get_subscription_count()
        return bool(listened_to) and self._debug_rate.passes(time.monotonic())

    def close(self) -> None:
        """Take the topics back."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)


@contextlib.contextmanager
def _told(topic: str, kind: str) -> Iterator[None]:
    """Say of which subscription ROS complains."""
    try:
        yield
    except Exception as error:
        raise ConfigError(
            f"{topic} cannot be subscribed to as {kind}: does the node itself use it for something "
            f"else, by a remapping or a parameter? ({error})"
        ) from error


def _debug_image(answer: Answer) -> Image:
    regions = [tile.rect for tile in answer.result.tiles]
    attended = answer.result.attended
    notes = () if attended is None else attended.why
    image = draw(to_bgr(answer.frame), answer.result.detections, regions, notes)
    draw_blur(image, answer.result.blur)
    return messages.to_image(image, "bgr8", messages.to_header(answer.header))


def _read_info(data: bytes) -> CameraInfo:
    with contextlib.suppress(Exception):
        return deserialize_message(data, CameraInfo)
    raise ConfigError(f"{len(data)} bytes are no CameraInfo message")


def _qos(reliability: str, depth: int, durability: str = "volatile") -> QoSProfile:
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
    )
