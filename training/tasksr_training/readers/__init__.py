"""Published annotation formats, read into the one COCO form that training and evaluation use.

One module per format; each has ``read(source, split)`` that returns the annotated images. Images
are not decoded; their size is read from the file's header: it must be the one that a format states.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasksr_training.annotations import WARN, Problem, stop, summary
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_files import image_size
from tasksr_training.readers import (
    bdd100k,
    caltech,
    citypersons,
    ecp,
    kitti_object,
    kitti_raw,
    mscoco,
    nuimages,
    yolo,
)
from tasksr_training.readers.form import AnnotatedImage, problems, to_coco

logger = logging.getLogger(__name__)

FORMATS: dict[str, Callable[[Path, str], list[AnnotatedImage]]] = {
    "bdd100k": bdd100k.read,
    "caltech": caltech.read,
    "citypersons": citypersons.read,
    "coco": mscoco.read,
    "ecp": ecp.read,
    "kitti-object": kitti_object.read,
    "kitti-raw": kitti_raw.read,
    "nuimages": nuimages.read,
    "yolo": yolo.read,
}


def read_published(format_name: str, source: Path, split: str) -> dict[str, Any]:
    """Read a data set in its published layout.

    What is wrong is handled by `tasksr_training.annotations.RULES`: what stops training is one
    error that names the first entries and their number, the rest is logged as warnings.

    Args:
        format_name: a key of `FORMATS`.
        source: its root folder, as the module of the format describes it.
        split: of the data set, named as its folders or files are; the module says what it is.

    Returns:
        COCO content (see `tasksr_training.readers.form.to_coco`); file names start from ``source``.

    Raises:
        TrainingDataError: for an unknown format, a folder without such a split, or a file that is
            not in the published form (with its name, and the line or entry), or for images whose
            size cannot be read where the data set does not give it.
    """
    if format_name not in FORMATS:
        raise TrainingDataError(f"format: expected one of {', '.join(FORMATS)}, got {format_name}")
    if not source.is_dir():
        raise TrainingDataError(f"{source}: expected the root folder of a data set")
    images = FORMATS[format_name](source, split)
    if not images:
        raise TrainingDataError(
            f"{source}: expected images of the split {split!r} in the layout of {format_name}, "
            "found none"
        )
    _report(source, [*problems(images), *_of_files(source, images)])
    _tell_missing(source, images)
    if all(person.ignore_reason for image in images for person in image.people):
        logger.warning(
            "%s: no pedestrian counts in the %d images of the split %r", source, len(images), split
        )
    return to_coco(images)


def _of_files(source: Path, images: Sequence[AnnotatedImage]) -> Iterator[Problem]:
    """Images of another size than the boxes are for; what is unreadable is for ``data check``."""
    for image in images:
        with suppress(TrainingDataError):
            said, size = (image.width, image.height), image_size(source / image.file_name)
            if not image.problem and said != size:
                told, is_ = ("x".join(map(str, s)) for s in (said, size))
                where = f"{image.file_name}: {told} px said, {is_} px"
                yield Problem("labels for another image size", where)


def _tell_missing(source: Path, images: Sequence[AnnotatedImage]) -> None:
    missing = [image.file_name for image in images if not (source / image.file_name).is_file()]
    if missing:
        logger.warning(
            "%s: %d of %d images are missing (%s%s)",
            *(source, len(missing), len(images), missing[0], ", …" * (len(missing) > 1)),
        )


def _report(source: Path, found: Iterable[Problem]) -> None:
    """Stop for what stops training, warn of the rest; places are named from ``source`` on."""
    near = [Problem(p.kind, p.where.replace(f"{source}{os.sep}", "")) for p in found]
    stop(source, near)
    for line in summary(source, near, [WARN]):
        logger.warning(line)
