"""Pictures as an mp4 file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import RecordingError
from tasksr_ros.io.recording import FALLBACK_FPS

Image = NDArray[np.uint8]
_CODECS = ("mp4v", "avc1")
_MIN_FPS, _MAX_FPS = 1.0, 60.0


class VideoWriter:
    """Writes BGR images of one size to an mp4 file; to be used in a ``with`` statement.

    Raises:
        RecordingError: where no codec of this machine can write the file.
    """

    def __init__(self, path: str | Path, fps: float, size: tuple[int, int]) -> None:
        self.size = size
        self._writer = _open_writer(Path(path), fps, size)

    def write(self, image: Image) -> None:
        """Append an image; its size must be that of the video."""
        size = (image.shape[1], image.shape[0])
        if size != self.size:
            raise RecordingError(
                f"video frames must be {self.size[0]}x{self.size[1]} px, got {size[0]}x{size[1]}"
            )
        self._writer.write(image)

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_writer(path: Path, fps: float, size: tuple[int, int]) -> cv2.VideoWriter:
    for codec in _CODECS:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
        if writer.isOpened():
            return writer
        writer.release()
    raise RecordingError(
        f"video {path} ({size[0]}x{size[1]} px, {fps:g} fps) cannot be written with any of "
        f"{', '.join(_CODECS)}"
    )


def frame_rate(stamps_ns: Sequence[int]) -> float:
    """The median rate of frames with these stamps, from 1 to 60 per second."""
    periods = np.diff(stamps_ns) / 1e9
    period = float(np.median(periods)) if len(periods) else 0.0
    return min(_MAX_FPS, max(_MIN_FPS, 1 / period)) if period > 0 else FALLBACK_FPS


def fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image in a video's size: scaled as far as it fits, in the middle of black borders.

    Args:
        image: (H, W, 3) uint8; returned as it is where it has that size.
        size: (width, height) of the video, px.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(scale * width)), max(1, round(scale * height))
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[y : y + inner[1], x : x + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA
    )
    return canvas
