"""One camera image, as the camera sent it, and the conversion of its crops to RGB."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import ImageError

_TO_RGB: dict[str, int | None] = {
    "rgb8": None,
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
}
CHANNELS: dict[str, int] = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


@dataclass(frozen=True, eq=False)
class Frame:
    """One camera image. The pixels stay in the camera's encoding; only crops are converted.

    Attributes:
        image: (H, W, C) uint8, C as ``encoding`` says; may be a read-only or strided view.
        stamp_ns: acquisition time in nanoseconds.
        frame_id: the camera's coordinate frame.
        encoding: one of ``CHANNELS``.
    """

    image: NDArray[np.uint8]
    stamp_ns: int = 0
    frame_id: str = ""
    encoding: str = "rgb8"

    def __post_init__(self) -> None:
        if self.encoding not in CHANNELS:
            raise ImageError(
                f"encoding must be one of {', '.join(CHANNELS)}, got {self.encoding!r}"
            )
        channels = CHANNELS[self.encoding]
        image = self.image
        if image.ndim != 3 or image.shape[2] != channels or image.dtype != np.uint8:
            raise ImageError(
                f"a {self.encoding} image must be uint8 of shape (height, width, {channels}), "
                f"got {image.dtype} of shape {image.shape}"
            )
        if 0 in image.shape:
            raise ImageError(f"image must not be empty, got shape {image.shape}")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in image px."""
        return self.image.shape[1], self.image.shape[0]


def crop_rgb(frame: Frame, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
    """Return the pixels [y0, y1) x [x0, x1) as (h, w, 3) uint8 RGB.

    The rectangle must lie inside the image. An rgb8 crop is a view; others are converted.
    """
    width, height = frame.size
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"crop ({x0}, {y0}, {x1}, {y1}) does not lie inside {width}x{height}")
    return to_rgb(frame.image[y0:y1, x0:x1], frame.encoding)


def to_rgb(image: NDArray[np.uint8], encoding: str) -> NDArray[np.uint8]:
    """(H, W, C) in one of the encodings of ``CHANNELS`` -> (H, W, 3) RGB; rgb8 stays a view."""
    code = _TO_RGB[encoding]
    return image if code is None else np.asarray(cv2.cvtColor(image, code), np.uint8)


def to_bgr(frame: Frame) -> NDArray[np.uint8]:
    """The whole image as (H, W, 3) BGR, as OpenCV writes it; bgr8 stays a view."""
    if frame.encoding == "bgr8":
        return frame.image
    rgb = to_rgb(frame.image, frame.encoding)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)
