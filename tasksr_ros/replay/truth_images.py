"""Which image of a ground truth each frame of a recording is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import RecordingError
from tasksr_ros.evaluation.ground_truth import stated_size
from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_ros.replay.outcome import Outcome
from tasksr_ros.replay.truth_cameras import cameras_of
from tasksr_ros.replay.truth_file import TruthImages

MATCHED_BY = ("file_name", "stamp", "frame")
Images: TypeAlias = list[dict[str, Any]]


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
    outcomes: Sequence[Outcome], truth: TruthImages | None, path: Path, tolerance_ms: float
) -> ImageIds:
    """Find each frame's image in the ground truth; each image is that of one frame.

    Files are found by name. Other frames are found by stamp where all images of the ground truth
    have one: the nearest frame of their camera within the tolerance; else by their number, where
    all images have that. Of several sequences, the one that the recording is named by counts.
    What has no image gets an id of its own.

    Args:
        outcomes: the frames.
        truth: the ground truth; without one, frames are numbered from 1.
        path: of the recording.
        tolerance_ms: most that stamps may differ.

    Raises:
        RecordingError: if no frame is found, it is not certain which image a frame is, or a
            frame has another size than its image.
    """
    if truth is None:
        return ImageIds(list(range(1, len(outcomes) + 1)), [False] * len(outcomes))
    notes = list(truth.notes)
    images = _of_sequence(truth.images, path)
    if outcomes and outcomes[0].name:
        found = _by_name(outcomes, truth, path, notes)
        matched_by = "file_name"
    elif _have_stamps(images):
        found = _by_stamp(outcomes, images, truth.path, tolerance_ms, notes)
        matched_by = "stamp"
    else:
        found = _by_number(outcomes, images, truth.path, notes)
        matched_by = "frame"
    _check_sizes({k: outcomes[k].size for k in found}, found, truth)
    ids = number(outcomes, found, truth.largest_id() + 1)
    return ImageIds(ids, [k in found for k in range(len(outcomes))], matched_by, tuple(notes))


def check_first(
    sizes: Mapping[str, tuple[int, int]], truth: TruthImages, path: Path, *, files: bool
) -> None:
    """See that frames of these sizes may be the ground truth's, before they are looked at.

    Args:
        sizes: of the first frame of each camera, px; ``(0, 0)`` where it is not known.
        truth: the ground truth.
        path: of the recording.
        files: whether each frame is a file of its own, known by its name.

    Raises:
        RecordingError: if a camera has no images in it, or all of them state another size.
    """
    images = _of_sequence(truth.images, path)
    of_camera = dict.fromkeys(sizes, images)
    if not files:
        if not _have_stamps(images):
            _check_numbered(images, list(sizes), truth.path)
        names = sorted({_camera_of(image) for image in images})
        for topic, name in cameras_of(list(sizes), names, truth.path).items():
            of_camera[topic] = [image for image in images if _camera_of(image) == name]
    for camera, mine in of_camera.items():
        size, stated = sizes[camera], {stated_size(image) for image in mine}
        if min(size) > 0 and size not in stated and None not in stated:
            raise RecordingError(_other_size(mine[0], size, truth.path, len(mine)))


def _have_stamps(images: Images) -> bool:
    return all(image.get("stamp_ns") is not None for image in images)


def _camera_of(image: Mapping[str, Any]) -> str:
    return str(image.get("camera") or "")


def _check_sizes(
    sizes: Mapping[int, tuple[int, int]], found: Mapping[int, ImageId], truth: TruthImages
) -> None:
    images = {image["id"]: image for image in truth.images}
    stated = {k: stated_size(images[image_id]) for k, image_id in found.items()}
    wrong = [k for k, s in stated.items() if s is not None and s != sizes[k] and min(sizes[k]) > 0]
    if wrong:
        image = images[found[wrong[0]]]
        raise RecordingError(_other_size(image, sizes[wrong[0]], truth.path, len(wrong)))


def _other_size(image: Mapping[str, Any], size: tuple[int, int], path: Path, differ: int) -> str:
    stated = stated_size(image) or (0, 0)
    return (
        f"frames must have the size of their images in {path}, whose boxes are in px of these: "
        f"got {size[0]}x{size[1]} px for {_told(image)} of {stated[0]}x{stated[1]} px "
        f"({differ} images differ)"
    )


def _told(image: Mapping[str, Any]) -> str:
    """An image for a message: its id, and what else names it."""
    more = [str(image[key]) for key in ("camera", "sequence", "file_name") if image.get(key)]
    return f"image {image['id']!r}" + (f" ({', '.join(more)})" if more else "")


def _of_sequence(images: Images, path: Path) -> Images:
    """The images of the one sequence that the recording is named by, else all."""
    sequences = {str(image.get("sequence") or "") for image in images}
    names = {path.name, path.stem, path.resolve().name, path.resolve().parent.name} & sequences
    if len(sequences) == 1 or len(names) != 1:
        return images
    return [image for image in images if str(image.get("sequence") or "") in names]


def _by_name(
    outcomes: Sequence[Outcome], truth: TruthImages, path: Path, notes: list[str]
) -> dict[int, ImageId]:
    root = path if path.is_dir() else path.parent
    found: dict[int, ImageId] = {}
    places = {o.name: k for k, o in enumerate(outcomes)}
    for match in truth.folders(root):
        folder = match.folder.relative_to(root)
        mine = {
            places[name]: truth.images[position]["id"]
            for file, position in match.positions.items()
            if (name := (folder / file).as_posix()) in places
        }
        found |= mine
        if mine and not match.whole:
            notes.append(
                f"the images in {match.folder} are taken for those of {match.named} in "
                f"{truth.path}, whose names they have: {match.common} of the folders' names agree"
            )
    return found


def _by_stamp(
    outcomes: Sequence[Outcome], images: Images, path: Path, tolerance_ms: float, notes: list[str]
) -> dict[int, ImageId]:
    images = [{**image, "stamp_ns": _whole(image, "stamp_ns", path)} for image in images]
    found: dict[int, ImageId] = {}
    lost = 0
    nearest = float("inf")
    topics = list(dict.fromkeys(o.camera for o in outcomes))
    names = sorted({_camera_of(image) for image in images})
    for topic, name in cameras_of(topics, names, path, notes).items():
        of_camera = [image for image in images if _camera_of(image) == name]
        frames = _Frames(outcomes, topic, tolerance_ms)
        distances = [frames.take(image, path) for image in of_camera]
        nearest = min(nearest, *distances)
        if not frames.taken and len(topics) > 1:
            notes.append(
                f"no frame of {topic} is an image of {path}: the stamps of the nearest differ by "
                f"{min(distances):g} ms (--tolerance, in ms)"
            )
        found |= {k: image["id"] for k, image in frames.taken.items()}
        lost += frames.lost
    if not found:
        raise RecordingError(_no_match(outcomes, images, path, tolerance_ms, nearest))
    if lost:
        notes.append(
            f"{lost} images of {path} have no frame within {tolerance_ms:g} ms although "
            f"they lie between the first and the last frame"
        )
    return found


class _Frames:
    """The frames of one camera, each to be taken by the image whose stamp is nearest.

    Attributes:
        taken: image by the frame's position among the outcomes.
        lost: number of images without a frame, between the first and the last frame.
    """

    def __init__(self, outcomes: Sequence[Outcome], camera: str, tolerance_ms: float) -> None:
        positions = np.array([k for k, o in enumerate(outcomes) if o.camera == camera])
        stamps = np.array([outcomes[k].stamp_ns for k in positions], np.int64)
        order = np.argsort(stamps, kind="stable")
        self._positions, self._stamps = positions[order], stamps[order]
        self._tolerance_ms = tolerance_ms
        self.taken: dict[int, dict[str, Any]] = {}
        self.lost = 0

    def take(self, image: dict[str, Any], path: Path) -> float:
        """Take the nearest frame for an image; returns their distance in ms.

        Raises:
            RecordingError: if an image of another course of time is as likely.
        """
        stamp = image["stamp_ns"]
        place, distance = _nearest(self._stamps, stamp)
        if distance > self._tolerance_ms:
            self.lost += bool(self._stamps[0] <= stamp <= self._stamps[-1])
            return distance
        k = int(self._positions[place])
        other = self.taken.get(k)
        if other is not None:
            if other["stamp_ns"] == stamp or _course(other) != _course(image):
                raise RecordingError(
                    f"the frame at {self._stamps[place]} ns may be {_told(other)} or "
                    f"{_told(image)} of {path}: expected one of that stamp (name the camera of "
                    f"each image, or the recording by its sequence)"
                )
            if abs(other["stamp_ns"] - self._stamps[place]) / 1e6 <= distance:
                return distance
        self.taken[k] = image
        return distance


def _course(image: Mapping[str, Any]) -> tuple[str, str]:
    """What an image's stamps follow each other in: its sequence and its folder."""
    folder = str(image.get("file_name") or "").replace("\\", "/").rpartition("/")[0]
    return str(image.get("sequence") or ""), folder


def _nearest(stamps: NDArray[np.int64], stamp: int) -> tuple[int, float]:
    """Position of the nearest of rising stamps, and its distance in ms."""
    right = int(np.searchsorted(stamps, stamp))
    near = [k for k in (right - 1, right) if 0 <= k < len(stamps)]
    place = min(near, key=lambda k: abs(int(stamps[k]) - stamp))
    return place, abs(int(stamps[place]) - stamp) / 1e6


def _no_match(
    outcomes: Sequence[Outcome], images: Images, path: Path, tolerance_ms: float, nearest: float
) -> str:
    frames = [o.stamp_ns for o in outcomes]
    stamps = [image["stamp_ns"] for image in images]
    return (
        f"no stamp of the {len(frames)} frames ({min(frames)} to {max(frames)} ns) is that of one "
        f"of the {len(stamps)} images of {path} ({min(stamps)} to {max(stamps)} ns) within "
        f"{tolerance_ms:g} ms; the nearest differ by {nearest:g} ms (--tolerance, in ms)"
    )


def _whole(image: Mapping[str, Any], key: str, path: Path) -> int:
    value = checked_id(image[key])
    if not isinstance(value, int):
        raise RecordingError(
            f"{path}: {key} of {_told(image)} must be a whole number, got {image[key]!r:.60}"
        )
    return value


def _check_numbered(images: Images, topics: Sequence[str], path: Path) -> None:
    sequences = {str(image.get("sequence") or "") for image in images}
    if any(i.get("frame") is None for i in images) or len(sequences) > 1 or len(topics) > 1:
        raise RecordingError(
            f"{path} must have a stamp_ns for every image, or be of one sequence and one "
            f"camera and have a frame for every image, to be matched with a bag or a video"
        )


def _by_number(
    outcomes: Sequence[Outcome], images: Images, path: Path, notes: list[str]
) -> dict[int, ImageId]:
    topics = {outcome.camera for outcome in outcomes}
    _check_numbered(images, list(topics), path)
    names = sorted({_camera_of(image) for image in images})
    name = cameras_of(list(topics), names, path, notes)[next(iter(topics))]
    frames: dict[int, dict[str, Any]] = {}
    for image in images:
        if _camera_of(image) != name:
            continue
        other = frames.setdefault(_whole(image, "frame", path), image)
        if other is not image:
            raise RecordingError(
                f"frame {image['frame']} may be {_told(other)} or {_told(image)} of {path}: "
                f"expected one of that number"
            )
    place = {outcome.index: k for k, outcome in enumerate(outcomes)}
    found = {place[index]: i["id"] for index, i in frames.items() if index in place}
    if not found:
        raise RecordingError(
            f"none of the frames {min(place, default=0)} to {max(place, default=0)} is one of "
            f"{path}, which has {min(frames)} to {max(frames)}"
        )
    if min(frames) > 0 and max(frames) == max(place) + 1:
        notes.append(
            f"the frames of {path} end with {max(frames)}, those of the recording, counted from 0, "
            f"with {max(place)}: are they counted from 1?"
        )
    return found
