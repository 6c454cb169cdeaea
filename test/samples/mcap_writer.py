"""mcap files as other tools write them: without an index, or with half of one (mcap.dev/spec)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x89MCAP0\r\n"


@dataclass(frozen=True)
class Form:
    """What a writer does.

    Attributes:
        profile: that the header names.
        chunked: two messages a chunk, or all at the top.
        summary: the summary section: schemas, channels, statistics, chunk indexes.
        message_index: an index after each chunk.
        foreign: a channel of JSON messages beside.
    """

    profile: str = "ros2"
    chunked: bool = True
    summary: tuple[str, ...] = ()
    message_index: bool = False
    foreign: bool = False


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def write_mcap(
    path: Path, topic: str, kind: str, messages: Sequence[tuple[int, bytes]], form: Form
) -> Path:
    """Write serialized messages with their log times."""
    schemas = record(3, struct.pack("<H", 1) + text(kind) + text("ros2msg") + text(""))
    channels = record(4, struct.pack("<HH", 1, 1) + text(topic) + text("cdr") + text(""))
    rest = b""
    if form.foreign:
        schemas += record(3, struct.pack("<H", 2) + text("Note") + text("jsonschema") + text("{}"))
        channels += record(4, struct.pack("<HH", 2, 2) + text("/note") + text("json") + text(""))
        rest = record(5, struct.pack("<HIQQ", 2, 0, messages[0][0], messages[0][0]) + b"{}")
    records = [
        (time, record(5, struct.pack("<HIQQ", 1, 0, time, time) + data)) for time, data in messages
    ]
    out = MAGIC + record(1, text(form.profile) + text("other"))
    indexes = b""
    if not form.chunked:
        out += schemas + channels + rest + b"".join(data for _, data in records)
        records = []
    for k in range(0, len(records), 2):
        part = records[k : k + 2]
        head = schemas + channels + rest if k == 0 else b""
        chunk, index = _chunk(len(out), head, part, form)
        out += chunk
        indexes += index
    out += record(15, bytes(4))
    start = len(out)
    parts = {
        "schemas": schemas,
        "channels": channels,
        "statistics": _statistics([time for time, _ in messages]),
        "chunks": indexes,
    }
    summary = b"".join(parts[name] for name in form.summary)
    out += summary + record(2, struct.pack("<QQI", start if summary else 0, 0, 0)) + MAGIC
    path.write_bytes(out)
    return path


def _chunk(
    start: int, head: bytes, part: Sequence[tuple[int, bytes]], form: Form
) -> tuple[bytes, bytes]:
    """A chunk with its message index, and its entry in the summary."""
    data = head + b"".join(message for _, message in part)
    times = [time for time, _ in part]
    span = struct.pack("<QQ", min(times), max(times))
    chunk = record(
        6, span + struct.pack("<QI", len(data), 0) + text("") + struct.pack("<Q", len(data)) + data
    )
    index, offsets = b"", b""
    if form.message_index:
        places = b"".join(struct.pack("<QQ", time, 0) for time in times)
        index = record(7, struct.pack("<HI", 1, len(places)) + places)
        offsets = struct.pack("<HQ", 1, start + len(chunk))
    entry = record(
        8,
        span
        + struct.pack("<QQI", start, len(chunk), len(offsets))
        + offsets
        + struct.pack("<Q", len(index))
        + text("")
        + struct.pack("<QQ", len(data), len(data)),
    )
    return chunk + index, entry


def _statistics(times: Sequence[int]) -> bytes:
    counts = struct.pack("<QHIIIIQQ", len(times), 1, 1, 0, 0, 1, min(times), max(times))
    return record(11, counts + struct.pack("<IHQ", 10, 1, len(times)))
