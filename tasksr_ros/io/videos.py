"""Videos, as OpenCV reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from tasksr_ros.errors import ImageError, RecordingError
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import FALLBACK_FPS, Pending, Recording


class VideoRecording(Recording):
    """A video; stamps are counted from 0 by its frames per second.

    Raises:
        RecordingError: where OpenCV cannot read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cameras = {"": None}
        capture = self._capture()
        self.fps = capture.get(cv2.CAP_PROP_FPS)
        if not 0.1 <= self.fps <= 1000:
            self.fps = FALLBACK_FPS
        self._count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.duration_s = max(0, self._count) / self.fps
        readable, _ = capture.read()
        capture.release()
        if not readable:
            raise RecordingError(f"video {path} cannot be read: its first frame is unreadable")

    def __len__(self) -> int:
        if self._count <= 0:
            raise TypeError(f"the number of frames of {self.path} is not known")
        return self._count

    def pending(self) -> Iterator[Pending]:
        """The frames; their stamps are counted from 0."""
        capture = self._capture()
        try:
            index = 0
            while capture.grab():
                load = partial(self._retrieve, capture, index)
                yield Pending(index, self._stamp(index), "", "", load, load)
                index += 1
        finally:
            capture.release()

    def _stamp(self, index: int) -> int:
        return round(index * 1e9 / self.fps)

    def _retrieve(self, capture: cv2.VideoCapture, index: int) -> Frame:
        there, image = capture.retrieve()
        if not there:
            raise ImageError(f"{self.path}: frame {index} is unreadable")
        return Frame(np.asarray(image, np.uint8), self._stamp(index), self.frame_id, "bgr8")

    def _capture(self) -> cv2.VideoCapture:
        # FFmpeg would print lines of its own beside our error.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise RecordingError(
                f"{self.path} must be a bag, a video, an image or a folder, got a file that "
                f"cannot be read as a video"
            )
        return capture
