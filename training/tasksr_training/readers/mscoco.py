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

from tasksr_training.readers.form import AnnotatedImage, Person, load_json, read_each, reading

FORM = "COCO JSON (images, annotations, categories)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the folder of its images, such as ``val2017``."""
    path = source / "annotations" / f"instances_{split}.json"
    content = load_json(path, FORM)
    with reading(path, FORM):
        categories = {c["id"]: str(c["name"]) for c in content["categories"]}
        images = {image["id"]: image for image in content["images"]}
        annotations = content["annotations"]
    people: dict[int, list[Person]] = {number: [] for number in images}
    left_out: dict[int, Counter[str]] = {number: Counter() for number in images}

    def add(entry: dict[str, Any]) -> None:
        image_id, category = entry["image_id"], categories[entry["category_id"]]
        if image_id not in images:
            raise ValueError(f"image_id {image_id}, which is not listed")
        if category != "person":
            left_out[image_id][category] += 1
            return
        x, y, w, h = entry["bbox"]
        people[image_id].append(Person((x, y, w, h), "group" if entry.get("iscrowd") else ""))

    def image(entry: dict[str, Any]) -> AnnotatedImage:
        return AnnotatedImage(
            f"{split}/{entry['file_name']}",
            int(entry["width"]),
            int(entry["height"]),
            people[entry["id"]],
            left_out=left_out[entry["id"]],
        )

    read_each(annotations, add, path, "annotation", FORM)
    return read_each(images.values(), image, path, "image", FORM)
