"""Folders of images: in natural order, with the stamps and calibration in names or beside them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.io.calibration import read_calibration
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.named_images import NamedImages
from tasksr_ros.io.natural_order import decimals, natural_order
from tasksr_ros.io.orientation import UPRIGHT, orientation
from tasksr_ros.io.recording import FALLBACK_FPS, Encoded, Pending, Recording
from tasksr_ros.io.stamp_lists import read_list, stamp_list
from tasksr_ros.io.stamps_in_names import stamps_in_names
from tasksr_ros.io.stills import read_still, still_bytes, still_format

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_UNREAD = (
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".jfif", ".jpe", ".gif"),
    *(".dng", ".cr2", ".nef", ".arw", ".raw", ".exr", ".hdr"),
)
"""Kinds of images that are not read: in a folder of others they are told of."""
_NO_IMAGES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".bag", ".mcap", ".db3")
"""Kinds of recordings that are read by themselves, not as part of a folder of images."""
_KITTI_FOLDERS = ("data", "data_rect", "data_rgb")
"""Of raw drives, and of KITTI-360's; their stamps stand above them."""
_IMAGE_FOLDERS = ("", "data", "images", "image_02/data")


class FolderRecording(Recording):
    """A folder of images, or one image; by the stamps in their names, else in natural order.

    Images are turned as EXIF says.

    Args:
        path: the folder or the image.
        files: only these images below the folder, in this order; all of them where None.

    Raises:
        RecordingError: where the folder holds no images, or its stamps do not fit them.
    """

    def __init__(self, path: Path, files: Sequence[Path] | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        if files is not None:
            self.files = list(files)
        elif path.is_file():
            self.files = [path]
        else:
            self.files = in_order(_image_files(path))
            self.notes += _left_out(self.files[0].parent)
        self.stamps = []
        for folder, group in itertools.groupby(self.files, key=lambda file: file.parent):
            stamps, notes = _stamps_of(list(group))
            self.stamps += stamps
            self.notes += [f"{folder}: {note}" for note in notes if note not in self.notes]
        self.duration_s = (self.stamps[-1] - self.stamps[0]) / 1e9
        self.cameras = {"": _camera(self.files[0].parent)}

    def __len__(self) -> int:
        return len(self.files)

    def pending(self) -> Iterator[Pending]:
        """The files, read when they are decoded."""
        self.tell()
        root = self.path if self.path.is_dir() else self.path.parent
        for index, (file, stamp) in enumerate(zip(self.files, self.stamps, strict=True)):
            load, encoded = partial(self._load, file, stamp), partial(self._encoded, file, stamp)
            yield Pending(index, stamp, "", file.relative_to(root).as_posix(), load, encoded)

    def _load(self, file: Path, stamp: int) -> Frame:
        frame = read_still(file, self.decoding)
        return replace(frame, stamp_ns=stamp, frame_id=self.frame_id)

    def _encoded(self, file: Path, stamp: int) -> Encoded | Frame:
        """The file, unless it is to be turned: nobody turns what comes from a camera."""
        encoded = Encoded(still_bytes(file), still_format(file), stamp, self.frame_id)
        upright = encoded.format in ("jpeg", "png") and orientation(encoded.data) == UPRIGHT
        return encoded if upright else self._load(file, stamp)


def _image_files(path: Path) -> list[Path]:
    for name in _IMAGE_FOLDERS:
        folder = path / name
        if folder.is_dir():
            files = [f for f in folder.iterdir() if _is_image(f)]
            if files:
                return files
    below = sorted({str(f.parent) for f in path.rglob("*") if _is_image(f)})
    hint = f"; there are images in {', '.join(below[:5])}" if below else ""
    raise RecordingError(
        f"folder {path} must hold a bag or images ({', '.join(IMAGE_SUFFIXES)}){hint}"
    )


def in_order(files: Iterable[Path]) -> list[Path]:
    """Files of one folder: by the stamps or decimals of their names, else by whole numbers."""
    files = list(files)
    stems = [file.stem for file in files]
    named = stamps_in_names(stems)
    values = decimals(stems)[0] if named is None else named.stamps
    if values is None:
        return sorted(files, key=natural_order)
    return [file for _, file in sorted(zip(values, files, strict=True))]


def _is_image(path: Path) -> bool:
    """By its name; what macOS leaves beside a file begins with a dot."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _left_out(folder: Path) -> list[str]:
    """Lines about images of other kinds, and about other recordings, where there are some."""
    shown = [f for f in folder.iterdir() if f.name[0] != "."]
    notes = []
    for kinds, what, why in (
        (_UNREAD, "images", "is not read"),
        (_NO_IMAGES, "recordings", "is read if it is named"),
    ):
        found = [f.suffix.lower() for f in shown if f.suffix.lower() in kinds]
        if found:
            listed = ", ".join(sorted(set(found)))
            notes.append(f"{folder}: {len(found)} {what} are left out: {listed} {why}")
    return notes


def _stamps_of(files: Sequence[Path]) -> tuple[list[int], list[str]]:
    """Stamps of the images of a folder, ns, and what a user should know of them."""
    stamps, notes = _stamps(files)
    if stamps is None:
        invented = (
            f"no stamps in the images' names or beside them: {FALLBACK_FPS:g} frames a second are "
            f"assumed"
        )
        stamps = [round(i * 1e9 / FALLBACK_FPS) for i in range(len(files))]
        order = decimals([file.stem for file in files])[1]
        lines = [note for note in (*notes, order, invented) if note]
        return stamps, lines if len(files) > 1 else []
    stalled = sum(later <= stamp for stamp, later in itertools.pairwise(stamps))
    told = f"the stamps of {stalled} of {len(files)} images do not rise: they are taken as they are"
    return stamps, [*notes, told] if stalled else notes


def _stamps(files: Sequence[Path]) -> tuple[list[int] | None, list[str]]:
    """Stamps in ns: of KITTI, of the ground truth, in names or in a list beside; and notes."""
    folder = files[0].parent
    images = in_order({*files, *(f for f in folder.iterdir() if _is_image(f))})
    stamps, notes = _kitti_stamps(images), list[str]()
    if stamps is None:
        truth = _ground_truth_stamps(folder)
        if all(f.name in truth for f in files):
            return [truth[f.name] for f in files], []
        named = stamps_in_names([f.stem for f in files])
        if named is not None:
            return named.stamps, [named.note] if named.note else []
        stamps, notes = stamp_list(images)
    if stamps is None:
        return None, notes
    by_image = dict(zip(images, stamps, strict=True))
    return [by_image[f] for f in files], notes


def _kitti_stamps(images: Sequence[Path]) -> list[int] | None:
    """Those of a raw drive; line n belongs to image n: some drives lack images in between."""
    folder = images[0].parent
    for path in (folder.parent / "timestamps.txt", folder.parent.parent / "oxts/timestamps.txt"):
        if folder.name in _KITTI_FOLDERS and path.is_file():
            try:
                return read_list(path, images)[0]
            except (OSError, ValueError) as error:
                raise RecordingError(f"{path} must hold the images' stamps: {error}") from error
    return None


def _ground_truth(folder: Path) -> Path | None:
    for place in (folder, folder.parent):
        if (place / "ground_truth.json").is_file():
            return place / "ground_truth.json"
    return None


def _ground_truth_stamps(folder: Path) -> dict[str, int]:
    """Stamps by file name that the ground truth beside the images states for this very folder."""
    path = _ground_truth(folder)
    if path is None:
        return {}
    try:
        images = json.loads(path.read_bytes())["images"]
        listed = [image for image in images if image.get("stamp_ns") is not None]
        stamps = [_whole(image["stamp_ns"]) for image in listed]
        names = [str(image["file_name"]) for image in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RecordingError(f"{path} must be COCO ground truth, got {error!r}") from error
    match = NamedImages(path, names).in_folder(folder)
    if not (match.whole or match.common):  # of a folder of another name
        return {}
    return {name: stamps[position] for name, position in match.positions.items()}


def _whole(value: Any) -> int:
    """A number of nanoseconds; seconds with a fraction are none."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"stamp_ns must be whole nanoseconds, not {value!r}")
    return int(value)


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
