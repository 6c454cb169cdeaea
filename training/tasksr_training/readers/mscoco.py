"""COCO detection.

Layout, as published at cocodataset.org ("Data format")::

    annotations/instances_val2017.json
    val2017/000000000139.jpg

``person`` counts; ``iscrowd`` marks groups, which are ignored; other categories are left out.
Images are single photos: there is no ``sequence``. For sets that are in the project's own form
already there is nothing to convert.
"""

from __future__ import annotations

from pathlib import Path

from tasksr_training.readers.form import AnnotatedImage, Person, load_json, reading

FORM = "COCO JSON (images, annotations, categories)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the folder of its images, such as ``val2017``."""
    path = source / "annotations" / f"instances_{split}.json"
    content = load_json(path, FORM)
    people: dict[int, list[Person]] = {}
    with reading(path, FORM):
        ids = {c["id"] for c in content["categories"] if c["name"] == "person"}
        for entry in content["annotations"]:
            if entry["category_id"] in ids:
                x, y, w, h = entry["bbox"]
                person = Person((x, y, w, h), "group" if entry.get("iscrowd") else "")
                people.setdefault(entry["image_id"], []).append(person)
        return [
            AnnotatedImage(
                f"{split}/{image['file_name']}",
                int(image["width"]),
                int(image["height"]),
                people.get(image["id"], []),
            )
            for image in content["images"]
        ]
