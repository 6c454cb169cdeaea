"""Recordings of a camera: bags, videos, folders of images and single images, read alike."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ImageError, RecordingError
from tasksr_ros.frames import Frame

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
FALLBACK_FPS = 10.0
"""Frames per second of what does not say its own."""
FRAME_ID = "camera"
"""Coordinate frame of the images of what does not name its own."""


@dataclass(frozen=True)
class Encoded:
    """One image as the file it was stored as.

    Attributes:
        data: of a JPEG or PNG file.
        format: "jpeg", "png", or what the message says.
        stamp_ns: acquisition time in nanoseconds.
        frame_id: the camera's coordinate frame.
    """

    data: bytes
    format: str
    stamp_ns: int
    frame_id: str


@dataclass(frozen=True, eq=False)
class Pending:
    """One image of a recording, not decoded yet.

    Attributes:
        index: its number among the images of its camera, from 0; unreadable ones count.
        stamp_ns: acquisition time in nanoseconds.
        camera: which of the recording's ``cameras`` took it.
        name: path below the recording, where each image is a file of its own; else empty.
        load: decodes it, before the next one is taken; raises ImageError.
        encoded: the same, but an image that is stored as JPEG or PNG stays so.
    """

    index: int
    stamp_ns: int
    camera: str
    name: str
    load: Callable[[], Frame]
    encoded: Callable[[], Encoded | Frame]


class Recording(ABC):
    """Images of one or several cameras in the order they were taken; may be read again and again.

    ``len()`` raises TypeError where the number of frames is not known.

    Attributes:
        path: where it was opened.
        frame_id: the coordinate frame of the first image.
        cameras: the intrinsics of each camera, None where the recording has none. A bag's cameras
            are named by their image topics, any other recording's one camera by an empty name.
        duration_s: from the first image to the last, 0 where it is not known.
    """

    path: Path
    frame_id: str = FRAME_ID
    cameras: dict[str, CameraModel | None]
    duration_s: float = 0.0

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def pending(self) -> Iterator[Pending]:
        """The images in order, each to be decoded or skipped.

        Raises:
            RecordingError: while iterating, once what is readable of a damaged one was read.
        """

    def __iter__(self) -> Iterator[Frame]:
        return (item.load() for item in self.pending())

    def encoded(self) -> Iterator[Encoded | Frame]:
        """The same, but what is stored as JPEG or PNG stays so."""
        return (item.encoded() for item in self.pending())

    @property
    def topic(self) -> str:
        """The image topic of a bag of one camera, else empty."""
        return next(iter(self.cameras))

    @property
    def camera(self) -> CameraModel | None:
        """Intrinsics of the first camera, None where the recording has none."""
        return next(iter(self.cameras.values()))

    @camera.setter
    def camera(self, camera: CameraModel | None) -> None:
        self.cameras = dict.fromkeys(self.cameras, camera)


def open_recording(path: str | Path, topic: str | Sequence[str] | None = None) -> Recording:
    """Open a rosbag2 folder, .mcap or .db3 file, a video, a folder of images, or an image.

    Args:
        path: what to open. A KITTI raw drive is read with its own stamps and calibration, a
            generated drive with those of its ground truth.
        topic: of a bag's images, or several; needed where the bag has several.

    Raises:
        RecordingError: where it is unreadable or holds no images.
    """
    from tasksr_ros.bag_files import is_bag
    from tasksr_ros.bags import BagRecording
    from tasksr_ros.folders import FolderRecording

    path = Path(path)
    try:
        there = path.exists()
    except OSError as error:
        raise RecordingError(f"recording {path} cannot be read: {error.strerror}") from None
    if not there:
        raise RecordingError(f"recording {path} does not exist")
    if is_bag(path):
        return BagRecording(path, topic)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return FolderRecording(path)
    return VideoRecording(path)


def length(recording: Recording) -> int | None:
    """Number of frames, None where it is not known."""
    try:
        return len(recording)
    except TypeError:
        return None


def make_folder(path: Path) -> None:
    """Make an output folder.

    Raises:
        RecordingError: if that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"cannot write to {path}: {error.strerror}") from None


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
