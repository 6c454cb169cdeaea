"""Image messages as they come over the wire, without ROS.

The node takes messages serialized: a frame that is dropped is never deserialized, the pixels of
one that is not stay where they are (rclpy copies them, 5 ms for 1080p), and a broken message is
its camera's rejection instead of an exception in the executor.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.io.frames import Frame

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
_CDR_HEADER = 4
"""Bytes before the first field; the second of them tells the byte order."""


@dataclass(frozen=True, eq=False)
class Serialized:
    """A message in CDR.

    Attributes:
        kind: ``IMAGE`` or ``COMPRESSED_IMAGE``.
        data: its bytes.
    """

    kind: str
    data: bytes


def stamp_of(message: Serialized) -> int:
    """The stamp, ns, of the header with which both kinds of messages begin.

    Raises:
        ImageError: if the message is too short to have one.
    """
    if len(message.data) < _CDR_HEADER + 8:
        raise ImageError(f"a message must hold a header, got {len(message.data)} bytes")
    order = "<" if message.data[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", message.data, _CDR_HEADER)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def decode(message: Serialized, config: DecodingConfig | None = None) -> tuple[Any, Frame]:
    """The header and the image of a message; a file is decoded when its pixels are asked for.

    Raises:
        ImageError: if the bytes are no such message, or the image is unreadable.
    """
    try:
        # Of bytes, rosbags cuts off the CDR header by a copy of all the rest.
        read = _typestore().deserialize_cdr(memoryview(message.data), message.kind)
    except SerdeError as error:
        kind = message.kind.rpartition("/")[2]
        raise ImageError(f"{len(message.data)} bytes are no {kind} message: {error}") from None
    return read.header, decode_message(read, config)  # type: ignore[attr-defined]


@lru_cache(maxsize=1)
def _typestore() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)
