"""The pixels of image messages, without ROS: what the node and the bag reader share."""

from __future__ import annotations

import array
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import ImageError
from tasksr_ros.frames import CHANNELS, Frame

Buffer: TypeAlias = "bytes | bytearray | memoryview | array.array[int] | NDArray[np.uint8]"


def decode_image(
    height: int, width: int, encoding: str, step: int, data: Buffer
) -> NDArray[np.uint8]:
    """View the pixels of a sensor_msgs/Image; nothing is copied.

    Args:
        height: rows.
        width: columns.
        encoding: one of ``frames.CHANNELS``.
        step: bytes per row, padding included.
        data: the message's bytes; bytes, memoryview, array or ndarray.

    Returns:
        (height, width, C) uint8 in the message's own encoding; rows may be padded.

    Raises:
        ImageError: where the encoding is unknown or the header contradicts the data.
    """
    if encoding not in CHANNELS:
        raise ImageError(f"encoding must be one of {', '.join(CHANNELS)}, got {encoding!r}")
    channels = CHANNELS[encoding]
    if height <= 0 or width <= 0:
        raise ImageError(f"image must not be empty, got {width}x{height} px")
    if step < width * channels:
        raise ImageError(
            f"step of a {width} px wide {encoding} image must be at least {width * channels} "
            f"bytes, got {step}"
        )
    buffer = np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)
    if step * height > len(buffer):
        raise ImageError(
            f"data must hold step x height = {step} x {height} = {step * height} bytes, "
            f"got {len(buffer)}"
        )
    pixels: NDArray[np.uint8] = np.ndarray(
        (height, width, channels), np.uint8, buffer, 0, (step, channels, 1)
    )
    return pixels


def decode_compressed(format: str, data: Buffer) -> NDArray[np.uint8]:
    """Decode the file in a sensor_msgs/CompressedImage to (H, W, 3) uint8 BGR.

    Args:
        format: the message's format field, for example "jpeg" or "bgr8; png compressed bgr8".
        data: a JPEG or PNG file.

    Raises:
        ImageError: where the file is unreadable or the format is not a picture's.
    """
    if "compressedDepth" in format:
        raise ImageError(f"a colour image is expected, got format {format!r}")
    if not len(data):
        raise ImageError(f"compressed image must not be empty, got 0 bytes of {format!r}")
    buffer = np.frombuffer(data, np.uint8)
    try:
        # the camera's pixels as they are: a rotation flag would swap width and height
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(
            f"compressed image must be a JPEG or PNG file, got {len(buffer)} unreadable bytes "
            f"of format {format!r}"
        )
    return np.asarray(image, np.uint8)


def stamp_ns(header: Any) -> int:
    """A message header's stamp in nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def decode_message(message: Any) -> Frame:
    """A sensor_msgs Image or CompressedImage as a frame; a raw image's pixels stay where they are.

    Args:
        message: of rclpy or of rosbags, whose messages have the same fields.

    Raises:
        ImageError: where the image is unreadable or contradicts its own header.
    """
    stamp, frame_id = stamp_ns(message.header), str(message.header.frame_id)
    if hasattr(message, "format"):
        return Frame(decode_compressed(message.format, message.data), stamp, frame_id, "bgr8")
    pixels = decode_image(
        message.height,
        message.width,
        message.encoding,
        message.step,
        message.data,
    )
    return Frame(pixels, stamp, frame_id, message.encoding)
