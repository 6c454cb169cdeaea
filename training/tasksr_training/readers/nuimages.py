"""nuImages.

Layout, as published at nuscenes.org (nuscenes-devkit, ``docs/schema_nuimages.md``)::

    v1.0-train/{attribute,category,log,object_ann,sample,sample_data}.json
    samples/CAM_FRONT/<name>.jpg

Tables refer to each other by token. Only keyframes are annotated; boxes are amodal, as
``[xmin, ymin, xmax, ymax]``. How much of a person is visible is not given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tasksr_training.readers.form import AnnotatedImage, Person, load_json, read_each, reading

T = TypeVar("T")

PEDESTRIAN = "human.pedestrian."
ON_WHEELS = {"personal_mobility": "rider", "stroller": "on_wheels", "wheelchair": "on_wheels"}
TWO_WHEELERS = ("vehicle.bicycle", "vehicle.motorcycle")
FORM = "a table of nuImages (a list of rows with their tokens)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the folder of its tables, such as ``v1.0-train``. A sequence is a log."""
    folder = source / split
    data, logs = _table(folder, "sample_data"), _table(folder, "log")
    sample = _table(folder, "sample")
    people, left_out = _people(folder)

    def image(where: str, row: dict[str, Any]) -> AnnotatedImage | None:
        if not row["is_key_frame"] or int(row.get("width") or 0) <= 0:
            return None
        log = _listed(sample, "sample", row["sample_token"])["log_token"]
        return AnnotatedImage(
            row["filename"],
            int(row["width"]),
            int(row["height"]),
            people.get(row["token"], []),
            _listed(logs, "log", log)["logfile"],
            more={"stamp_ns": int(row["timestamp"]) * 1000},
            left_out=left_out.get(row["token"], {}),
        )

    images = read_each(data.values(), image, _file(folder, "sample_data"), "row", FORM)
    return [one for one in images if one is not None]


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _table(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    path = _file(folder, name)
    rows = load_json(path, FORM)
    with reading(path, FORM):
        return dict(read_each(rows, lambda _, row: (row["token"], row), path, "row", FORM))


def _listed(table: Mapping[str, T], name: str, token: str) -> T:
    """What a row of another table refers to."""
    if token not in table:
        raise ValueError(f"the token {token!r}, which is not in {name}.json")
    return table[token]


def _names(folder: Path, table: str) -> dict[str, str]:
    rows = _table(folder, table)
    path = _file(folder, table)
    names = read_each(rows.values(), lambda _, row: str(row["name"]), path, "row", FORM)
    return dict(zip(rows, names, strict=True))


def _people(folder: Path) -> tuple[dict[str, list[Person]], dict[str, Counter[str]]]:
    """People, and how many labels of which other categories, by the token of their image."""
    categories, attributes = _names(folder, "category"), _names(folder, "attribute")
    people: dict[str, list[Person]] = {}
    left_out: dict[str, Counter[str]] = {}

    def add(where: str, row: dict[str, Any]) -> None:
        category = _listed(categories, "category", row["category_token"])
        flags = {_listed(attributes, "attribute", token) for token in row["attribute_tokens"]}
        image, reason = row["sample_data_token"], _ignore_reason(category, flags)
        if reason is None:
            left_out.setdefault(image, Counter())[category] += 1
            return
        x0, y0, x1, y1 = row["bbox"]
        people.setdefault(image, []).append(Person((x0, y0, x1 - x0, y1 - y0), reason))

    rows = _table(folder, "object_ann").values()
    read_each(rows, add, _file(folder, "object_ann"), "row", FORM)
    return people, left_out


def _ignore_reason(category: str, attributes: set[str]) -> str | None:
    """Empty for a pedestrian that counts; None for what is no person."""
    if category in TWO_WHEELERS:
        return "rider" if "cycle.with_rider" in attributes else None
    if not category.startswith(PEDESTRIAN):
        return None
    sitting = "sitting" if "pedestrian.sitting_lying_down" in attributes else ""
    return ON_WHEELS.get(category.removeprefix(PEDESTRIAN), sitting)
