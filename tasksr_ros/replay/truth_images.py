"""The images of a ground truth, and which frame of a recording each of them is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tasksr_ros.errors import RecordingError
from tasksr_ros.io.folders import IMAGE_SUFFIXES
from tasksr_ros.replay.outcome import Outcome

ImageId: TypeAlias = "int | str"
MATCHED_BY = ("file_name", "stamp", "frame")


@dataclass(frozen=True, eq=False)
class TruthImages:
    """What a COCO ground truth says of its images.

    Attributes:
        path: of the file.
        sha256: of the file.
        images: their COCO entries.
        categories: id by name.
    """

    path: Path
    sha256: str
    images: list[dict[str, Any]]
    categories: dict[str, int]

    @classmethod
    def read(cls, path: Path) -> TruthImages:
        """Read the images and categories of a COCO file.

        Raises:
            RecordingError: if it is none, or lists no images.
        """
        try:
            raw = path.read_bytes()
            data = json.loads(raw)
            images = [dict(image) for image in data["images"]]
            categories = {str(c["name"]): int(c["id"]) for c in data.get("categories", ())}
            if not images or any(not isinstance(image["id"], int | str) for image in images):
                raise ValueError("no images with ids")
        except OSError as error:
            raise RecordingError(f"ground truth {path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordingError(
                f"ground truth {path} must be COCO JSON with images, got {error!r}"
            ) from None
        return cls(path, hashlib.sha256(raw).hexdigest(), images, categories)

    def files(self, folder: Path) -> dict[Path, ImageId]:
        """Which images lie in ``folder``, sorted: by their file_name or the last parts of it.

        Raises:
            RecordingError: if none does.
        """
        found = {}
        for image in self.images:
            file = _below(folder, str(image.get("file_name", "")))
            if file is not None:
                found[file] = image["id"]
        if not found:
            raise RecordingError(
                f"none of the {len(self.images)} images of {self.path} is in {folder}: expected "
                f"files such as {self.images[0].get('file_name')!r}"
            )
        return dict(sorted(found.items()))


def _below(folder: Path, file_name: str) -> Path | None:
    parts = Path(file_name.replace("\\", "/")).parts  # as Windows writes them, too
    for skipped in range(len(parts)):
        file = folder.joinpath(*parts[skipped:])
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file():
            return file
    return None


@dataclass(frozen=True, eq=False)
class ImageIds:
    """Image id of each frame.

    Attributes:
        ids: of the frames, in their order; distinct.
        known: whether the ground truth has that id.
        matched_by: one of ``MATCHED_BY``, "none" without ground truth.
        notes: what a user should know.
    """

    ids: list[ImageId]
    known: list[bool]
    matched_by: str = "none"
    notes: tuple[str, ...] = ()


def number(outcomes: Sequence[Outcome], found: Mapping[int, ImageId], first: int) -> list[ImageId]:
    """Ids of all frames: those found by position, for the others numbers from ``first`` on."""
    free = iter(range(first, first + len(outcomes)))
    return [found[k] if k in found else next(free) for k in range(len(outcomes))]


def image_ids(
    outcomes: Sequence[Outcome], truth: TruthImages | None, folder: Path, tolerance_ms: float
) -> ImageIds:
    """Find each frame's image in the ground truth.

    Files are found by name. Other frames are found by stamp where all images of the ground truth
    have one: the nearest frame of their camera within the tolerance; else by their number, where
    all images have that and are of one sequence. What has no image gets an id of its own.

    Args:
        outcomes: the frames.
        truth: the ground truth; without one, frames are numbered from 1.
        folder: of the recording.
        tolerance_ms: most that stamps may differ.

    Raises:
        RecordingError: if no frame is found, or the ground truth cannot be matched.
    """
    if truth is None:
        return ImageIds(list(range(1, len(outcomes) + 1)), [False] * len(outcomes))
    notes: list[str] = []
    if outcomes and outcomes[0].name:
        root = folder if folder.is_dir() else folder.parent
        names = {file.relative_to(root).as_posix(): i for file, i in truth.files(root).items()}
        found = {k: names[o.name] for k, o in enumerate(outcomes) if o.name in names}
        matched_by = "file_name"
    elif all("stamp_ns" in image for image in truth.images):
        found = _by_stamp(outcomes, truth, tolerance_ms, notes)
        matched_by = "stamp"
    else:
        found = _by_number(outcomes, truth)
        matched_by = "frame"
    largest = max((i["id"] for i in truth.images if isinstance(i["id"], int)), default=0)
    ids = number(outcomes, found, largest + 1)
    return ImageIds(ids, [k in found for k in range(len(outcomes))], matched_by, tuple(notes))


def _by_stamp(
    outcomes: Sequence[Outcome], truth: TruthImages, tolerance_ms: float, notes: list[str]
) -> dict[int, ImageId]:
    found: dict[int, ImageId] = {}
    lost = 0
    nearest = float("inf")
    cameras = list(dict.fromkeys(o.camera for o in outcomes))
    for camera in cameras:
        positions = np.array([k for k, o in enumerate(outcomes) if o.camera == camera])
        stamps = np.array([outcomes[k].stamp_ns for k in positions], np.int64)
        order = np.argsort(stamps, kind="stable")
        positions, stamps = positions[order], stamps[order]
        best: dict[int, float] = {}
        for image in _images_of(truth, camera, len(cameras)):
            place, distance = _nearest(stamps, int(image["stamp_ns"]))
            nearest = min(nearest, distance)
            inside = stamps[0] <= int(image["stamp_ns"]) <= stamps[-1]
            if distance > tolerance_ms:
                lost += bool(inside)
                continue
            k = int(positions[place])
            if distance < best.get(k, float("inf")):
                found[k], best[k] = image["id"], distance
    if not found:
        raise RecordingError(_no_match(outcomes, truth, tolerance_ms, nearest))
    if lost:
        notes.append(
            f"{lost} images of {truth.path} have no frame within {tolerance_ms:g} ms although "
            f"they lie between the first and the last frame"
        )
    return found


def _nearest(stamps: np.ndarray[Any, np.dtype[np.int64]], stamp: int) -> tuple[int, float]:
    """Position of the nearest of rising stamps, and its distance in ms."""
    right = int(np.searchsorted(stamps, stamp))
    near = [k for k in (right - 1, right) if 0 <= k < len(stamps)]
    place = min(near, key=lambda k: abs(int(stamps[k]) - stamp))
    return place, abs(int(stamps[place]) - stamp) / 1e6


def _no_match(
    outcomes: Sequence[Outcome], truth: TruthImages, tolerance_ms: float, nearest: float
) -> str:
    frames = [o.stamp_ns for o in outcomes]
    images = [int(i["stamp_ns"]) for i in truth.images]
    return (
        f"no stamp of the {len(frames)} frames ({min(frames)} to {max(frames)} ns) is that of one "
        f"of the {len(images)} images of {truth.path} ({min(images)} to {max(images)} ns) within "
        f"{tolerance_ms:g} ms; the nearest differ by {nearest:g} ms (--tolerance, in ms)"
    )


def _images_of(truth: TruthImages, camera: str, num_cameras: int) -> list[dict[str, Any]]:
    """The images of a camera: those that name its topic or a part of it; of one camera, else all.

    Raises:
        RecordingError: if there are several cameras and this one is not among the ground truth's.
    """
    names = [name.casefold() for name in (camera, *camera.split("/")) if name]
    named = [i for i in truth.images if str(i.get("camera", "")).casefold() in names]
    if named or num_cameras == 1:
        return named or truth.images
    known = sorted({str(i.get("camera", "")) for i in truth.images})
    raise RecordingError(
        f"{truth.path} must name the camera of {camera} for its images, got {', '.join(known)}"
    )


def _by_number(outcomes: Sequence[Outcome], truth: TruthImages) -> dict[int, ImageId]:
    sequences = {str(image.get("sequence", "")) for image in truth.images}
    cameras = {outcome.camera for outcome in outcomes}
    if any("frame" not in i for i in truth.images) or len(sequences) > 1 or len(cameras) > 1:
        raise RecordingError(
            f"{truth.path} must have a stamp_ns for every image, or be of one sequence and one "
            f"camera and have a frame for every image, to be matched with a bag or a video"
        )
    place = {outcome.index: k for k, outcome in enumerate(outcomes)}
    frames = {int(image["frame"]): image["id"] for image in truth.images}
    found = {place[index]: image_id for index, image_id in frames.items() if index in place}
    if not found:
        raise RecordingError(
            f"none of the frames {min(place, default=0)} to {max(place, default=0)} is one of "
            f"{truth.path}, which has {min(frames)} to {max(frames)}"
        )
    return found
