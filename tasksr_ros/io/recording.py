"""What every recording of a camera offers, whatever it is stored as."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError, RecordingError
from tasksr_ros.io.frames import Frame

logger = logging.getLogger(__name__)
ImageT = TypeVar("ImageT")

FALLBACK_FPS = 10.0
"""Frames per second of what does not say its own."""
_TOLD = 5
"""Problems that are logged one by one."""
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
        decoding: of its images.
        notes: what the user should know of how it was read, such as guesses; `tell` logs them.
    """

    path: Path
    frame_id: str = FRAME_ID
    cameras: dict[str, CameraModel | None]
    duration_s: float = 0.0
    decoding: DecodingConfig = DecodingConfig()
    notes: Sequence[str] = ()
    _told = False

    def tell(self) -> None:
        """Log the notes, once."""
        for note in () if self._told else self.notes:
            logger.warning(note)
        self._told = True

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


class Readable(Generic[ImageT]):
    """The images of a recording that can be read: one that cannot ends nothing.

    Args:
        recording: to read.
        load: reads one of its images; raises ImageError.

    Attributes:
        count: images so far, unreadable ones included.
        read: those of them that could be read.
        problems: why images could not be read, and why a damaged recording ends before its end.
    """

    def __init__(self, recording: Recording, load: Callable[[Pending], ImageT]) -> None:
        self._recording = recording
        self._load = load
        self.count = self.read = 0
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[ImageT]:
        """The images.

        Raises:
            RecordingError: at the end, if there was none.
        """
        try:
            for item in self._recording.pending():
                self.count += 1
                try:
                    image = self._load(item)
                except ImageError as error:
                    self.problems.append(f"frame {item.index} not read: {error}")
                    continue
                self.read += 1
                yield image
        except RecordingError as error:
            self.problems.append(str(error))
        if not self.read:
            reason = f": {self.problems[0]}" if self.problems else ""
            raise RecordingError(
                f"none of the {self.count} frames of {self._recording.path} can be read{reason}"
            )

    def tell(self) -> None:
        """Log what was wrong."""
        for problem in self.problems[:_TOLD]:
            logger.warning(problem)
        if len(self.problems) > _TOLD:
            logger.warning("and %d more", len(self.problems) - _TOLD)


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
