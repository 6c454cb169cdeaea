"""CityPersons on Cityscapes.

Layout, as Cityscapes publishes ``gtBbox_cityPersons_trainval.zip`` and
``leftImg8bit_trainvaltest.zip`` (cityscapesScripts, ``helpers/annotation.py``, ``CsBbox2d``; the
labels: github.com/cvgroup-njust/CityPersons, ``annotations/README.txt``)::

    gtBboxCityPersons/train/aachen/aachen_000000_000019_gtBboxCityPersons.json
    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png

Each JSON file has ``imgWidth``, ``imgHeight`` and ``objects`` with ``label``, ``bbox`` (full body)
and ``bboxVis`` (visible part), both x, y, width, height. File names are city, sequence and frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasksr_training.readers.form import (
    AnnotatedImage,
    Person,
    load_json,
    read_each,
    reading,
    unknown,
    visible_share,
)

IGNORED = {
    "rider": "rider",
    "sitting person": "sitting",
    "person (other)": "other_person",
    "person group": "group",
    "ignore": "ignore_region",
}
"""Labels that do not count, and the reason."""

SUFFIX = "_gtBboxCityPersons"
FORM = "a CityPersons JSON file (imgWidth, imgHeight, objects)"
OBJECT = "a label, and bbox and bboxVis of four numbers each"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: ``train`` or ``val``. A sequence is a city and its sequence number."""
    folder = source / "gtBboxCityPersons" / split
    return [_image(path, split) for path in sorted(folder.glob(f"*/*{SUFFIX}.json"))]


def _image(path: Path, split: str) -> AnnotatedImage:
    content = load_json(path, FORM)
    name = path.stem.removesuffix(SUFFIX)
    with reading(path, FORM):
        sequence, frame = name.rsplit("_", 1)
        return AnnotatedImage(
            f"leftImg8bit/{split}/{path.parent.name}/{name}_leftImg8bit.png",
            int(content["imgWidth"]),
            int(content["imgHeight"]),
            read_each(content["objects"], _person, path, "object", OBJECT),
            sequence,
            int(frame),
        )


def _person(where: str, entry: dict[str, Any]) -> Person:
    label = entry["label"]
    x, y, w, h = (float(v) for v in entry["bbox"])
    vx, vy, vw, vh = (float(v) for v in entry["bboxVis"])
    if label != "pedestrian" and label not in IGNORED:
        return unknown((x, y, w, h), where, label)
    share = visible_share((x, y, w, h), (vx, vy, vw, vh))
    return Person((x, y, w, h), IGNORED.get(label, ""), share)
