"""Recordings of a camera: bags, videos, folders of images and single images, read alike."""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from tasksr_ros.calibration import read_calibration
from tasksr_ros.camera import CameraModel
from tasksr_ros.decoding import decode_compressed
from tasksr_ros.errors import ConfigError, ImageError, RecordingError
from tasksr_ros.frames import Frame

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
FALLBACK_FPS = 10.0
"""Frames per second of what does not say its own."""
_FRAME_ID = "camera"
_IMAGE_FOLDERS = ("", "data", "images", "image_02/data")


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


class Recording(ABC):
    """Frames in the order they were taken; may be iterated again and again.

    ``len()`` raises TypeError where the number of frames is not known.

    Attributes:
        path: where it was opened.
        topic: of the images in a bag, else empty.
        frame_id: the camera's coordinate frame.
        camera: intrinsics, None where the recording has none.
    """

    path: Path
    topic: str = ""
    frame_id: str = _FRAME_ID
    camera: CameraModel | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    @abstractmethod
    def encoded(self) -> Iterator[Encoded | Frame]:
        """The same, but what is stored as JPEG or PNG stays so."""


def open_recording(path: str | Path, topic: str | None = None) -> Recording:
    """Open a rosbag2 folder, .mcap or .db3 file, a video, a folder of images, or an image.

    Args:
        path: what to open. A KITTI raw drive is read with its own stamps and calibration, a
            generated drive with those of its ground truth.
        topic: of a bag's images; needed where it has several.

    Raises:
        RecordingError: where it is unreadable or holds no images.
    """
    from tasksr_ros.bags import BagRecording

    path = Path(path)
    try:
        there = path.exists()
    except OSError as error:
        raise RecordingError(f"recording {path} cannot be read: {error.strerror}") from None
    if not there:
        raise RecordingError(f"recording {path} does not exist")
    if path.is_dir():
        bag = (
            (path / "metadata.yaml").exists() or any(path.glob("*.mcap")) or any(path.glob("*.db3"))
        )
        return BagRecording(path, topic) if bag else FolderRecording(path)
    suffix = path.suffix.lower()
    if suffix in (".mcap", ".db3"):
        return BagRecording(path, topic)
    if suffix in IMAGE_SUFFIXES:
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
        capture = self._capture()
        self.fps = capture.get(cv2.CAP_PROP_FPS)
        if not 0.1 <= self.fps <= 1000:
            self.fps = FALLBACK_FPS
        self._count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        readable, _ = capture.read()
        capture.release()
        if not readable:
            raise RecordingError(f"video {path} cannot be read: its first frame is unreadable")

    def __len__(self) -> int:
        if self._count <= 0:
            raise TypeError(f"the number of frames of {self.path} is not known")
        return self._count

    def __iter__(self) -> Iterator[Frame]:
        capture = self._capture()
        try:
            index = 0
            while True:
                there, image = capture.read()
                if not there:
                    return
                stamp = round(index * 1e9 / self.fps)
                yield Frame(np.asarray(image, np.uint8), stamp, self.frame_id, "bgr8")
                index += 1
        finally:
            capture.release()

    def encoded(self) -> Iterator[Frame]:
        """The frames: a video's own coding is not that of single images."""
        return iter(self)

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


class FolderRecording(Recording):
    """A folder of images sorted by name, or one image.

    Raises:
        RecordingError: where the folder holds no images, or its stamps do not fit them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = [path] if path.is_file() else _image_files(path)
        folder = self.files[0].parent
        self.stamps = _stamps(self.files)
        self.camera = _camera(folder)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        return (self._decode(item) for item in self._read())

    def encoded(self) -> Iterator[Encoded | Frame]:
        """JPEG and PNG files as they are, others as frames."""
        for item in self._read():
            yield item[1] if item[1].format in ("jpeg", "png") else self._decode(item)

    def _read(self) -> Iterator[tuple[Path, Encoded]]:
        for file, stamp in zip(self.files, self.stamps, strict=True):
            suffix = file.suffix.lower()[1:]
            kind = "jpeg" if suffix == "jpg" else suffix
            try:
                yield file, Encoded(file.read_bytes(), kind, stamp, self.frame_id)
            except OSError as error:
                raise RecordingError(f"image {file} cannot be read: {error}") from error

    def _decode(self, item: tuple[Path, Encoded]) -> Frame:
        file, encoded = item
        try:
            pixels = decode_compressed(encoded.format, encoded.data)
        except ImageError as error:
            raise ImageError(f"{file}: {error}") from error
        return Frame(pixels, encoded.stamp_ns, encoded.frame_id, "bgr8")


def _image_files(path: Path) -> list[Path]:
    for name in _IMAGE_FOLDERS:
        folder = path / name
        if folder.is_dir():
            files = sorted(f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)
            if files:
                return files
    below = sorted({str(f.parent) for f in path.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES})
    hint = f"; there are images in {', '.join(below[:5])}" if below else ""
    raise RecordingError(
        f"folder {path} must hold a bag or images ({', '.join(IMAGE_SUFFIXES)}){hint}"
    )


def _stamps(files: Sequence[Path]) -> list[int]:
    """Stamps in nanoseconds: from KITTI's, the ground truth's or nuScenes' names, else counted."""
    folder = files[0].parent
    for file in (folder.parent / "timestamps.txt", folder.parent.parent / "oxts/timestamps.txt"):
        if folder.name == "data" and file.is_file():
            return _kitti_stamps(file, files)
    truth = _ground_truth_stamps(folder)
    if all(f.name in truth for f in files):
        return [truth[f.name] for f in files]
    micros = [re.search(r"__(\d{16})$", f.stem) for f in files]
    found = [int(m.group(1)) * 1000 for m in micros if m]
    if len(found) == len(files):
        return found
    return [round(i * 1e9 / FALLBACK_FPS) for i in range(len(files))]


def _kitti_stamps(path: Path, files: Sequence[Path]) -> list[int]:
    """KITTI's line n belongs to image n; some drives lack images in between."""
    try:
        stamps = [_parse_time(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path} must hold dates and times: {error}") from error
    names = [int(f.stem) if f.stem.isdecimal() else k for k, f in enumerate(files)]
    if max(names) >= len(stamps):
        raise RecordingError(
            f"{path} must have a stamp for image {max(names)} of {files[0].parent}, "
            f"got {len(stamps)} stamps"
        )
    return [stamps[k] for k in names]


def _parse_time(text: str) -> int:
    """Nanoseconds of "2011-09-26 13:04:32.349659964", taken as UTC."""
    whole, _, fraction = text.strip().partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    nanoseconds = int(fraction[:9].ljust(9, "0")) if fraction else 0
    return int(moment.timestamp()) * 1_000_000_000 + nanoseconds


def _ground_truth(folder: Path) -> Path | None:
    for place in (folder, folder.parent):
        if (place / "ground_truth.json").is_file():
            return place / "ground_truth.json"
    return None


def _ground_truth_stamps(folder: Path) -> dict[str, int]:
    path = _ground_truth(folder)
    if path is None:
        return {}
    try:
        images = json.loads(path.read_text())["images"]
        return {Path(i["file_name"]).name: int(i["stamp_ns"]) for i in images if "stamp_ns" in i}
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise RecordingError(f"{path} must be COCO ground truth, got {error!r}") from error


def _camera(folder: Path) -> CameraModel | None:
    """The calibration beside the images, if there is one that can be read."""
    truth = _ground_truth(folder)
    if truth is not None:
        try:
            return read_calibration(truth)
        except ConfigError:
            return None
    match = re.fullmatch(r"image_(\d\d)", folder.parent.name)
    if match is None:
        return None
    for place in (folder.parent.parent, folder.parent.parent.parent):
        if (place / "calib_cam_to_cam.txt").is_file():
            return read_calibration(place / "calib_cam_to_cam.txt", int(match.group(1)))
    return None
