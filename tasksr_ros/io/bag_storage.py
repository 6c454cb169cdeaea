"""The files that bags are stored in, whoever wrote them: mcap, sqlite3, zstd of these, ROS 1."""

from __future__ import annotations

import heapq
import os
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from copy import copy
from functools import partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from urllib.parse import quote

from rosbags import rosbag1
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import McapReader, Schema
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from tasksr_ros.errors import RecordingError
from tasksr_ros.io.mcap_repair import RepairedMcap, has_end, profile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # as rosbags does, which requires it

STORAGE = (".mcap", ".db3")
ROS_1 = ".bag"
ZSTD = (".zstd", ".zst")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SAME_IN_ROS_1 = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/CameraInfo",
)
"""Types whose fields did not change from ROS 1 to ROS 2, but for the header's number."""
_SCHEMAS = ("ros2msg", "ros2idl", "omgidl", "")
_PIECE = 1 << 20


def is_storage(path: Path) -> bool:
    """Whether this is, by its name, a file of a rosbag2, compressed or not."""
    name = path.name.lower()
    return name.endswith(STORAGE) or name.endswith(tuple(s + z for s in STORAGE for z in ZSTD))


def is_ros_1(path: Path) -> bool:
    """Whether this is, by its name, a ROS 1 bag; rosbag leaves .bag.active where it was killed."""
    return path.name.lower().endswith((ROS_1, f"{ROS_1}.active"))


class Ros1Bag(rosbag1.Reader):
    """A ROS 1 bag; its messages come as ROS 2 would have stored them."""

    def messages(
        self, connections: Collection[Connection] = (), *_: object
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """As a rosbag2's.

        Raises:
            RecordingError: for types that ROS 2 stores otherwise.
        """
        for connection in connections:
            if connection.msgtype not in SAME_IN_ROS_1:
                raise RecordingError(
                    f"of a ROS 1 bag, topics of {', '.join(SAME_IN_ROS_1)} are read, got "
                    f"{connection.topic} ({connection.msgtype}): convert it with rosbags-convert"
                )
        types = get_typestore(Stores.ROS2_JAZZY)
        for connection, time_ns, data in super().messages(connections):
            try:
                yield connection, time_ns, bytes(types.ros1_to_cdr(data, connection.msgtype))
            except SerdeError:
                yield connection, time_ns, b""  # whoever reads it is told


class _Schemas(dict[int, Schema]):
    """Schemas by number; those of other systems (protobuf, JSON) are none instead of an error."""

    def get(self, key: int, default: Any = None) -> Any:
        schema = super().get(key, default)
        known = schema is None or schema.encoding in _SCHEMAS
        return schema if known else schema._replace(encoding="")


class _Mcap(McapReader):
    """An mcap file, read from one end to the other where it has no index, or half of one."""

    def open(self) -> None:
        """As of rosbags.

        Raises:
            RecordingError: for messages that are not of ROS 2.
        """
        self.schemas = _Schemas()
        known = profile(self.path)
        if known == "ros1":
            raise RecordingError("an mcap file of ROS 2 is expected, got one of ROS 1")
        if known == "" and has_end(self.path):  # its writer did not say
            self._open_without_index()
            return
        super().open()
        half = any(not chunk.message_index_offsets for chunk in self.chunks)
        if half or not self.connections:
            self.close()
            self._open_without_index()

    def _open_without_index(self) -> None:
        whole: Any = RepairedMcap(self.path)
        self.path = whole
        super().open()

    def messages(
        self,
        connections: Collection[Connection],
        start: int | None = None,
        stop: int | None = None,
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """In time order, whatever the order in the file."""
        if self.chunks:
            yield from super().messages(connections, start, stop)
            return
        times = [time for _, time, _ in self.messages_scan(connections, start, stop)]
        least = [*accumulate(reversed(times), min)][::-1]
        waiting: list[tuple[int, int, tuple[Connection, int, bytes]]] = []
        for number, message in enumerate(self.messages_scan(connections, start, stop), 1):
            waiting.append((message[1], number, message))
            if number < len(least) and message[1] > least[number]:
                continue  # an earlier one follows
            waiting.sort(key=lambda entry: entry[:2])
            ready = sum(number == len(least) or t <= least[number] for t, *_ in waiting)
            yield from (entry[2] for entry in waiting[:ready])
            del waiting[:ready]


class _Sqlite(Sqlite3Reader):
    """An sqlite3 file, whatever its path: rosbags makes it a part of a URI."""

    def open(self) -> None:
        """As of rosbags."""
        path, self.path = self.path, Path(quote(os.fsencode(str(self.path))))
        try:
            super().open()
        finally:
            self.path = path


def in_time_order(
    files: Iterable[tuple[int, Callable[[], Iterator[tuple[Connection, int, bytes]]]]],
) -> Iterator[tuple[Connection, int, bytes]]:
    """The messages of several files, each of which is in time order, in one.

    A file is opened when its turn comes: a long recording may have hundreds.

    Args:
        files: the time of each one's first message, ns, and what begins to read it.
    """
    waiting = sorted(
        ((time, number, begin) for number, (time, begin) in enumerate(files)), reverse=True
    )
    reading: list[tuple[int, int, tuple[Connection, int, bytes], Iterator[Any]]] = []
    while waiting or reading:
        if waiting and (not reading or waiting[-1][0] <= reading[0][0]):
            _, number, begin = waiting.pop()
            stream = begin()
        else:
            _, number, message, stream = heapq.heappop(reading)
            yield message
        following = next(stream, None)
        if following is not None:
            heapq.heappush(reading, (following[1], number, following, stream))


class _Directory(DirectoryReader):
    STORAGE_PLUGINS: Mapping[str, Any] = {"mcap": _Mcap, "sqlite3": _Sqlite}

    def messages(
        self,
        connections: Collection[Connection],
        start: int | None = None,
        stop: int | None = None,
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """In time order, whatever the order in which the metadata name the files."""
        streams = []
        for storage in self.storages:
            part = copy(self)
            part.storages = [storage]
            stream = partial(DirectoryReader.messages, part, connections, start, stop)
            streams.append((storage.metadata.start_time, stream))
        yield from in_time_order(streams)


class _BySuffix(dict[str, Any]):
    """Readers by a file's suffix, in any case."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)


class Rosbag2(Reader):
    """A rosbag2 folder, or one mcap or sqlite3 file."""

    STORAGE_PLUGINS: Mapping[str, Any] = _BySuffix(
        {"dir": _Directory, ".mcap": _Mcap, ".db3": _Sqlite}
    )


def decompressed(file: Path, stack: ExitStack) -> tuple[Path, str]:
    """A file without its zstd compression, until ``stack`` ends, and what is wrong with it.

    A file that is not compressed is itself.
    """
    if file.suffix.lower() not in ZSTD:
        return file, ""
    folder = stack.enter_context(TemporaryDirectory(prefix="tasksr-bag-"))
    target = Path(folder) / file.stem
    with file.open("rb") as source, target.open("wb") as out:
        problem = _copy(source, out)
        whole = out.tell()
    if problem and not whole:
        raise RecordingError(problem)
    return target, f"{file.name}: {problem}" if problem else ""


def _copy(source: IO[bytes], out: IO[bytes]) -> str:
    """Decompress as far as can be read; returns why there is no more."""
    frame = zstd.ZstdDecompressor()
    ended = False
    while piece := source.read(_PIECE):
        while piece:
            try:
                out.write(frame.decompress(piece))
            except zstd.ZstdError as error:
                return str(error)
            ended, piece = frame.eof, frame.unused_data
            if ended:
                frame = zstd.ZstdDecompressor()
    return "" if ended else "its end is missing"


def decompressed_message(data: bytes) -> bytes:
    """A message of a bag compressed by message whose metadata could not be read."""
    return bytes(zstd.decompress(data))
