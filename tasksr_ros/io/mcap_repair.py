"""mcap files whose end is missing, or whose index, read as far as they are whole.

A recorder that was killed, a full disk or a broken copy leaves an mcap file without its index and
footer, often in the middle of a record; other tools write files without an index, or with half of
one. The complete records, followed by an end that names no index, are a valid mcap file again:
readers then scan it. Nothing is written or copied.

Format: https://mcap.dev/spec
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _DATA_END, _LARGEST_OPCODE = 0x01, 0x0F, 0x0F
_MOST_HEADER = 1 << 16


def _record(opcode: int, content: bytes) -> bytes:
    return bytes([opcode]) + len(content).to_bytes(8, "little") + content


_ROS_2 = (4).to_bytes(4, "little") + b"ros2"
_START = MAGIC + _record(_HEADER, _ROS_2 + bytes(4))  # of no library
_END = _record(_DATA_END, bytes(4)) + _record(0x02, bytes(20)) + MAGIC  # no checksum, no summary


def profile(path: Any) -> str | None:
    """What the header of an mcap file says of its messages; None where there is no header."""
    with path.open("rb") as file:
        head = file.read(len(MAGIC) + 13)
        if len(head) < len(MAGIC) + 13 or not head.startswith(MAGIC) or head[8] != _HEADER:
            return None
        size = int.from_bytes(head[17:21], "little")
        name: bytes = file.read(min(size, _MOST_HEADER))
    return name.decode("utf-8", "replace")


def has_end(path: Any) -> bool:
    """Whether an mcap file ends as its writer meant it to."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, io.SEEK_END) - len(MAGIC)))
        return bool(file.read() == MAGIC)


class RepairedMcap:
    """Stands for the path of an mcap file, as rosbags takes paths of remote files.

    Args:
        path: of the file.

    Raises:
        ValueError: if it is no mcap file, or holds not one complete record.

    Attributes:
        lost: bytes after those that are complete records.
    """

    suffix = ".mcap"

    def __init__(self, path: Any) -> None:
        self.path = path
        with self.open_whole() as file:
            size = file.seek(0, io.SEEK_END)
            self._span = _whole_records(file, size)
        self.lost = size - self._span[1]

    def open_whole(self) -> BinaryIO:
        """The file as it is."""
        file: BinaryIO = self.path.open("rb")
        return file

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """As of pathlib."""
        return True

    def is_dir(self) -> bool:
        """As of pathlib."""
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """A header of ROS 2, the complete records and a valid end."""
        return io.BufferedReader(_Spliced(self.open_whole(), *self._span))


def _whole_records(file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the records after the header begin, and where the last complete one ends."""
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("no mcap file")
    start = end = len(MAGIC)
    while True:
        head = file.read(9)
        if len(head) < 9 or not 0 < head[0] < _LARGEST_OPCODE:
            break
        after = end + 9 + int.from_bytes(head[1:], "little")
        if after > size:
            break
        start = after if head[0] == _HEADER else start
        end = file.seek(after)
    if end == len(MAGIC):
        raise ValueError("not one complete record")
    return start, end


class _Spliced(io.RawIOBase):
    """`_START`, a part of a file, and `_END`."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file = file
        self._shift = start - len(_START)
        self._whole = end - self._shift
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._whole + len(_END)}
        self._at = start[whence] + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)
        data = self._read(len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        if self._at < len(_START):
            return _START[self._at : self._at + size]
        if self._at < self._whole:
            self._file.seek(self._at + self._shift)
            return self._file.read(min(size, self._whole - self._at))
        start = self._at - self._whole
        return _END[start : start + size]

    def close(self) -> None:
        self._file.close()
        super().close()
