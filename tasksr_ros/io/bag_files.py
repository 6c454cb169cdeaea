"""The messages of a bag, of which some files may be damaged: whatever of it is readable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from rosbags.interfaces import Connection

from tasksr_ros.errors import RecordingError, TaskSRError
from tasksr_ros.io.bag_storage import (
    ZSTD_MAGIC,
    Ros1Bag,
    Rosbag2,
    decompressed,
    decompressed_message,
    in_time_order,
    is_ros_1,
    is_storage,
)
from tasksr_ros.io.mcap_repair import RepairedMcap
from tasksr_ros.io.natural_order import natural_order

_METADATA = "metadata.yaml"
Reader: TypeAlias = "Rosbag2 | Ros1Bag"


def is_bag(path: Path) -> bool:
    """Whether this is a rosbag2 folder, a file of one, or a ROS 1 bag."""
    if path.is_dir():
        return (path / _METADATA).exists() or bool(_storage_files(path))
    return is_storage(path) or is_ros_1(path)


@dataclass(frozen=True)
class OpenBag:
    """A bag while it is open.

    Attributes:
        path: of the bag.
        connections: topics with type and number of messages; a topic of several files stands
            here once for each.
        damage: what of the bag is unreadable; empty for a whole one.
        unlisted: files in its folder that its metadata do not name: they are not read.
        duration_s: from the first message to the last.
    """

    path: Path
    connections: tuple[Connection, ...]
    damage: tuple[str, ...]
    unlisted: tuple[str, ...]
    duration_s: float
    readers: tuple[Reader, ...]

    def messages(
        self, topics: Callable[[Connection], bool]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Messages of the connections that ``topics`` is true of, in time order.

        Yields:
            The connection, the time of recording in ns, the serialized message.
        """
        files = []
        for reader in self.readers:
            chosen = [c for c in reader.connections if topics(c)]
            if chosen:
                files.append((reader.start_time, partial(reader.messages, chosen)))
        for connection, time_ns, data in in_time_order(files):
            # A CDR message begins with 0: one that begins so was compressed by itself.
            yield connection, time_ns, decompressed_message(data) if _is_zstd(data) else data

    def check(self) -> None:
        """Raise RecordingError if something of the bag is unreadable."""
        if self.damage:
            raise _damaged(self.path, "; ".join(self.damage))


def _damaged(path: Path, reason: str) -> RecordingError:
    return RecordingError(f"bag {path} is truncated or unreadable: {reason}")


@contextmanager
def open_bag(path: Path) -> Iterator[OpenBag]:
    """Open a rosbag2 folder, one of its files, or a ROS 1 bag.

    Raises:
        RecordingError: if nothing of it is readable; also for whatever the parsers raise while
            it is open.
    """
    try:
        with ExitStack() as stack:
            readers, damage = _open_readers(path, stack)
            connections = tuple(c for reader in readers for c in reader.connections)
            spans = [(r.start_time, r.end_time) for r in readers if r.message_count]
            first = min((start for start, _ in spans), default=0)
            last = max((end for _, end in spans), default=0)
            unlisted = () if damage else _unlisted(path)
            yield OpenBag(path, connections, damage, unlisted, (last - first) / 1e9, readers)
    except TaskSRError:
        raise
    except Exception as error:  # corrupt bytes make the parsers raise nearly anything
        raise _damaged(path, _reason(error)) from error


def _open_readers(path: Path, stack: ExitStack) -> tuple[tuple[Reader, ...], tuple[str, ...]]:
    """The bag as its metadata describe it, or else whichever of its files are readable."""
    files = _storage_files(path) if path.is_dir() else [path]
    damage = [_unwritten(file) for file in files if _write_ahead_log(file)]
    if (path / _METADATA).exists():
        try:
            return (stack.enter_context(Rosbag2(path)),), tuple(damage)
        except Exception as error:
            damage.append(_reason(error))
    readers = []
    for file in files:
        try:
            reader, problem = _open_file(file, stack)
            readers.append(reader)
        except Exception as error:  # corrupt bytes make the parsers raise nearly anything
            problem = f"{file.name}: {_reason(error)}"
        damage += [problem] if problem else []
    if not readers:
        raise _damaged(path, "; ".join(damage))
    return tuple(readers), tuple(dict.fromkeys(damage))


def _write_ahead_log(file: Path) -> bool:
    """Whether sqlite's journal lies beside a file: messages of a recorder that was killed."""
    journal = file.with_name(f"{file.name}-wal")
    return journal.is_file() and journal.stat().st_size > 0


def _unwritten(file: Path) -> str:
    return (
        f"{file.name}-wal may hold messages that {file.name} lacks: "
        f"`sqlite3 {file.name} 'PRAGMA wal_checkpoint(TRUNCATE)'` writes them into it"
    )


def _open_file(file: Path, stack: ExitStack) -> tuple[Reader, str]:
    """The reader of a file, and what of the file is unreadable."""
    if is_ros_1(file):
        return stack.enter_context(Ros1Bag(file)), ""
    plain, problem = decompressed(file, stack)
    try:
        return stack.enter_context(Rosbag2(plain)), problem
    except TaskSRError:
        raise
    except Exception:
        if plain.suffix.lower() != ".mcap":
            raise
    repaired: Any = RepairedMcap(plain)
    reader = stack.enter_context(Rosbag2(repaired))
    lost = f"{file.name}: its end is missing, {repaired.lost} bytes are no whole record"
    return reader, problem or lost


def _storage_files(folder: Path) -> list[Path]:
    files = (f for f in folder.iterdir() if is_storage(f) and f.is_file())
    return sorted((f for f in files if not f.name.startswith(".")), key=natural_order)


def _unlisted(path: Path) -> tuple[str, ...]:
    if not (path / _METADATA).exists():
        return ()
    text = (path / _METADATA).read_text(encoding="utf-8", errors="replace")
    return tuple(file.name for file in _storage_files(path) if file.name not in text)


def _is_zstd(data: bytes) -> bool:
    return data[:4] == ZSTD_MAGIC


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
