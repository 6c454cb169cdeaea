"""Plays a recording to the running node frame by frame, and records what it answers."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rosbags.rosbag2 import StoragePlugin, Writer

from tasksr_ros.camera import CameraModel
from tasksr_ros.detections import Detections
from tasksr_ros.errors import RecordingError
from tasksr_ros.frames import Frame
from tasksr_ros.make_bag import connect
from tasksr_ros.message_types import DETECTIONS
from tasksr_ros.replay.session import START_S, Session, endpoint, header_at, wait

NAMESPACE = "tasksr_demo"
"""Of the demo's topics, so that they cannot be taken for a vehicle's."""
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
        self._topics = endpoint(f"/{NAMESPACE}")
        self._session = Session("player", NAMESPACE)
        self._session.advertise(self._topics)
        self._session.listen(self._topics)
        if not wait(lambda: self._session.is_heard(self._topics), START_S, self._check):
            raise RecordingError(f"the node does not subscribe within {START_S:.0f} s")
        # Topics are not ordered among one another: the first image must not overtake the camera.
        self._publish_info(0, "")
        wait(lambda: False, SETTLE_S, self._check)

    def play(self, frame: Frame) -> Answer:
        """Publish a frame and wait for its detections; a lost one is published again."""
        answers = self._session.answers[self._topics.detections]
        start = time.perf_counter()
        for _ in range(ATTEMPTS):
            self._publish_info(frame.stamp_ns, frame.frame_id)
            self._session.publish(self._topics, frame)
            if wait(lambda: frame.stamp_ns in answers, ANSWER_S, self._check):
                break
        else:
            raise RecordingError(
                f"no detections for the frame with stamp {frame.stamp_ns} ns within "
                f"{ATTEMPTS * ANSWER_S:.0f} s"
            )
        answer = answers.pop(frame.stamp_ns)
        latency_ms = (answer.received_s - start) * 1e3
        return Answer(answer.detections, frame.stamp_ns, latency_ms, answer.message)

    def _publish_info(self, stamp_ns: int, frame_id: str) -> None:
        if self._camera is not None:
            self._session.publish_info(self._topics, self._camera, header_at(stamp_ns, frame_id))

    def _check(self) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        if self._process.poll() is not None:
            raise RecordingError(f"the node ended with status {self._process.returncode}")

    def close(self) -> None:
        """Leave ROS 2."""
        self._session.close()


def write_answers(answers: list[Answer], path: Path) -> None:
    """Write the detections as one mcap file that `ros2 bag play` plays.

    Args:
        answers: in the order of their stamps.
        path: of the file; must end in .mcap.
    """
    folder = path.with_suffix(".bag")
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed while it wrote
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = connect(writer, "/detections", DETECTIONS)
        for answer in answers:
            writer.write(connection, answer.stamp_ns, answer.message)
    (folder / f"{folder.name}.mcap").replace(path)
    shutil.rmtree(folder)
