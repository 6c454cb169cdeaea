"""BDD100K, detection 2020.

Layout, as published at bdd-data.berkeley.edu (doc.bdd100k.com, "Detection 2020")::

    labels/det_20/det_train.json
    images/100k/train/0000f77c-6257be58.jpg

The JSON file is a list of frames in the form of Scalabel (doc.scalabel.ai, "Scalabel Format"):
``name``, ``labels`` with ``category``, ``attributes`` (``occluded``, ``truncated``) and ``box2d``,
which includes the pixels at ``x2``, ``y2``; or an object with them as ``frames``, as Scalabel
exports it. The older ``labels/bdd100k_labels_images_train.json`` has the same form, with
``person``, and is read where there is no newer one.

Each image is from a video of its own, but the videos of one ride share the first part of their
names (the same car, light and windscreen are seen in them), in the published splits as well: that
part is the ``sequence``.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from tasksr_ros.evaluation.categories import is_pedestrian, word
from tasksr_ros.evaluation.flags import is_set
from tasksr_training.readers.form import (
    AnnotatedImage,
    Box,
    Person,
    load_json,
    read_each,
    reading,
    size_in_file,
    unknown,
)

IGNORED = {"rider": "rider", "other person": "other_person"}
VEHICLES = ("car", "truck", "bus", "train", "motorcycle", "bicycle", "other vehicle", "trailer")
OLDER = ("motor", "bike", "van", "caravan", "lane", "drivable area")
OTHERS = frozenset((*VEHICLES, *OLDER, "traffic light", "traffic sign"))
"""Categories that are no people (bdd100k ``configs/det.toml``), and names of older releases."""
OTHER_KINDS = ("lane/", "area/")
"""How the categories of what is no object begin."""
FORM = "a list of BDD100K frames (name, labels with category and box2d)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: ``train`` or ``val``. Boxes flagged as crowd are ignored."""
    path = source / "labels" / "det_20" / f"det_{split}.json"
    older = source / "labels" / f"bdd100k_labels_images_{split}.json"
    if older.exists() and not path.exists():
        path = older
    frames = load_json(path, FORM)
    with reading(path, FORM):
        if isinstance(frames, dict):
            frames = frames["frames"]
        if not isinstance(frames, list):
            raise ValueError(f"a {type(frames).__name__}")
    return read_each(frames, partial(_image, source, f"images/100k/{split}"), path, "frame", FORM)


def _image(source: Path, folder: str, where: str, frame: dict[str, Any]) -> AnnotatedImage:
    name, sequence = f"{folder}/{frame['name']}", frame["name"].split("-")[0]
    size, labels = frame.get("size"), frame.get("labels") or []
    people = read_each(labels, _person, where, "label", FORM)
    pairs = zip(labels, people, strict=True)
    left_out = Counter(label["category"] for label, person in pairs if person is None)
    kept = [person for person in people if person is not None]
    if size:
        width, height, problem = int(size["width"]), int(size["height"]), None
    else:
        width, height, problem = size_in_file(source / name, where)
    return AnnotatedImage(name, width, height, kept, sequence, left_out=left_out, problem=problem)


def _person(where: str, label: dict[str, Any]) -> Person | None:
    category, flags = word(label["category"]), label.get("attributes") or {}
    if category in OTHERS or category.startswith(OTHER_KINDS):
        return None
    if not isinstance(label.get("box2d"), dict):
        raise KeyError("box2d")
    x0, y0, x1, y1 = (float(label["box2d"][key]) for key in ("x1", "y1", "x2", "y2"))
    if 0 < max(abs(v) for v in (x0, y0, x1, y1)) <= 1:
        raise ValueError(f"{x0:g} {y0:g} {x1:g} {y1:g}: no px (are these shares?)")
    box = _box(x0, y0, x1, y1)
    if not is_pedestrian(category) and category not in IGNORED:
        return unknown(box, where, category)
    reason = IGNORED.get(category, "group" if is_set(flags.get("crowd")) else "")
    more = {key: int(is_set(flags[key])) for key in ("occluded", "truncated") if key in flags}
    return Person(box, reason, more=more)


def _box(x0: float, y0: float, x1: float, y1: float) -> Box:
    """From its first to its last pixels; one whose last come first stays inverted."""
    one = 1 if x1 >= x0 and y1 >= y0 else 0
    return x0, y0, x1 - x0 + one, y1 - y0 + one
