"""A running tasksr node, fed and listened to over ROS 2 topics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from tasksr_ros.camera import CameraModel
from tasksr_ros.detections import Detections
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.decoding import stamp_ns
from tasksr_ros.io.frames import Frame, with_whole_pixels
from tasksr_ros.io.recording import Encoded
from tasksr_ros.ros import messages

_RELIABLE = QoSProfile(depth=100)
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_POLL_S = 0.02
START_S = 120.0
"""To wait for a node to come up, on a busy machine."""
REPORT_S = 10.0
"""Without a word on /diagnostics, after which a node counts as gone."""


@dataclass(frozen=True)
class Endpoint:
    """The topics of one camera of a node.

    Attributes:
        image: where the node takes images.
        compressed: whether it takes them as CompressedImage.
        info: where it takes CameraInfo.
        detections: where it publishes what it finds.
        latency: where it publishes how long that took.
    """

    image: str
    compressed: bool
    info: str
    detections: str
    latency: str


def endpoint(prefix: str, *, compressed: bool = False) -> Endpoint:
    """The topics below ``prefix``, named as the node names them."""
    image = f"{prefix}/image/compressed" if compressed else f"{prefix}/image"
    names = (f"{prefix}/{name}" for name in ("camera_info", "detections", "latency"))
    return Endpoint(image, compressed, *names)


@dataclass(frozen=True)
class Answer:
    """What the node said of one frame.

    Attributes:
        detections: boxes in image px.
        stamp_ns: of the frame.
        received_s: when it came, by `time.perf_counter`.
        message: the Detection2DArray as it came over the wire.
    """

    detections: Detections
    stamp_ns: int
    received_s: float
    message: bytes


class Session:
    """Publishes frames and keeps what the node answers, by detections topic and stamp.

    Messages are received in a thread. Ctrl-C stays Python's.

    Attributes:
        answers: the first answer for each stamp, by detections topic.
        latency_ms: milliseconds by stage, by latency topic and stamp.
        diagnostics: the last values of each status on /diagnostics, by its name.
        heard_s: when anything of a camera was heard last, by `time.perf_counter`.
        reported_s: when anything came on /diagnostics, likewise.
    """

    def __init__(self, name: str, namespace: str = "") -> None:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(name, namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.answers: dict[str, dict[int, Answer]] = {}
        self.latency_ms: dict[str, dict[int, dict[str, float]]] = {}
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.heard_s = self.reported_s = 0.0
        self._publishers: dict[str, Any] = {}
        self._heard: dict[str, Any] = {}
        self._failure: Exception | None = None
        self._node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, _RELIABLE
        )
        self._thread = threading.Thread(target=self._spin, name="topics", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:  # told by check(), in the thread that waits
            self._failure = error

    def check(self) -> None:
        """Raise RecordingError if messages are no longer received."""
        if self._failure is not None:
            raise RecordingError(f"a message of the node is unreadable: {self._failure!r}")

    # The graph

    def nodes(self, name: str) -> list[tuple[str, str]]:
        """(name, namespace) of the running nodes with this name, or this full name."""
        found = sorted(set(self._node.get_node_names_and_namespaces()))
        return [(n, space) for n, space in found if name in (n, f"{space.rstrip('/')}/{n}")]

    def endpoints(self, name: str, namespace: str) -> list[Endpoint]:
        """The cameras of a running node, by the topics of its detections.

        One with input.lazy subscribes to images, and is found, soon after it was first asked for.
        """
        taken = dict(self._node.get_subscriber_names_and_types_by_node(name, namespace))
        given = dict(self._node.get_publisher_names_and_types_by_node(name, namespace))
        images = _of_type(taken, "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
        infos = _of_type(taken, "sensor_msgs/msg/CameraInfo")
        found = _of_type(given, "vision_msgs/msg/Detection2DArray")
        cameras = []
        for detections in found:
            self._be_heard(detections)
            prefix = detections.rpartition("/")[0]
            beside = [t for t in images if t.startswith(f"{prefix}/image")]
            image = (beside or images if len(found) == 1 else beside or [""])[0] if images else ""
            near = (image.removesuffix("/compressed").rpartition("/")[0], prefix)
            info = [t for place in near for t in infos if t.rpartition("/")[0] == place] or infos
            if image and info:
                compressed = "sensor_msgs/msg/CompressedImage" in taken[image]
                latency = f"{prefix}/latency"
                cameras.append(Endpoint(image, compressed, info[0], detections, latency))
        return cameras

    def _be_heard(self, detections: str) -> None:
        """Listen, that a lazy node listens as well."""
        if detections not in self._heard:
            self._heard[detections] = self._node.create_subscription(
                Detection2DArray, detections, lambda _: None, _RELIABLE, raw=True
            )

    def parameters(self, name: str, namespace: str, names: list[str]) -> dict[str, Any]:
        """The values of a node's parameters that it has; none where it does not answer."""
        service = f"{namespace.rstrip('/')}/{name}/get_parameters"
        client = self._node.create_client(GetParameters, service)
        try:
            if not client.wait_for_service(timeout_sec=5):
                return {}
            future = client.call_async(GetParameters.Request(names=names))
            if not wait(future.done, 5):
                return {}
            values = [parameter_value_to_python(v) for v in future.result().values]
        finally:
            self._node.destroy_client(client)
        return {n: v for n, v in zip(names, values, strict=False) if v is not None}

    # Topics

    def listen(self, camera: Endpoint) -> None:
        """Keep what the node says of a camera."""
        self.answers.setdefault(camera.detections, {})
        self.latency_ms.setdefault(camera.latency, {})

        classes: list[str] = []

        def on_labels(labels: LabelInfo) -> None:
            classes[:] = [named.class_name for named in labels.class_map]

        def on_detections(message: bytes) -> None:
            self.heard_s = time.perf_counter()
            array = deserialize_message(message, Detection2DArray)
            detections = messages.from_detection_array(array, classes)
            stamp = stamp_ns(array.header)
            answer = Answer(detections, stamp, self.heard_s, message)
            self.answers[camera.detections].setdefault(stamp, answer)

        def on_latency(array: DiagnosticArray) -> None:
            values = {v.key: float(v.value) for status in array.status for v in status.values}
            self.latency_ms[camera.latency].setdefault(stamp_ns(array.header), values)

        topic = self._node.create_subscription
        label_info = f"{camera.detections.rpartition('/')[0]}/label_info"
        topic(LabelInfo, label_info, on_labels, _LATCHED)
        topic(Detection2DArray, camera.detections, on_detections, _RELIABLE, raw=True)
        topic(DiagnosticArray, camera.latency, on_latency, _RELIABLE)

    def advertise(self, camera: Endpoint) -> None:
        """Make the publishers of a camera."""
        kind = CompressedImage if camera.compressed else Image
        for topic, type_ in ((camera.image, kind), (camera.info, CameraInfo)):
            if topic not in self._publishers:
                self._publishers[topic] = self._node.create_publisher(type_, topic, _RELIABLE)

    def is_heard(self, camera: Endpoint) -> bool:
        """Whether someone subscribes to a camera's images and CameraInfo."""
        topics = (camera.image, camera.info)
        return all(self._publishers[topic].get_subscription_count() for topic in topics)

    def publish(self, camera: Endpoint, item: Encoded | Frame) -> None:
        """Publish an image; a camera of compressed images takes encoded ones only."""
        header = header_at(item.stamp_ns, item.frame_id)
        if isinstance(item, Encoded):
            message = CompressedImage(header=header, format=item.format)
            message.data = item.data
        else:
            frame = with_whole_pixels(item)
            message = messages.to_image(frame.image, frame.encoding, header)
        self._publishers[camera.image].publish(message)

    def publish_info(self, camera: Endpoint, model: CameraModel, header: Header) -> None:
        """Publish a camera's intrinsics."""
        self._publishers[camera.info].publish(messages.to_camera_info(model, header))

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        self.reported_s = time.perf_counter()
        for status in array.status:
            self.diagnostics[status.name] = {v.key: v.value for v in status.values}

    def is_at_work(self) -> bool:
        """Whether a node says that it has frames in work: a slow one answers late."""
        if time.perf_counter() - self.reported_s > REPORT_S:
            return False
        told = list(self.diagnostics.values())
        hangs = any(values.get("state") == "hangs" for values in told)
        return not hangs and any(values.get("pending", "0") != "0" for values in told)

    def close(self) -> None:
        """Leave ROS 2."""
        self._executor.shutdown()
        self._thread.join(timeout=5)
        self._node.destroy_node()
        rclpy.try_shutdown()


def header_at(stamp: int, frame_id: str) -> Header:
    """A header with a stamp in nanoseconds."""
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def wait(
    done: Callable[[], object], seconds: float, check: Callable[[], None] = lambda: None
) -> bool:
    """Wait until it is done; false if it is not within this time.

    Args:
        done: asked again and again.
        seconds: to wait at most.
        check: called meanwhile; may raise.
    """
    deadline = time.monotonic() + seconds
    while not done():
        check()
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _of_type(topics: dict[str, list[str]], *types: str) -> list[str]:
    return sorted(topic for topic, kinds in topics.items() if set(kinds) & set(types))
