"""What tests over real ROS 2 topics share: a client that publishes and listens, and the node.

The node runs as a process of its own, or in a thread of the test's process, where its start costs
nothing and its state can be looked at; its topics are real in both cases.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from red_node import RedEngine
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from tasksr_ros.bundle import load_bundle
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.model import EngineFactory
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.ros import messages
from tasksr_ros.ros.live.accounts import Report
from tasksr_ros.ros.node import TaskSRNode, spin
from tasksr_ros.ros.settings import read_settings

WAIT_S = 60.0  # discovery takes 0.2 to 3 s, a start of the node on a busy machine longer
RELIABLE = QoSProfile(depth=50)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RED_NODE = str(Path(__file__).parent / "red_node.py")
HARMLESS = {"change_state": ChangeState.Request(transition=Transition(label="none"))}
RED_PARAMETERS = {
    "input.reliability": "reliable",
    "region.mode": "full",
    "region.tile_overlap": 8,
    "near.width": 0,  # these tests are about regions
}


class Client:
    """Publishes images and keeps what the node publishes, in the order of arrival."""

    def __init__(self, domain: int) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._services: dict[str, Any] = {}
        self._answers: list[str] = []

    def listen(self, kind: type, topic: str, qos: QoSProfile = RELIABLE) -> list[Any]:
        """The messages of a topic, growing as they come."""
        received: list[Any] = []
        if topic.endswith("detections"):
            self._answers.append(topic)
        self.node.create_subscription(kind, topic, received.append, qos)
        return received

    def publish(self, message: Any, topic: str = "image") -> None:
        if topic not in self._publishers:
            publisher = self.node.create_publisher(type(message), topic, RELIABLE)
            self._publishers[topic] = publisher
            self.wait(publisher.get_subscription_count, f"a subscriber of {topic}")
            self.wait(self._one_answers, f"one node that answers on {', '.join(self._answers)}")
            self.spin(0.3)  # the node has to find those who listen, or its answer is lost
        self._publishers[topic].publish(message)

    def _one_answers(self) -> bool:
        """Whether one node publishes each answer: another's would be taken for its."""
        return all(self.node.count_publishers(topic) == 1 for topic in self._answers)

    def forget(self, topic: str) -> None:
        """Take a publisher away; the next image is another one's."""
        if topic in self._publishers:
            self.node.destroy_publisher(self._publishers.pop(topic))

    def wait(self, done: Callable[[], Any], what: str, seconds: float = WAIT_S) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            self._executor.spin_once(timeout_sec=0.02)

    def spin(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.01)

    def call(self, kind: type, name: str, request: Any) -> Any:
        """The node's answer to a request."""
        if name not in self._services:
            self._services[name] = self.node.create_client(kind, f"tasksr/{name}")
            self._find(self._services[name], name)
        future = self._services[name].call_async(request)
        self.wait(future.done, f"an answer of {name}")
        return future.result()

    def _find(self, service: Any, name: str) -> None:
        """Ask for nothing until it is answered: before node and client know each other, answers
        are lost."""
        self.wait(service.service_is_ready, name)
        nothing = HARMLESS.get(name, service.srv_type.Request())
        answered: list[Any] = []

        def ask() -> bool:
            future = service.call_async(nothing)
            future.add_done_callback(answered.append)
            self.spin(0.5)
            return bool(answered)

        self.wait(ask, f"an answer of {name}")

    def transition(self, transition_id: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition_id))
        return bool(self.call(ChangeState, "change_state", request).success)

    def state(self) -> str:
        return str(self.call(GetState, "get_state", GetState.Request()).current_state.label)

    def set_parameters(self, **values: object) -> str:
        """Set parameters all at once; returns why they were refused, or ""."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        result = self.call(SetParametersAtomically, "set_parameters_atomically", request).result
        return "" if result.successful else str(result.reason)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@contextmanager
def running(
    env: dict[str, str], *command: str, **parameters: object
) -> Iterator[subprocess.Popen[str]]:
    """A node process; must end with status 0 when it is asked to."""
    with start(env, *command, **parameters) as process:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


@contextmanager
def start(
    env: dict[str, str],
    *command: str,
    stderr: int | None = subprocess.PIPE,
    **parameters: object,
) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, *(command or ("-m", "tasksr_ros.ros.process")), "--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name.replace('__', '.')}:={json.dumps(value)}"]
    process = subprocess.Popen(arguments, env=env, stderr=stderr, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def red_node(
    env: dict[str, str], bundle: Path, work_ms: float = 0.0, **parameters: object
) -> Iterator[subprocess.Popen[str]]:
    """The real node with the engine that finds red pixels."""
    ours = {"bundle": str(bundle), **RED_PARAMETERS, **parameters}
    with running(env, RED_NODE, str(work_ms), **ours) as process:
        yield process


def header(client: Client, frame_id: str = "front_camera") -> Header:
    return Header(stamp=client.node.get_clock().now().to_msg(), frame_id=frame_id)


def red_image(stamp: Header, *pixels: tuple[int, int], size: tuple[int, int] = (100, 50)) -> Image:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in pixels:
        image[y, x, 2] = 255
    return messages.to_image(image, "bgr8", stamp)


def values(status: Any) -> dict[str, str]:
    return {item.key: item.value for item in status.values}


def factory(**options: Any) -> EngineFactory:
    """Builds `RedEngine` with these options."""
    return lambda bundle, _: RedEngine(bundle, **options)


class LiveNode:
    """The real node in a thread, with an engine that finds red pixels.

    Args:
        domain: of its topics.
        bundle: folder of a bundle.
        engine: builds its engine.
        remap: rules, each ``from:=to``.
        **parameters: of the node, with ``__`` for a dot.
    """

    def __init__(
        self,
        domain: int,
        bundle: Path,
        engine: EngineFactory | None = None,
        remap: Sequence[str] = (),
        **parameters: object,
    ) -> None:
        values = {
            "bundle": str(bundle),
            **RED_PARAMETERS,
            "diagnostics.period": 0.1,
            **{name.replace("__", "."): value for name, value in parameters.items()},
        }
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = TaskSRNode(
            engine_factory=engine or factory(),
            context=self._context,
            cli_args=["--ros-args", *(part for rule in remap for part in ("-r", rule))],
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        )
        if values.get("autostart", True):
            self.node.trigger_configure()
            self.node.trigger_activate()
        self.statuses: list[int] = []
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        self.statuses.append(spin(self.node))

    def report(self, camera: str = "") -> Report:
        """The camera's account at this moment."""
        activity = self.node._activity
        assert activity is not None
        return activity.reports()[camera]

    def close(self) -> None:
        rclpy.try_shutdown(context=self._context)
        self._thread.join(timeout=30)
        assert self.statuses == [0]
        self.node.stop()
        self.node.destroy_node()


@contextmanager
def live_node(*arguments: Any, **parameters: Any) -> Iterator[LiveNode]:
    """A `LiveNode` that is ended at the end."""
    opened = LiveNode(*arguments, **parameters)
    try:
        yield opened
    finally:
        opened.close()


class Camera:
    """Publishes images that differ: each tells its number by where its red pixels are."""

    def __init__(
        self, client: Client, topic: str = "image", size: tuple[int, int] = (100, 50)
    ) -> None:
        self.client = client
        self.topic = topic
        self.size = size
        self.sent: list[Image] = []

    def image(self, stamp_ns: int | None = None) -> Image:
        """The next image; its frame_id is unique."""
        number = len(self.sent)
        stamp = header(self.client, f"{self.topic} {number}")
        if stamp_ns is not None:
            stamp.stamp.sec, stamp.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        width, height = self.size
        pixels = {(number * 7 % width, number * 3 % height), (number % width, height - 1)}
        return red_image(stamp, *sorted(pixels), size=self.size)

    def send(self, stamp_ns: int | None = None, image: Image | None = None) -> Image:
        sent = self.image(stamp_ns) if image is None else image
        self.sent.append(sent)
        self.client.publish(sent, self.topic)
        return sent


class Expected:
    """What the offline pipeline says of the images that were sent."""

    def __init__(self, bundle: Path, **parameters: object) -> None:
        values = {
            **RED_PARAMETERS,
            **{name.replace("__", "."): value for name, value in parameters.items()},
        }
        loaded = load_bundle(bundle)
        config = read_settings(values).common
        self._pipeline = Pipeline(RedEngine(loaded), config, loaded.score_threshold)

    def check(self, arrays: Sequence[Detection2DArray], sent: Sequence[Image]) -> None:
        """Every array has the header of an image, that image's boxes, and none comes twice."""
        images = {image.header.frame_id: image for image in sent}
        assert len(images) == len(sent)
        answered = [array.header.frame_id for array in arrays]
        assert len(set(answered)) == len(answered)
        for array in arrays:
            image = images[array.header.frame_id]
            assert array.header == image.header
            assert all(d.header == image.header for d in array.detections)
            expected = self._pipeline(decode_message(image))
            received = messages.from_detection_array(array)
            np.testing.assert_allclose(received.xyxy, expected.xyxy, atol=1e-4)
            np.testing.assert_allclose(received.score, expected.score, atol=1e-6)


class Diagnostics:
    """What /diagnostics says, by the part of the node."""

    def __init__(self, client: Client, keep: int | None = None) -> None:
        self._reports: deque[DiagnosticArray] = deque(maxlen=keep)
        client.node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda report: self._reports.append(report), RELIABLE
        )

    def __getitem__(self, part: str) -> DiagnosticStatus | None:
        """The latest status of ``camera`` (or the camera's name) or ``engine``."""
        for report in reversed(self._reports):
            for status in report.status:
                if status.name == f"tasksr: {part}":
                    return status
        return None

    def state(self, part: str) -> tuple[int, str]:
        """Level and state of a part; (-1, "") before the first report."""
        status = self[part]
        return (-1, "") if status is None else _state(status)

    def states(self, part: str, since_s: float) -> list[tuple[int, str]]:
        """Those of all reports that the node made from then on, s since 1970."""
        return [
            _state(status)
            for report in self._reports
            if report.header.stamp.sec + report.header.stamp.nanosec / 1e9 >= since_s
            for status in report.status
            if status.name == f"tasksr: {part}"
        ]

    def count(self, part: str, key: str) -> int:
        """A count of a part; 0 where it does not tell it."""
        status = self[part]
        return 0 if status is None else int(values(status).get(key, "0"))


def _state(status: DiagnosticStatus) -> tuple[int, str]:
    return int.from_bytes(status.level, "little"), values(status)["state"]


def assert_accounted(report: Report) -> None:
    """Every frame that was received was processed or dropped, and none is left."""
    assert report.received == report.processed + sum(report.dropped.values())
    assert report.pending == 0
