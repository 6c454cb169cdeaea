"""The one COCO form, and what the readers of published formats share."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tasksr_ros.evaluation.box_form import form_by_size
from tasksr_training.annotations import CATEGORIES, Problem, entry_name
from tasksr_training.errors import TrainingDataError, plain
from tasksr_training.image_files import IMAGE_SUFFIXES, image_size

T = TypeVar("T")

UNKNOWN = "unknown_category"
"""Reason to ignore a box whose category the published format does not have."""

Box = tuple[float, float, float, float]
"""x, y of the upper left corner, width, height; image px, x to the right and y down from 0."""


@dataclass(frozen=True)
class Person:
    """A person, or a region where it is left open whether there are any.

    Attributes:
        box: full extent, hidden parts included where the data set has them.
        ignore_reason: empty for a pedestrian that counts; else why it does not, one word.
        vis_ratio: visible share of the box's area, 0 to 1; None where the data set does not say.
        more: further keys of the annotation, as the data set has them.
        problem: what is wrong with it, if anything.
    """

    box: Box
    ignore_reason: str = ""
    vis_ratio: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    problem: Problem | None = None


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and the people in it.

    Attributes:
        file_name: path from the root of the data set, with ``/``.
        width: px.
        height: px.
        people: those that count and those that do not.
        sequence: the recording it is from; empty where the data set does not say.
        frame: its number in that recording, if known.
        more: further keys of the image.
        left_out: how many labels of which categories are left out as no people.
        problem: what is wrong with it, if anything.
    """

    file_name: str
    width: int
    height: int
    people: Sequence[Person]
    sequence: str = ""
    frame: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    problem: Problem | None = None


def problems(images: Sequence[AnnotatedImage]) -> list[Problem]:
    """What is wrong with the images, with their people and with the boxes of these."""
    found = [
        (
            image.problem,
            *(p.problem for p in image.people),
            *map(_wrong, _boxes(image)),
            *_repeated(image),
        )
        for image in images
    ]
    return [problem for one in (*found, _other_form(images)) for problem in one if problem]


def _repeated(image: AnnotatedImage) -> list[Problem]:
    """Two people do not have the same box; of what is ignored it does no harm."""
    boxes = Counter(person.box for person in image.people if not person.ignore_reason)
    return [
        Problem("repeated box", f"{image.file_name}: {', '.join(f'{v:g}' for v in box)}")
        for box, number in boxes.items()
        if number > 1
    ]


def _other_form(images: Sequence[AnnotatedImage]) -> list[Problem]:
    """Whether the boxes are corners or shares instead."""
    sized = [(p.box, (i.width, i.height)) for i in images if i.width > 0 for p in i.people]
    if not sized:
        return []
    boxes, sizes = (np.array(column, float) for column in zip(*sized, strict=True))
    form = form_by_size(boxes, sizes)
    return [Problem("file of boxes in another form", form)] if form else []


def _boxes(image: AnnotatedImage) -> list[tuple[str, Box]]:
    return [(image.file_name, person.box) for person in image.people]


def _wrong(place: tuple[str, Box]) -> Problem | None:
    """What is wrong with a box; a box without area is dropped where it is read."""
    name, box = place
    where = f"{name}: {', '.join(f'{v:g}' for v in box)}"
    if not all(map(math.isfinite, box)):
        return Problem("box not finite", where)
    return Problem("inverted box", where) if min(box[2:]) < 0 else None


def unknown(box: Box, where: str, category: object) -> Person:
    """A box of a category that the format does not have: whether it counts is left open."""
    return Person(box, UNKNOWN, problem=Problem("unknown category", f"{where} ({category})"))


def size_in_file(path: Path, where: str) -> tuple[int, int, Problem | None]:
    """Width and height, px, from an image's header; 0, 0 and the problem if it cannot be read."""
    try:
        return (*image_size(path), None)
    except TrainingDataError as error:
        return 0, 0, Problem("image without a readable size", f"{where}: {error}")


def image_beside(path: Path) -> Path:
    """An image's file of this name, with whatever ending of an image it has."""
    others = (path.with_suffix(suffix) for suffix in sorted(IMAGE_SUFFIXES))
    return path if path.exists() else next((o for o in others if o.exists()), path)


def to_coco(images: Sequence[AnnotatedImage]) -> dict[str, Any]:
    """COCO content with one category, 1 = pedestrian, and ids counted from 1.

    Images have ``sequence`` and ``frame`` where they are known; annotations have ``height`` (px),
    ``ignore`` (= ``iscrowd``: 1 = left open), ``ignore_reason`` and ``vis_ratio`` where known.
    ``info`` has ``left_out``: how many labels of which categories are left out as no people.
    """
    left_out: Counter[str] = Counter()
    for image in images:
        left_out.update(image.left_out)
    content: dict[str, Any] = {
        "info": {"left_out": dict(left_out.most_common())},
        "images": [],
        "annotations": [],
        "categories": CATEGORIES,
    }
    for image_id, image in enumerate(images, 1):
        entry = {
            "id": image_id,
            "file_name": image.file_name,
            "width": image.width,
            "height": image.height,
        }
        if image.sequence:
            entry["sequence"] = image.sequence
        if image.frame is not None:
            entry["frame"] = image.frame
        content["images"].append({**entry, **image.more})
        for person in image.people:
            content["annotations"].append(
                {"id": len(content["annotations"]) + 1, "image_id": image_id, **_annotation(person)}
            )
    return content


def _annotation(person: Person) -> dict[str, Any]:
    x, y, width, height = (round(float(v), 2) for v in person.box)
    ignore = int(bool(person.ignore_reason))
    entry: dict[str, Any] = {
        "category_id": 1,
        "bbox": [x, y, width, height],
        "area": round(max(width, 0) * max(height, 0), 2),
        "height": height,
        "iscrowd": ignore,
        "ignore": ignore,
    }
    if person.ignore_reason:
        entry["ignore_reason"] = person.ignore_reason
    if person.vis_ratio is not None:
        entry["vis_ratio"] = round(min(max(person.vis_ratio, 0.0), 1.0), 3)
    return {**entry, **person.more}


def visible_share(box: Box, visible: Box) -> float:
    """Area of the visible part over that of the whole box; 0 for a box without area."""
    area = box[2] * box[3]
    return visible[2] * visible[3] / area if area > 0 else 0.0


@contextmanager
def reading(path: Path | str, form: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one error with its name.

    Args:
        path: the file, or the file and its line or entry.
        form: what is expected, for the message.

    Raises:
        TrainingDataError: when the file is missing or not in that form.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise TrainingDataError(f"{error.filename}: expected {form}, there is none") from None
    except (KeyError, ValueError, IndexError, TypeError, OverflowError, AttributeError) as error:
        raise TrainingDataError(f"{path}: expected {form}, got {plain(error)}") from error


def read_each(
    entries: Iterable[Any], read: Callable[[str, Any], T], path: Path | str, what: str, form: str
) -> list[T]:
    """Read entries one by one.

    Args:
        entries: of a JSON file.
        read: what makes something of where an entry is (file and name) and the entry.
        path: the file, or the file and the entry that these are in.
        what: an entry is: it is named by its name, id or token, or by its place, from 0.
        form: what is expected, for the message.

    Raises:
        TrainingDataError: that names the file and the entry that is not in that form.
    """
    results = []
    for position, entry in enumerate(entries):
        where = f"{path}: {entry_name(what, entry, position)}"
        with reading(where, form):
            results.append(read(where, entry))
    return results


def load_json(path: Path, form: str) -> Any:
    """Content of a JSON file.

    Raises:
        TrainingDataError: when the file is missing or is not JSON.
    """
    with reading(path, form):
        return json.loads(path.read_bytes())  # with a byte order mark or without


def load_lines(path: Path, form: str) -> list[tuple[str, list[str]]]:
    """Lines of a text file that are not blank: where each is (file:line), and its words.

    Raises:
        TrainingDataError: when the file is missing or is not text.
    """
    with reading(path, form):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [(f"{path}:{n}", line.split()) for n, line in enumerate(lines, 1) if line.strip()]
