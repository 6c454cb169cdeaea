"""nuImages.

Layout, as published at nuscenes.org (nuscenes-devkit, ``docs/schema_nuimages.md``)::

    v1.0-train/{attribute,category,log,object_ann,sample,sample_data}.json
    samples/CAM_FRONT/<name>.jpg

Tables refer to each other by token. Only keyframes are annotated; boxes are amodal, as
``[xmin, ymin, xmax, ymax]``. How much of a person is visible is not given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasksr_training.readers.form import AnnotatedImage, Person, load_json, reading

PEDESTRIAN = "human.pedestrian."
ON_WHEELS = {"personal_mobility": "rider", "stroller": "on_wheels", "wheelchair": "on_wheels"}
TWO_WHEELERS = ("vehicle.bicycle", "vehicle.motorcycle")
FORM = "a table of nuImages (a list of rows with their tokens)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the folder of its tables, such as ``v1.0-train``. A sequence is a log."""
    folder = source / split
    with reading(folder, FORM):
        data, logs = _table(folder, "sample_data"), _table(folder, "log")
        sample = _table(folder, "sample")
        people = _people(folder)
        return [
            AnnotatedImage(
                row["filename"],
                int(row["width"]),
                int(row["height"]),
                people.get(token, []),
                logs[sample[row["sample_token"]]["log_token"]]["logfile"],
                more={"stamp_ns": int(row["timestamp"]) * 1000},
            )
            for token, row in data.items()
            if row["is_key_frame"] and int(row.get("width") or 0) > 0
        ]


def _table(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    return {row["token"]: row for row in load_json(folder / f"{name}.json", FORM)}


def _people(folder: Path) -> dict[str, list[Person]]:
    """People by the token of their image."""
    categories = {t: row["name"] for t, row in _table(folder, "category").items()}
    attributes = {t: row["name"] for t, row in _table(folder, "attribute").items()}
    people: dict[str, list[Person]] = {}
    for row in _table(folder, "object_ann").values():
        category = categories[row["category_token"]]
        reason = _ignore_reason(category, {attributes[t] for t in row["attribute_tokens"]})
        if reason is not None:
            x0, y0, x1, y1 = row["bbox"]
            person = Person((x0, y0, x1 - x0, y1 - y0), reason)
            people.setdefault(row["sample_data_token"], []).append(person)
    return people


def _ignore_reason(category: str, attributes: set[str]) -> str | None:
    """Empty for a pedestrian that counts; None for what is no person."""
    if category in TWO_WHEELERS:
        return "rider" if "cycle.with_rider" in attributes else None
    if not category.startswith(PEDESTRIAN):
        return None
    sitting = "sitting" if "pedestrian.sitting_lying_down" in attributes else ""
    return ON_WHEELS.get(category.removeprefix(PEDESTRIAN), sitting)
