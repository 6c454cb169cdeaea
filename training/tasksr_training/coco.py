"""Image sets in COCO form, decoded once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.errors import ImageError
from tasksr_ros.evaluation.ground_truth import annotation_file
from tasksr_ros.evaluation.ids import ImageId
from tasksr_ros.io.frames import crop_rgb
from tasksr_ros.io.stills import read_still
from tasksr_training.annotations import (
    STOP,
    WARN,
    ImageEntry,
    Problem,
    inside,
    read_annotations,
    stop,
    summary,
)
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_files import IMAGE_SUFFIXES, check_whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image and the pedestrians in it.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        boxes: (M, 4) float32, corners x0, y0, x1, y1 in image px.
        ignore: (M,) bool; whether there is a pedestrian in such a box is left open.
        image_id: the id in the annotation file, or the position in a folder.
        name: file name, for messages.
        sequence: name of the recording it belongs to, if any.
        frame: its number in that recording, if any.
        false_positives: (K, 5) float32, corners and score of a detector's errors, if known.
        labelled_from: height from which on people are labelled, px; lower ones may lack a label.
        neighbours: other frames of the recording, of the same shape; None where there is none.
            Empty: they are not known.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    image_id: ImageId
    name: str
    sequence: str = ""
    frame: int | None = None
    false_positives: NDArray[np.float32] | None = None
    labelled_from: float = 0.0
    neighbours: tuple[NDArray[np.uint8] | None, ...] = ()


@dataclass(frozen=True)
class ReadConfig:
    """What becomes of bad images and of people who are hardly visible.

    Attributes:
        on_bad_image: for images that are missing, corrupt or not of the size that the annotation
            file says: ``stop`` with a list of them, or ``skip`` them and say so.
        min_vis_ratio: pedestrians with a smaller ``vis_ratio`` are ignored.
        far_height: ``labelled_from`` of images with ``dontcare_known`` false, px.
    """

    on_bad_image: Literal["stop", "skip"] = "stop"
    min_vis_ratio: float = 0.0
    far_height: float = 0.0


READ = ReadConfig()
DARK = 1 << 5
"""An eighth of white: what no sample of a 16-bit image reaches is dark, or has fewer bits."""

Keep = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Gives the array to use in place of a decoded image, as `ImageStore.keep`."""


def in_memory(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image itself."""
    return image


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB.

    Raises:
        TrainingDataError: when the file is missing, is no image, or is cut off.
    """
    return read_any_image(path)[0]


def read_any_image(path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """As `read_image`; and what the file had to be converted from: kinds of `RULES`."""
    check_whole(path)
    try:
        frame = read_still(path)
    except ImageError as error:
        raise TrainingDataError(f"expected an image, it is unreadable: {error}") from error
    image, kinds = crop_rgb(frame, 0, 0, *frame.size), []
    if frame.from_16_bits:
        kinds.append("16-bit image" if image.max() >= DARK else "dark 16-bit image")
    if all(np.array_equal(image[..., 0], image[..., c]) for c in (1, 2)):
        kinds.append("grey image")
    return image, kinds


def read_folder(
    folder: Path, config: ReadConfig = READ, keep: Keep = in_memory
) -> list[LabelledImage]:
    """Read all images of a folder, by name, without boxes.

    Raises:
        TrainingDataError: when there are none, and, unless they are skipped, for bad images.
    """
    if not folder.is_dir():
        raise TrainingDataError(f"{folder}: expected a folder of images")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise TrainingDataError(f"{folder}: expected images, found none")
    images: list[LabelledImage] = []
    bad: list[Problem] = []
    none = np.zeros((0, 4), np.float32)
    odd: list[Problem] = []
    for index, path in enumerate(paths):
        try:
            image, kinds = read_any_image(path)
        except TrainingDataError as error:
            bad.append(Problem("corrupt image", str(error)))
        else:
            odd += [Problem(kind, path.name) for kind in kinds]
            images.append(LabelledImage(keep(image), none, np.zeros(0, bool), index, path.name))
    for line in summary(folder, odd, [WARN]):
        logger.warning(line)
    return _unless_bad(images, folder, bad, config)


def read_coco(path: Path, config: ReadConfig = READ, keep: Keep = in_memory) -> list[LabelledImage]:
    """Read the images and boxes of a COCO JSON file; image files lie beside it.

    What is wrong is handled by `tasksr_training.annotations.RULES`: what stops training is one
    error that names the first entries and their number, the rest is logged as warnings.

    Raises:
        TrainingDataError: for a file that is not COCO JSON, for entries that cannot be used, and,
            unless they are skipped, for bad images.
    """
    annotations = read_annotations(path)
    images: list[LabelledImage] = []
    bad: list[Problem] = []
    found: list[Problem] = []
    stop(path, annotations.problems)
    for entry in annotations.images:
        decoded = _decode(path.parent / entry.file_name, entry)
        if isinstance(decoded, Problem):
            bad.append(decoded)
        else:
            image, odd = decoded
            kept, outside = inside(entry, (image.shape[1], image.shape[0]))
            found += odd + outside
            images.append(_labelled(keep(image), kept, config))
    for line in summary(path, [*annotations.problems, *found], [WARN]):
        logger.warning(line)
    return _unless_bad(images, path, bad, config)


def _unless_bad(
    images: list[LabelledImage], path: Path, bad: Sequence[Problem], config: ReadConfig
) -> list[LabelledImage]:
    """The images, once it is clear what becomes of those that are bad."""
    if config.on_bad_image == "stop":
        stop(path, bad)
    for line in summary(path, bad, [STOP]):
        logger.warning(line)
    if not images:
        raise TrainingDataError(f"{path}: expected images that can be read, found none")
    return images


def read_set(
    data: Path, path: str, config: ReadConfig = READ, keep: Keep = in_memory
) -> list[LabelledImage]:
    """Read a COCO JSON file with its images, or a folder of images without boxes.

    Args:
        data: folder that ``path`` starts from.
        path: of the file or folder; with ``*``, all files that match, one after the other.
        config: what becomes of bad images.
        keep: where the decoded images lie.

    Raises:
        TrainingDataError: when there is none, or it cannot be read.
    """
    return [
        image
        for one in find_set(data, path)
        for image in (read_coco if one.suffix == ".json" else read_folder)(one, config, keep)
    ]


def find_set(data: Path, path: str) -> list[Path]:
    """The files or folders that `read_set` reads, from its arguments.

    Raises:
        TrainingDataError: when there is none.
    """
    found = paths_of(data, path)
    if not found or not found[0].exists():
        raise TrainingDataError(
            f"{data / path}: expected a COCO JSON file or a folder, there is none"
        )
    return found


def paths_of(data: Path, path: str) -> list[Path]:
    """What a path in the data folder, or a pattern with ``*``, stands for.

    A folder with annotations of its own (see `annotation_file`) stands for these.
    """
    found = sorted(data.glob(path)) if "*" in path else [data / path]
    return [annotation_file(one) for one in found]


def _decode(path: Path, entry: ImageEntry) -> tuple[NDArray[np.uint8], list[Problem]] | Problem:
    """The image, and what is odd about it; or why it cannot be used."""
    if not path.exists():
        return Problem("missing image", str(entry))
    try:
        image, kinds = read_any_image(path)
    except TrainingDataError as error:
        return Problem("corrupt image", f"{entry}: {error}")
    height, width = image.shape[:2]
    if entry.size is not None and entry.size != (width, height):
        said = "x".join(map(str, entry.size))
        return Problem("image of another size", f"{entry}: {said} px said, {width}x{height} px")
    return image, [Problem(kind, str(entry)) for kind in kinds]


def _labelled(image: NDArray[np.uint8], entry: ImageEntry, config: ReadConfig) -> LabelledImage:
    hidden = entry.vis_ratio < config.min_vis_ratio  # never where it is not given
    return LabelledImage(
        image,
        entry.boxes,
        entry.ignore | hidden,
        entry.image_id,
        entry.file_name,
        entry.sequence,
        entry.frame,
        labelled_from=0.0 if entry.far_labelled else config.far_height,
    )
