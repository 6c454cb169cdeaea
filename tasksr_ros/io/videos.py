"""Videos, as OpenCV reads them, with the time that their container gives each frame."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from tasksr_ros.errors import ImageError, RecordingError
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import FALLBACK_FPS, Pending, Recording

logger = logging.getLogger(__name__)

_ISO = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
"""Kinds of the first box of an mp4 or mov file."""
_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
    b"OggS",
    b"\0\0\x01\xba",  # MPEG program stream
    b"GIF8",
)
_MOST_BOXES = 64
"""Of an mp4, to look for pieces among."""
_TS_PACKETS = ((0, 188), (4, 192))
"""Offset and size of the packets of MPEG transport streams; each begins with ``G``."""
_STALLED_NS = 1_000_000
"""From a frame to the next whose time is not later."""
_MISSING_S = 1.0
"""By which the frames may end before the duration that the container states."""


class VideoRecording(Recording):
    """A video; stamps are its frames' presentation times, counted from the first frame.

    Where the container has none (AVI, raw streams), frames are counted by their rate, and a line
    says so.

    Raises:
        RecordingError: where OpenCV cannot read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cameras = {"": None}
        try:
            self._kind = _container(path)
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror}") from None
        capture = self._capture()
        self.fps = capture.get(cv2.CAP_PROP_FPS)
        if not 0.1 <= self.fps <= 1000:
            self.fps = FALLBACK_FPS
        count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.duration_s = count / self.fps
        self._count = count if self._kind == "iso" else 0  # the others' is an estimate
        readable, _ = capture.read()
        single = not capture.grab()
        self._timed = single or capture.get(cv2.CAP_PROP_POS_MSEC) > 0
        capture.release()
        if not readable:
            raise RecordingError(f"video {path} cannot be read: its first frame is unreadable")
        self.notes: list[str] = []
        if not (single or (self._timed and self._kind)):
            self.notes.append(
                f"{path}: its container holds no time of each frame: {self.fps:g} frames a second "
                f"are assumed"
            )

    def __len__(self) -> int:
        if self._count <= 0:
            raise TypeError(f"the number of frames of {self.path} is not known")
        return self._count

    def pending(self) -> Iterator[Pending]:
        """The frames; their stamps are counted from the first."""
        self.tell()
        capture = self._capture()
        try:
            index, stamp, stalled, end_s = 0, 0, 0, -1.0
            while capture.grab():
                if index:
                    told = self._time_ns(capture, index)
                    stalled += told <= stamp
                    stamp = told if told > stamp else stamp + _STALLED_NS
                load = partial(self._retrieve, capture, index, stamp)
                yield Pending(index, stamp, "", "", load, load)
                index += 1
                end_s = capture.get(cv2.CAP_PROP_PTS) / self.fps
            self._look_back(index, stalled, end_s)
        finally:
            capture.release()

    def _time_ns(self, capture: cv2.VideoCapture, index: int) -> int:
        """When the frame that was grabbed is shown, after the first."""
        if self._timed:  # AVI's, counted in frames, leave out those that were dropped
            return round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        return round(index * 1e9 / self.fps)

    def _look_back(self, count: int, stalled: int, end_s: float) -> None:
        """Note, once, what a video that was read to its end lacks."""
        found = []
        if stalled:
            found.append(
                f"{self.path}: the times of {stalled} of {count} frames do not rise: each is "
                f"taken as 1 ms after the frame before it"
            )
        if not self._count and end_s >= 0 and self.duration_s - end_s > _MISSING_S:
            found.append(
                f"{self.path} states {self.duration_s:.1f} s, its frames end after {end_s:.1f} s: "
                f"is its end missing?"
            )
        for note in found:
            if note not in self.notes:
                self.notes.append(note)
                logger.warning(note)

    def _retrieve(self, capture: cv2.VideoCapture, index: int, stamp: int) -> Frame:
        there, image = capture.retrieve()
        if not there:
            raise ImageError(f"{self.path}: frame {index} is unreadable")
        return Frame(np.asarray(image, np.uint8), stamp, self.frame_id, "bgr8")

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


def _container(path: Path) -> str:
    """iso: mp4 or mov; timed: any other that holds the time of each frame; else empty."""
    with path.open("rb") as file:
        head = file.read(256)
        if head[4:8] in _ISO:
            return "timed" if _is_fragmented(file) else "iso"
    packets = any(
        head[start : start + 1] == head[start + size : start + size + 1] == b"G"
        for start, size in _TS_PACKETS
    )
    return "timed" if head.startswith(_STARTS) or packets else ""


def _is_fragmented(file: BinaryIO) -> bool:
    """Whether an mp4 was written piece by piece, as browsers do: it does not count its frames."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or head[4:8] == b"moof":
            return len(head) >= 8
        size = int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        if size < 8:
            return False
        at += size
    return False
