"""COCO detection.

Layout, as published at cocodataset.org ("Data format")::

    annotations/instances_val2017.json
    val2017/000000000139.jpg

and as Roboflow exports it: ``valid/_annotations.coco.json`` beside the split's images.

Images are looked for in the split's folder, in ``images`` and where the paths start: what other
tools write has them there.

``person`` and ``pedestrian`` count, in any case; ``iscrowd`` marks groups, which are ignored, as
is what other tools mark with ``ignore``; other categories are left out. Ids may be texts.
Images are single photos: there is no ``sequence``. For sets that are in the project's own form
already there is nothing to convert.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tasksr_ros.evaluation.categories import is_pedestrian, listed, names_by_id
from tasksr_ros.evaluation.flags import is_set
from tasksr_ros.evaluation.ground_truth import ROBOFLOW
from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_training.annotations import Problem, stop
from tasksr_training.errors import TrainingDataError
from tasksr_training.readers.form import (
    AnnotatedImage,
    Person,
    load_json,
    read_each,
    reading,
    unknown,
)

FORM = "COCO JSON (images, annotations, categories)"
IMAGE = "an image with an id of its own, file_name, width and height"
ANNOTATION = "an annotation with image_id, category_id and a bbox of four numbers"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the folder of its images, such as ``val2017``."""
    path = _file(source, split)
    content = load_json(path, FORM)
    people: dict[ImageId, list[Person]] = {}
    left_out: dict[ImageId, Counter[str]] = {}
    lost: list[Problem] = []

    def image(where: str, entry: dict[str, Any]) -> AnnotatedImage:
        number = _id(entry, "id")
        if number in people:
            raise ValueError(f"the id {number} again")
        people[number], left_out[number] = [], Counter()
        file_name = str(entry["file_name"]).replace("\\", "/")  # as Windows writes it, too
        size = int(entry["width"]), int(entry["height"])
        name = _found(source, split, file_name)
        return AnnotatedImage(name, *size, people[number], left_out=left_out[number])

    def add(where: str, entry: dict[str, Any]) -> None:
        number, category = _id(entry, "image_id"), _id(entry, "category_id")
        if not isinstance(entry["bbox"], list) or len(entry["bbox"]) != 4:
            raise ValueError(f"{entry['bbox']!r:.60}")
        x, y, w, h = (float(v) for v in entry["bbox"])
        if number not in people:
            place = where.removeprefix(f"{path}: ")
            lost.append(Problem("annotation of an image that is not listed", f"{place} ({number})"))
        elif category not in categories:
            people[number].append(unknown((x, y, w, h), where, f"category_id {category}"))
        elif not is_pedestrian(categories[category]):
            left_out[number][categories[category]] += 1
        else:
            marked = "marked" if is_set(entry.get("ignore")) else ""
            reason = "group" if is_set(entry.get("iscrowd")) else marked
            people[number].append(Person((x, y, w, h), reason))

    with reading(path, FORM):
        categories = names_by_id(content["categories"])
        if categories and not any(map(is_pedestrian, categories.values())):
            raise ValueError(f"no pedestrian or person among {listed(categories.values())}")
        images = read_each(content["images"], image, path, "image", IMAGE)
        read_each(content["annotations"], add, path, "annotation", ANNOTATION)
    stop(path, lost)
    return images


def _found(source: Path, split: str, file_name: str) -> str:
    """An image's path from ``source``, in the split's folder where there is no such file."""
    places = (f"{split}/", f"images/{split}/", "images/", "")
    there = (p + file_name for p in places if (source / p / file_name).is_file())
    return next(there, f"{split}/{file_name}")


def _file(source: Path, split: str) -> Path:
    """The split's annotations; raises TrainingDataError where there are two files of them."""
    published = source / "annotations" / f"instances_{split}.json"
    roboflow = source / split / ROBOFLOW
    if published.is_file() and roboflow.is_file():
        raise TrainingDataError(
            f"{source}: expected the split {split!r} in one file, got {published} and {roboflow}"
        )
    if roboflow.is_file():
        return roboflow
    others = sorted(p.parent.name for p in source.glob(f"*/{ROBOFLOW}"))
    if others and not published.is_file():
        raise TrainingDataError(
            f"{source}: expected a split of {', '.join(others)} ({ROBOFLOW}), got {split!r}"
        )
    return published


def _id(entry: dict[str, Any], key: str) -> ImageId:
    found = checked_id(entry[key])
    if found is None:
        raise ValueError(f"{key} {entry[key]}")
    return found
