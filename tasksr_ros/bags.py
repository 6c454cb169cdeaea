"""rosbag2 folders and files: the images of one topic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_typestore

from tasksr_ros.calibration import camera_from_info
from tasksr_ros.camera import CameraModel
from tasksr_ros.decoding import decode_message, stamp_ns
from tasksr_ros.errors import ConfigError, ImageError, RecordingError, TaskSRError
from tasksr_ros.frames import Frame
from tasksr_ros.recordings import Encoded, Recording

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


class BagRecording(Recording):
    """The images of one topic of a rosbag2 recording.

    Args:
        path: a bag's folder, or one .mcap or .db3 file.
        topic: of the images; may be omitted where the bag has one image topic.

    Raises:
        RecordingError: where the bag is unreadable, or does not have that one topic.
    """

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path = path
        with self._open() as reader:
            connection = _image_connection(path, reader.connections, topic)
            self.topic = connection.topic
            self._type = connection.msgtype
            self._count = sum(c.msgcount for c in reader.connections if self._is_mine(c))
            self.camera = self._read_camera(reader)
            first = next(reader.messages([connection]), None)
            if first is None:
                raise RecordingError(f"bag {path} must hold images on {self.topic}, got none")
            message: Any = reader.deserialize(first[2], connection.msgtype)
            self.frame_id = str(message.header.frame_id)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Frame]:
        return (self._frame(message) for message in self._messages())

    def encoded(self) -> Iterator[Encoded | Frame]:
        """The compressed messages' files as they are; raw messages as frames."""
        for message in self._messages():
            if self._type == COMPRESSED:
                stamp, frame_id = stamp_ns(message.header), str(message.header.frame_id)
                yield Encoded(bytes(message.data), str(message.format), stamp, frame_id)
            else:
                yield self._frame(message)

    def _frame(self, message: Any) -> Frame:
        try:
            return decode_message(message).decoded()
        except ImageError as error:
            stamp = stamp_ns(message.header)
            raise ImageError(f"{self.path}: {self.topic} at {stamp} ns: {error}") from error

    def _messages(self) -> Iterator[Any]:
        with self._open() as reader:
            mine = [c for c in reader.connections if self._is_mine(c)]
            for connection, _, data in reader.messages(mine):
                yield reader.deserialize(data, connection.msgtype)

    def _is_mine(self, connection: Connection) -> bool:
        return (connection.topic, connection.msgtype) == (self.topic, self._type)

    def _read_camera(self, reader: AnyReader) -> CameraModel | None:
        topic = _info_topic(self.topic, reader.connections)
        chosen = [c for c in reader.connections if (c.topic, c.msgtype) == (topic, CAMERA_INFO)]
        for connection, _, data in reader.messages(chosen) if chosen else ():
            message: Any = reader.deserialize(data, connection.msgtype)
            try:
                return camera_from_info(message.width, message.height, message.k, message.p)
            except ConfigError:
                return None
        return None

    @contextmanager
    def _open(self) -> Iterator[AnyReader]:
        try:
            with AnyReader(
                _bag_files(self.path), default_typestore=get_typestore(Stores.ROS2_JAZZY)
            ) as reader:
                yield reader
        except TaskSRError:
            raise
        except Exception as error:  # corrupt bytes make the parsers raise nearly anything
            reason = str(error) or type(error).__name__
            raise RecordingError(f"bag {self.path} is truncated or unreadable: {reason}") from error


def camera_info_topics(image_topic: str) -> tuple[str, ...]:
    """Where the CameraInfo of an image topic is looked for, the most likely first."""
    names = image_topic.rstrip("/").split("/")
    return tuple("/".join([*names[:-drop], "camera_info"]) for drop in (1, 2) if drop < len(names))


def _info_topic(image_topic: str, connections: list[Connection]) -> str | None:
    """The image topic's CameraInfo: beside it, or the only one where there is one camera."""
    infos = {c.topic for c in connections if c.msgtype == CAMERA_INFO}
    beside = [topic for topic in camera_info_topics(image_topic) if topic in infos]
    if beside:
        return beside[0]
    images = (c.topic for c in connections if c.msgtype in (IMAGE, COMPRESSED))
    cameras = {topic.removesuffix("/compressed") for topic in images}
    return infos.pop() if len(infos) == len(cameras) == 1 else None


def _bag_files(path: Path) -> list[Path]:
    if path.is_file() or (path / "metadata.yaml").exists():
        return [path]
    return sorted([*path.glob("*.mcap"), *path.glob("*.db3")])


def _image_connection(path: Path, connections: list[Connection], topic: str | None) -> Connection:
    images = {c.topic: c for c in connections if c.msgtype in (IMAGE, COMPRESSED) and c.msgcount}
    there = ", ".join(sorted(f"{c.topic} ({c.msgtype})" for c in connections)) or "no topics"
    if not images:
        raise RecordingError(f"bag {path} must hold images, got {there}")
    if topic is None and len(images) > 1:
        raise RecordingError(
            f"bag {path} has several image topics; choose one of {', '.join(sorted(images))}"
        )
    if topic is not None and topic not in images:
        raise RecordingError(
            f"bag {path} has no images on {topic!r}; choose one of {', '.join(sorted(images))}"
        )
    return images[topic] if topic is not None else next(iter(images.values()))
