"""YOLO text files.

Layout, as Ultralytics documents it (docs.ultralytics.com/datasets/detect)::

    data.yaml                with ``names``: a list, or a mapping from class number to name
    images/train/a.jpg
    labels/train/a.txt       absent where the image has no objects

and as other tools leave it: ``train/images`` and ``train/labels`` (Roboflow), ``classes.txt`` with
a name a line (LabelImg, CVAT), images and labels in one folder (darknet).

Each line is a class number and the box's centre x, y, width, height as shares of the image's size;
or the class and a polygon's corners, which becomes the box that encloses it. A sixth number, a
score, is left out; so are key points, where ``kpt_shape`` says that there are some.
``pedestrian`` and ``person`` count; where no file names the classes, class 0 does, and a line says
so. Other classes are left out.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from pathlib import Path

from tasksr_ros.evaluation.box_form import CORNERS, ENOUGH
from tasksr_ros.evaluation.categories import is_pedestrian
from tasksr_training.annotations import NAMED, Problem
from tasksr_training.errors import TrainingDataError
from tasksr_training.readers.form import (
    AnnotatedImage,
    Box,
    Person,
    load_lines,
    reading,
    size_in_file,
    unknown,
)
from tasksr_training.readers.yolo_layout import CONFIGS, LISTS, Layout, find_layout

logger = logging.getLogger(__name__)

FORM = "YOLO lines (class, centre x, centre y, width, height from 0 to 1)"
POLYGON = "polygon"
MARGIN = 0.05
"""By which shares may leave 0 to 1: what tools round or clip badly, no pixels."""


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split, such as ``train``."""
    layout = find_layout(source, split)
    images = layout.files()
    if layout.classes is None:
        logger.warning(
            "%s: no file names the classes (%s): class 0 is taken for pedestrians",
            source,
            ", ".join((*CONFIGS, *LISTS)),
        )
    _check_names(source, layout, images)
    found = [_image(path, Path(os.path.abspath(source)), layout) for path in images]
    _check_form(source, [p for image in found for p in image.people])
    return found


def _check_form(source: Path, people: list[Person]) -> None:
    """Corners are four shares as well; read as centre and size, each is larger than its place."""
    boxes = [p.box for p in people if p.problem is None or p.problem.kind != POLYGON]
    if len(boxes) >= ENOUGH and all(x < w / 2 and y < h / 2 for x, y, w, h in boxes):
        raise TrainingDataError(
            f"{source}: expected {FORM}, these look like {CORNERS}: the last two are larger than "
            f"the first two in each of {len(boxes)} boxes"
        )


def _check_names(source: Path, layout: Layout, images: list[Path]) -> None:
    """Tell of labels that are read twice or not at all."""
    uses = Counter(map(layout.label, images))
    twice = [path for path, number in uses.items() if number > 1 and path.exists()]
    labels = (p for p in layout.labels.rglob("*") if p.suffix.lower() == ".txt")
    alone = sorted(p for p in labels if p not in uses and not any(map(p.match, LISTS)))
    for found, text in ((twice, "of several images"), (alone, "without an image, left out")):
        if found:
            shown = ", ".join(p.name for p in found[:NAMED])
            more = ", …" if len(found) > NAMED else ""
            logger.warning("%s: %d label files %s (%s%s)", source, len(found), text, shown, more)


def _image(path: Path, source: Path, layout: Layout) -> AnnotatedImage:
    width, height, problem = size_in_file(path, "image")
    labels = layout.label(path)
    people, left_out = [], Counter[str]()
    for where, words in load_lines(labels, FORM) if labels.exists() else []:
        with reading(Path(where), FORM):
            number, (x, y, w, h), kind = _line(words, layout.key_points)
            box: Box = (x * width, y * height, w * width, h * height)
            category = _category(number, layout)
        if category is None:
            people.append(unknown(box, where, f"class {number}"))
        elif is_pedestrian(category):
            people.append(Person(box, problem=Problem(kind, where) if kind else None))
        else:
            left_out[category] += 1
    name = path.relative_to(source).as_posix()
    return AnnotatedImage(name, width, height, people, left_out=left_out, problem=problem)


def _line(words: list[str], key_points: int) -> tuple[int, Box, str]:
    """Class; x, y of the upper left corner, width, height as shares; and what else it was."""
    numbers = [float(word) for word in words]
    kind = ""
    if len(words) == 5 + key_points:
        numbers = numbers[:5]
    elif len(words) == 6:
        numbers, kind = numbers[:5], "box with a score"
    elif len(words) >= 7 and len(words) % 2 == 1 and not key_points:
        kind = POLYGON
    else:
        raise ValueError(f"{len(words)} columns")
    if not all(-MARGIN <= value <= 1 + MARGIN for value in numbers[1:]):
        raise ValueError(f"{' '.join(words[1:])}: no shares of the image's size (are these px?)")
    if not math.isfinite(numbers[0]) or numbers[0] != int(numbers[0]) or numbers[0] < 0:
        raise ValueError(f"class {words[0]}")
    return int(numbers[0]), _enclosing(numbers[1:]), kind


def _enclosing(shares: list[float]) -> Box:
    """Of centre and size, or of a polygon's corners."""
    if len(shares) == 4:
        x, y, w, h = shares
        return x - w / 2, y - h / 2, w, h
    xs, ys = shares[::2], shares[1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _category(number: int, layout: Layout) -> str | None:
    """Its name; None where the names do not have the number."""
    if layout.classes is None:
        return f"class {number}" if number else "pedestrian"
    return layout.classes.get(number)
