"""COCO detection.

Layout, as published at cocodataset.org ("Data format")::

    annotations/instances_val2017.json
    val2017/000000000139.jpg

``person`` counts; ``iscrowd`` marks groups, which are ignored; other categories are left out.
Images are single photos: there is no ``sequence``. For sets that are in the project's own form
already there is nothing to convert.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tasksr_training.annotations import Problem, stop
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
    path = source / "annotations" / f"instances_{split}.json"
    content = load_json(path, FORM)
    people: dict[int, list[Person]] = {}
    left_out: dict[int, Counter[str]] = {}
    lost: list[Problem] = []

    def image(where: str, entry: dict[str, Any]) -> AnnotatedImage:
        number = entry["id"]
        if number in people:
            raise ValueError(f"the id {number} again")
        people[number], left_out[number] = [], Counter()
        name, size = f"{split}/{entry['file_name']}", (int(entry["width"]), int(entry["height"]))
        return AnnotatedImage(name, *size, people[number], left_out=left_out[number])

    def add(where: str, entry: dict[str, Any]) -> None:
        number, category = entry["image_id"], entry["category_id"]
        x, y, w, h = (float(v) for v in entry["bbox"])
        if number not in people:
            place = where.removeprefix(f"{path}: ")
            lost.append(Problem("annotation of an image that is not listed", f"{place} ({number})"))
        elif category not in categories:
            people[number].append(unknown((x, y, w, h), where, f"category_id {category}"))
        elif categories[category] != "person":
            left_out[number][categories[category]] += 1
        else:
            reason = "group" if entry.get("iscrowd") else ""
            people[number].append(Person((x, y, w, h), reason))

    with reading(path, FORM):
        categories = dict(read_each(content["categories"], _category, path, "category", FORM))
        images = read_each(content["images"], image, path, "image", IMAGE)
        read_each(content["annotations"], add, path, "annotation", ANNOTATION)
    stop(path, lost)
    return images


def _category(where: str, entry: dict[str, Any]) -> tuple[int, str]:
    return entry["id"], str(entry["name"])
