"""Plays a recording through the running node over ROS 2 topics and records what it answers."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from tasksr_ros import messages
from tasksr_ros.camera import CameraModel
from tasksr_ros.decoding import stamp_ns
from tasksr_ros.detections import Detections
from tasksr_ros.errors import RecordingError
from tasksr_ros.frames import Frame, with_whole_pixels

NAMESPACE = "tasksr_demo"
"""Of the demo's topics, so that they cannot be taken for a vehicle's."""
DISCOVERY_S = 120.0
SETTLE_S = 0.5
ANSWER_S = 20.0
ATTEMPTS = 3


@dataclass(frozen=True)
class Answer:
    """What the node said of one frame.

    Attributes:
        detections: boxes in image px.
        stamp_ns: of the answer, equal to the frame's.
        latency_ms: from publishing the image to receiving the detections.
        message: the Detection2DArray as it came over the wire.
    """

    detections: Detections
    stamp_ns: int
    latency_ms: float
    message: bytes


class Player:
    """Publishes frames on ``image`` and waits for the detections of each.

    Args:
        node: the process of the tasksr node; if it ends, waiting ends too.
        camera: published as CameraInfo with each frame, unless None.
        interrupted: ends waiting with a KeyboardInterrupt once it is set.

    Raises:
        RecordingError: if the node does not subscribe or answer in time, or ends.
    """

    def __init__(
        self,
        node: subprocess.Popen[bytes],
        camera: CameraModel | None,
        interrupted: threading.Event,
    ) -> None:
        self._process = node
        self._interrupted = interrupted
        self._camera = camera
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is Python's
        self._node = rclpy.create_node("player", namespace=NAMESPACE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._answers: dict[int, bytes] = {}
        reliable = QoSProfile(depth=10)
        self._images = self._node.create_publisher(Image, "image", reliable)
        self._infos = self._node.create_publisher(CameraInfo, "camera_info", reliable)
        self._node.create_subscription(
            Detection2DArray, "detections", self._on_detections, reliable, raw=True
        )
        publishers = (self._images, self._infos)
        if not self._wait(
            lambda: all(publisher.get_subscription_count() for publisher in publishers), DISCOVERY_S
        ):
            raise RecordingError(f"the node does not subscribe within {DISCOVERY_S:.0f} s")
        # Topics are not ordered among one another: the first image must not overtake the camera.
        self._publish_info(_header(0, ""))
        self._wait(lambda: False, SETTLE_S)

    def play(self, frame: Frame) -> Answer:
        """Publish a frame and wait for its detections; a lost one is published again."""
        header = _header(frame.stamp_ns, frame.frame_id)
        sent = with_whole_pixels(frame)
        image = messages.to_image(sent.image, sent.encoding, header)
        start = time.perf_counter()
        for _ in range(ATTEMPTS):
            self._publish_info(header)
            self._images.publish(image)
            if self._wait(lambda: frame.stamp_ns in self._answers, ANSWER_S):
                break
        else:
            raise RecordingError(
                f"no detections for the frame with stamp {frame.stamp_ns} ns within "
                f"{ATTEMPTS * ANSWER_S:.0f} s"
            )
        latency_ms = (time.perf_counter() - start) * 1e3
        message = self._answers.pop(frame.stamp_ns)
        array = deserialize_message(message, Detection2DArray)
        detections = messages.from_detection_array(array)
        return Answer(detections, frame.stamp_ns, latency_ms, message)

    def _publish_info(self, header: Header) -> None:
        if self._camera is not None:
            self._infos.publish(_camera_info(self._camera, header))

    def _on_detections(self, message: bytes) -> None:
        header = deserialize_message(message, Detection2DArray).header
        self._answers[stamp_ns(header)] = message

    def _wait(self, done: Callable[[], object], seconds: float) -> bool:
        """Spin until it is done; false if it is not within this time."""
        deadline = time.monotonic() + seconds
        while not done():
            if self._interrupted.is_set():
                raise KeyboardInterrupt
            if self._process.poll() is not None:
                raise RecordingError(f"the node ended with status {self._process.returncode}")
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def close(self) -> None:
        """Leave ROS 2."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()


def write_answers(answers: list[Answer], path: Path, interfaces: Path) -> None:
    """Write the detections as one mcap file that `ros2 bag play` plays.

    Args:
        answers: in the order of their stamps.
        path: of the file; must end in .mcap.
        interfaces: folder of the message definitions of vision_msgs.
    """
    folder = path.with_suffix(".bag")
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed while it wrote
    typestore = get_typestore(Stores.ROS2_JAZZY)
    for definition in sorted(interfaces.glob("msg/*.msg")):
        name = f"vision_msgs/msg/{definition.stem}"
        typestore.register(get_types_from_msg(definition.read_text(), name))
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(
            "/detections", "vision_msgs/msg/Detection2DArray", typestore=typestore
        )
        for answer in answers:
            writer.write(connection, answer.stamp_ns, answer.message)
    (folder / f"{folder.name}.mcap").replace(path)
    shutil.rmtree(folder)


def _header(stamp_ns: int, frame_id: str) -> Header:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def _camera_info(camera: CameraModel, header: Header) -> CameraInfo:
    message = CameraInfo(header=header, width=camera.width, height=camera.height)
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [
        *(camera.fx, 0.0, camera.cx, 0.0),
        *(0.0, camera.fy, camera.cy, 0.0),
        *(0.0, 0.0, 1.0, 0.0),
    ]
    return message
