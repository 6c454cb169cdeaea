"""What is in a folder of image sets, and what is wrong with it.

A folder has one COCO JSON file per split. The rule for what is found: a problem that would stop
training (`tasksr_training.annotations.RULES`), and anything that two splits share, is an error;
the rest is a warning or a note. Splits that share a drive or an image spoil what is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasksr_training.annotations import (
    NOTE,
    STOP,
    WARN,
    AnnotationFile,
    ImageEntry,
    Problem,
    inside,
    read_annotations,
    summary,
)
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_files import check_whole, image_size


@dataclass(frozen=True, eq=False)
class SplitReport:
    """What is in a split.

    Attributes:
        name: of its file, without ``.json``.
        images: number of images listed.
        images_without_people: of these, the ones without a pedestrian that counts.
        sequences: number of images by recording; empty without recordings.
        heights: (M,) px, of the pedestrians that count.
        widths_over_heights: (M,) of these.
        ignored: number of ignored boxes by reason.
        sizes: number of images by width and height in px.
        problems: what is wrong, images included.
    """

    name: str
    images: int
    images_without_people: int
    sequences: Mapping[str, int]
    heights: NDArray[np.float32]
    widths_over_heights: NDArray[np.float32]
    ignored: Mapping[str, int]
    sizes: Mapping[tuple[int, int], int]
    problems: Sequence[Problem]


@dataclass(frozen=True, eq=False)
class FolderReport:
    """What is in a folder.

    Attributes:
        folder: it.
        splits: by name.
        errors: lines about what stops training or spoils what is measured.
        warnings: lines about the rest.
        left_out: JSON files that are no objects with ``images``, such as predictions.
    """

    folder: Path
    splits: Sequence[SplitReport]
    errors: Sequence[str]
    warnings: Sequence[str]
    left_out: Sequence[str]


def check_folder(folder: Path, decode: bool = False) -> FolderReport:
    """Check all splits of a folder.

    Args:
        folder: with a COCO JSON file per split, images beside it.
        decode: decode every image to its end, not only its header and its last bytes.

    Raises:
        TrainingDataError: when there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise TrainingDataError(f"{folder}: expected a folder with COCO JSON files")
    files, errors, left_out = _annotation_files(folder)
    if not files and not errors:
        raise TrainingDataError(f"{folder}: expected COCO JSON files, found none")
    splits, warnings = [], []
    digests: dict[str, dict[str, ImageEntry]] = {}
    for file in files:
        problems, images, digests[file.path.stem] = _images(file, decode)
        split = _split(replace(file, images=images), [*file.problems, *problems])
        splits.append(split)
        errors += summary(file.path, split.problems, [STOP])
        warnings += summary(file.path, split.problems, [WARN, NOTE])
        if not len(split.heights):
            warnings.append(f"{file.path}: no pedestrian counts in its {split.images} images")
    errors += _shared_drives(splits) + _shared_images(digests)
    return FolderReport(folder, splits, errors, warnings, left_out)


def _annotation_files(folder: Path) -> tuple[list[AnnotationFile], list[str], list[str]]:
    """The COCO files of a folder, errors about those that cannot be read, names of other JSON."""
    files, errors, left_out = [], [], []
    for path in sorted(folder.glob("*.json")):
        try:
            files.append(read_annotations(path))
        except TrainingDataError as error:
            if _is_other_json(path):
                left_out.append(path.name)
            else:
                errors.append(str(error))
    return files, errors, left_out


def _is_other_json(path: Path) -> bool:
    """Whether a file is JSON, but no object with ``images``."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return not (isinstance(content, dict) and "images" in content)


def _images(
    file: AnnotationFile, decode: bool
) -> tuple[list[Problem], list[ImageEntry], dict[str, ImageEntry]]:
    """Problems of the image files, the images, and those by the digest of their files."""
    problems: list[Problem] = []
    images = list(file.images)
    digests: dict[str, ImageEntry] = {}
    for number, entry in enumerate(file.images):
        path = file.path.parent / entry.file_name
        if not path.is_file():
            problems.append(Problem("missing image", str(entry)))
            continue
        try:
            check_whole(path, decode)
        except TrainingDataError as error:
            problems.append(Problem("corrupt image", f"{entry}: {error}"))
            continue
        size = image_size(path)
        if entry.size is not None and entry.size != size:
            said, is_ = ("x".join(map(str, s)) for s in (entry.size, size))
            where = f"{entry}: {said} px said, {is_} px"
            problems.append(Problem("image of another size", where))
        images[number], outside = inside(entry, size)
        problems += outside
        digest = hashlib.blake2b(path.read_bytes()).hexdigest()
        if digest in digests:
            problems.append(Problem("repeated image", f"{entry} as {digests[digest]}"))
        digests.setdefault(digest, entry)
    return problems, images, digests


def _split(file: AnnotationFile, problems: Sequence[Problem]) -> SplitReport:
    counted = [e.boxes[~e.ignore] for e in file.images]
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *counted])
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    reasons = [r for e in file.images for r, i in zip(e.reasons, e.ignore, strict=True) if i]
    return SplitReport(
        file.path.stem,
        len(file.images),
        sum(len(b) == 0 for b in counted),
        Counter(e.sequence for e in file.images if e.sequence),
        height,
        width / height,
        Counter(reason or "no reason given" for reason in reasons),
        Counter(e.size for e in file.images if e.size is not None),
        problems,
    )


def _shared_drives(splits: Sequence[SplitReport]) -> list[str]:
    lines = []
    for a, b in combinations(splits, 2):
        shared = sorted(set(a.sequences) & set(b.sequences))
        if shared:
            lines.append(
                f"{a.name} and {b.name} share {_count(shared, 'drive')}: {_first(shared)}: "
                "what is measured on the one says little where the other was trained on"
            )
    return lines


def _shared_images(digests: Mapping[str, Mapping[str, ImageEntry]]) -> list[str]:
    lines = []
    for a, b in combinations(digests, 2):
        shared = [digests[a][d].file_name for d in digests[a] if d in digests[b]]
        if shared:
            lines.append(f"{a} and {b} share {_count(shared, 'image file')}: {_first(shared)}")
    return lines


def _count(things: Sequence[str], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
