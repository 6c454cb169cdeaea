"""An image file of the user's own as it is shown: one reader for `tasksr` and for training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io.decoding import decode_compressed
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.orientation import orientation, turned


def still_format(path: Path) -> str:
    """The kind of an image file by its name, as camera messages call it."""
    suffix = path.suffix.lower()[1:]
    return "jpeg" if suffix == "jpg" else suffix


def still_bytes(path: Path) -> bytes:
    """The file.

    Raises:
        ImageError: where it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"image {path} cannot be read: {error}") from error


def read_still(path: Path, config: DecodingConfig | None = None) -> Frame:
    """Read an image file as a frame of encoding bgr8, turned as EXIF says, without a stamp.

    Args:
        path: the file.
        config: the bits of 16 that count.

    Raises:
        ImageError: where it is missing, damaged, or no still of grey or colour.
    """
    data = still_bytes(path)
    try:
        frame = decode_compressed(still_format(path), data, config)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    return replace(frame, image=turned(frame.image, orientation(data)))
