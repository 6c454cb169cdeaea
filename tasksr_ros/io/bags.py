"""Bags: the images of one or several cameras."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.typesys import Stores, get_typestore

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError, ImageError, RecordingError
from tasksr_ros.io.bag_files import OpenBag, open_bag
from tasksr_ros.io.calibration import camera_from_info, is_rectified
from tasksr_ros.io.decoding import decode_message, stamp_ns
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import Encoded, Pending, Recording

logger = logging.getLogger(__name__)
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_TYPES = get_typestore(Stores.ROS2_JAZZY)
MOST_INFOS = 10_000
"""CameraInfo messages to look at for valid ones: some minutes of a camera."""
_BEHIND_STAMP = 12
"""Bytes of a serialized message before what follows its stamp."""
_AFTER_START_NS = 3600 * 10**9
"""A stamp of zero beside later ones is none: no simulation."""


class BagRecording(Recording):
    """The images of one or several topics of a bag.

    Images without stamps (a driver leaves them zero) have the time of their recording.

    Args:
        path: a bag's folder, or one file of a rosbag2 or of ROS 1.
        topic: of the images, or several; may be omitted where the bag has one image topic.
        intrinsics: which of CameraInfo's to take, see `is_rectified`.

    Raises:
        RecordingError: where nothing of the bag is readable, or it does not have these topics.
    """

    def __init__(
        self, path: Path, topic: str | Sequence[str] | None = None, intrinsics: str = "auto"
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        self._infos: dict[str, bytes] = {}
        with open_bag(path) as bag:
            self._types = _image_types(bag, topic)
            self._count = sum(c.msgcount for c in bag.connections if self._is_mine(c))
            self.duration_s = bag.duration_s
            self.cameras = {name: self._read_camera(bag, name, intrinsics) for name in self._types}
            first = next(bag.messages(self._is_mine), None)
            if first is None:
                topics = ", ".join(self._types)
                raise RecordingError(f"bag {path} must hold images on {topics}, got none")
            with suppress(ImageError):  # whoever reads that message is told
                self.frame_id = str(_parsed(first[0], first[2]).header.frame_id)
            if bag.unlisted:
                self.notes.append(
                    f"{path}: {', '.join(bag.unlisted)} is left out: the bag's metadata.yaml does "
                    f"not name it (`ros2 bag reindex` writes it anew)"
                )
            self._unstamped = [t for t in self._types if not self._has_stamps(bag, t)]
            self.notes += [
                f"{path}: the images on {topic} have no stamps (all zero): the times of their "
                f"recording are taken"
                for topic in self._unstamped
            ]

    def _read_camera(self, bag: OpenBag, image_topic: str, intrinsics: str) -> CameraModel | None:
        """Of the first CameraInfo that has valid ones; what is wrong with others is noted."""
        topic = _info_topic(image_topic, bag.connections)
        chosen, reason, count = (topic, CAMERA_INFO), "", 0
        found = None
        infos = bag.messages(lambda c: (c.topic, c.msgtype) == chosen)
        for connection, _, data in islice(infos, MOST_INFOS):
            try:
                rectified = is_rectified(intrinsics, image_topic)
                found = camera_from_info(_parsed(connection, data), rectified=rectified)
                self._infos[connection.topic] = bytes(data[_BEHIND_STAMP:])
                break
            except (ConfigError, ImageError) as error:
                reason, count = reason or str(error), count + 1
        if reason:
            then = "the first valid one is taken" if found else "none is taken"
            self.notes.append(
                f"{self.path}: {topic}: the first {count} CameraInfo have no valid intrinsics, "
                f"{then}: {reason}"
            )
        if found and topic and not _is_beside(topic, image_topic):
            self.notes.append(
                f"{self.path}: {image_topic} has no CameraInfo beside it: that of {topic} is taken "
                f"for its own"
            )
        return found

    def __len__(self) -> int:
        return self._count

    def pending(self) -> Iterator[Pending]:
        """The messages of all topics in the order of their recording."""
        self.tell()
        tally = _Tally(dict(self._infos))
        with open_bag(self.path) as bag:
            for connection, time_ns, data in bag.messages(self._is_looked_at):
                topic = connection.topic
                if self._is_mine(connection):
                    item = self._pending(connection, tally.images[topic], time_ns, data)
                    yield item
                    tally.image(topic, item.stamp_ns)
                else:
                    tally.info(topic, data)
            bag.check()
            self._note(f"{self.path}: {text}" for text in tally.notes())
            if tally.images.total() < self._count:
                there = f"{self._count} images are stated, {tally.images.total()} are there"
                self._note([f"{self.path}: {there}"])

    def _note(self, found: Iterable[str]) -> None:
        """Note each, once."""
        for note in found:
            if note not in self.notes:
                self.notes.append(note)
                logger.warning(note)

    def _pending(self, connection: Connection, index: int, time_ns: int, data: bytes) -> Pending:
        topic = connection.topic
        load: Callable[[], Frame]
        try:
            message = _parsed(connection, data)
        except ImageError as error:
            load = partial(_fail, f"{self.path}: {topic}, recorded at {time_ns} ns: {error}")
            return Pending(index, time_ns, topic, "", load, load)
        stamp = time_ns if topic in self._unstamped else stamp_ns(message.header)
        load = partial(self._frame, topic, message, stamp)
        encoded = load if connection.msgtype == IMAGE else partial(_as_stored, message, stamp)
        return Pending(index, stamp, topic, "", load, encoded)

    def _has_stamps(self, bag: OpenBag, topic: str) -> bool:
        """Whether one of the first two images has a stamp: a simulation's may begin at 0."""
        mine = bag.messages(lambda c: c.topic == topic and self._is_mine(c))
        for connection, _, data in islice(mine, 2):
            with suppress(ImageError):
                if stamp_ns(_parsed(connection, data).header) != 0:
                    return True
        return False

    def _frame(self, topic: str, message: Any, stamp: int) -> Frame:
        try:
            return replace(decode_message(message, self.decoding).decoded(), stamp_ns=stamp)
        except ImageError as error:
            raise ImageError(f"{self.path}: {topic} at {stamp} ns: {error}") from error

    def _is_looked_at(self, connection: Connection) -> bool:
        """Images, and the CameraInfo of which one was taken."""
        info = connection.msgtype == CAMERA_INFO and connection.topic in self._infos
        return info or self._is_mine(connection)

    def _is_mine(self, connection: Connection) -> bool:
        return self._types.get(connection.topic) == connection.msgtype


class _Tally:
    """What is odd about the messages of a bag, by topic.

    Args:
        infos: the CameraInfo that was taken of each topic, without its stamp.
    """

    def __init__(self, infos: Mapping[str, bytes]) -> None:
        self.images: Counter[str] = Counter()
        self._infos = infos
        self._begun: set[str] = set()
        self._stalled: Counter[str] = Counter()
        self._zero: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._last: dict[str, int] = {}

    def image(self, topic: str, stamp: int) -> None:
        """Count an image by its stamp, ns."""
        self.images[topic] += 1
        self._stalled[topic] += stamp <= self._last.get(topic, stamp - 1)
        self._zero[topic] += stamp == 0
        self._last[topic] = stamp

    def info(self, topic: str, data: bytes) -> None:
        """Count a serialized CameraInfo that comes after the one that was taken."""
        if data[_BEHIND_STAMP:] == self._infos[topic]:
            self._begun.add(topic)
        elif topic in self._begun:
            self._others[topic] += 1

    def notes(self) -> Iterator[str]:
        """What a user should know."""
        for topic, number in self.images.items():
            if stalled := self._stalled[topic]:
                yield (
                    f"the stamps of {stalled} of {number} images on {topic} do not rise: they are "
                    f"taken as they are"
                )
            if self._zero[topic] and self._last[topic] > _AFTER_START_NS:
                yield (
                    f"the stamps of {self._zero[topic]} of {number} images on {topic} are zero: "
                    f"they are taken as they are"
                )
        for topic, number in self._others.items():
            yield f"{topic}: {number} CameraInfo differ from the one that is taken for all images"


def _parsed(connection: Connection, data: bytes) -> Any:
    """The message; its large arrays are views of ``data``."""
    try:
        return _TYPES.deserialize_cdr(data, connection.msgtype)
    except Exception as error:  # corrupt bytes make the parser raise nearly anything
        reason = str(error) or type(error).__name__
        raise ImageError(f"message of {len(data)} bytes is unreadable: {reason}") from error


def _fail(reason: str) -> Frame:
    raise ImageError(reason)


def _as_stored(message: Any, stamp: int) -> Encoded:
    return Encoded(bytes(message.data), str(message.format), stamp, str(message.header.frame_id))


def camera_info_topics(image_topic: str) -> tuple[str, ...]:
    """Where the CameraInfo of an image topic is looked for, the most likely first."""
    names = image_topic.rstrip("/").split("/")
    return tuple("/".join([*names[:-drop], "camera_info"]) for drop in (1, 2) if drop < len(names))


def _is_beside(info_topic: str, image_topic: str) -> bool:
    """Whether a CameraInfo is in the namespace of the images, or below their own name."""
    image = image_topic.removesuffix("/compressed")
    return info_topic.rpartition("/")[0] in (image, image.rpartition("/")[0])


def _info_topic(image_topic: str, connections: Sequence[Connection]) -> str | None:
    """The image topic's CameraInfo: beside it, or the only one where there is one camera."""
    infos = {c.topic for c in connections if c.msgtype == CAMERA_INFO}
    beside = [topic for topic in camera_info_topics(image_topic) if topic in infos]
    if beside:
        return beside[0]
    images = (c.topic for c in connections if c.msgtype in (IMAGE, COMPRESSED))
    cameras = {topic.removesuffix("/compressed") for topic in images}
    return infos.pop() if len(infos) == len(cameras) == 1 else None


def _image_types(bag: OpenBag, topic: str | Sequence[str] | None) -> dict[str, str]:
    """Message type of each chosen image topic, in the order chosen."""
    images = {
        c.topic: c.msgtype
        for c in bag.connections
        if c.msgtype in (IMAGE, COMPRESSED) and c.msgcount
    }
    known = sorted({f"{c.topic} ({c.msgtype})" for c in bag.connections})
    if not images:
        there = ", ".join([*known, *bag.damage]) or "no topics"
        raise RecordingError(f"bag {bag.path} must hold images, got {there}")
    if topic is None and len(images) > 1:
        raise RecordingError(
            f"bag {bag.path} has several image topics; choose one of {', '.join(sorted(images))}"
        )
    chosen = [topic] if isinstance(topic, str) else list(topic or images)
    for name in chosen:
        if name not in images:
            raise RecordingError(
                f"bag {bag.path} has no images on {name!r}; choose one of "
                f"{', '.join(sorted(images))}"
            )
    return {name: images[name] for name in chosen}
