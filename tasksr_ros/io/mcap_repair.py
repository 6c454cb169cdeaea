"""mcap files whose end is missing, read as far as they are whole.

A recorder that was killed, a full disk or a broken copy leaves an mcap file without its index and
footer, often in the middle of a record. The complete records, followed by an end that names no
index, are a valid mcap file again: readers then scan it. Nothing is written or copied.

Format: https://mcap.dev/spec
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x89MCAP0\r\n"
_DATA_END, _LARGEST_OPCODE = 0x0F, 0x0F
_END = (
    bytes([_DATA_END])
    + (4).to_bytes(8, "little")
    + bytes(4)  # no checksum
    + bytes([0x02])  # footer
    + (20).to_bytes(8, "little")
    + bytes(20)  # no summary
    + MAGIC
)


class RepairedMcap:
    """Stands for the path of a damaged mcap file, as rosbags takes paths of remote files.

    Args:
        path: of the file.

    Raises:
        ValueError: if it is no mcap file, or holds not one complete record.

    Attributes:
        whole: bytes at the file's beginning that are complete records.
        lost: bytes after them.
    """

    suffix = ".mcap"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole = _whole_records(path)
        self.lost = path.stat().st_size - self.whole

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """As of pathlib."""
        return True

    def is_dir(self) -> bool:
        """As of pathlib."""
        return False

    def open(self, mode: str = "rb") -> BinaryIO:
        """The complete records and a valid end."""
        return io.BufferedReader(_Ended(self.path, self.whole))


def _whole_records(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError("no mcap file")
        end = len(MAGIC)
        while True:
            head = file.read(9)
            if len(head) < 9 or not 0 < head[0] < _LARGEST_OPCODE:
                break
            after = end + 9 + int.from_bytes(head[1:], "little")
            if after > size:
                break
            end = file.seek(after)
    if end == len(MAGIC):
        raise ValueError("not one complete record")
    return end


class _Ended(io.RawIOBase):
    """The first bytes of a file, followed by `_END`."""

    def __init__(self, path: Path, whole: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._whole = whole
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
        if self._at < self._whole:
            self._file.seek(self._at)
            data = self._file.read(min(len(view), self._whole - self._at)) or b""
        else:
            start = self._at - self._whole
            data = _END[start : start + len(view)]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
