"""EuroCity Persons.

Layout, as published at eurocity-dataset.tudelft.nl (time of day, split, city)::

    day/labels/train/amsterdam/amsterdam_00000.json
    day/img/train/amsterdam/amsterdam_00000.png

Each JSON file has ``imagewidth``, ``imageheight`` and ``children`` with ``identity``, ``x0``,
``y0``, ``x1``, ``y1``, ``tags`` and ``children`` of their own (what a rider rides). What counts
follows the official evaluation (``ParamsFactory.ignore_gt``): riders, people who sit or lie or are
behind glass, and far groups are ignored, depictions as well. Occlusion and truncation are given as
the classes 10 to 40, 40 to 80 and above 80 %; ``vis_ratio`` takes the middle of each.

The published files do not say which recording an image is from: there is no ``sequence``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasksr_training.readers.form import (
    AnnotatedImage,
    Box,
    Person,
    load_json,
    read_each,
    reading,
    unknown,
)

IGNORED = {
    "rider": "rider",
    "co-rider": "rider",
    "person-group-far-away": "group",
    "rider+vehicle-group-far-away": "group",
}
"""Identities that are ignored, and the reason."""

VEHICLES = ("bicycle", "buggy", "motorbike", "scooter", "tricycle", "wheelchair")
OTHERS = frozenset(VEHICLES) | {f"{vehicle}-group" for vehicle in VEHICLES}
"""Identities that are no people."""

IGNORED_TAGS = {
    "depiction": "depiction",
    "reflection": "depiction",
    "sitting-lying": "sitting",
    "behind-glass": "behind_glass",
}
HIDDEN = {">10": 0.25, ">40": 0.6, ">80": 0.9}
"""Share that is hidden, by the end of the tags ``occluded>…`` and ``truncated>…``."""

FORM = "an EuroCity Persons JSON file (imagewidth, imageheight, children)"
CHILD = f"a child with identity, x0, y0, x1, y1; shares in tags: {', '.join(HIDDEN)}"
Label = tuple[str, Person | None]
"""An identity, and the person if it is one."""


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the time of day and the split's name, such as ``day/train``."""
    time, _, name = split.partition("/")
    paths = sorted((source / time / "labels" / name).glob("*/*.json"))
    return [_image(path, f"{time}/img/{name}") for path in paths]


def _image(path: Path, folder: str) -> AnnotatedImage:
    content = load_json(path, FORM)
    with reading(path, FORM):
        labels = _labels(str(path), content["children"])
        return AnnotatedImage(
            f"{folder}/{path.parent.name}/{path.stem}.png",
            int(content["imagewidth"]),
            int(content["imageheight"]),
            [person for _, person in labels if person is not None],
            left_out=Counter(identity for identity, person in labels if person is None),
        )


def _labels(where: str, children: Sequence[dict[str, Any]]) -> list[Label]:
    """Each child, followed by its own."""
    families = read_each(children, _family, where, "child", CHILD)
    return [label for family in families for label in family]


def _family(where: str, child: dict[str, Any]) -> list[Label]:
    own = _labels(where, child.get("children", []))
    return [(child["identity"], _person(where, child)), *own]


def _person(where: str, child: dict[str, Any]) -> Person | None:
    identity, tags = child["identity"], child.get("tags", [])
    if identity in OTHERS:
        return None
    x0, y0, x1, y1 = (float(child[key]) for key in ("x0", "y0", "x1", "y1"))
    box: Box = (x0, y0, x1 - x0, y1 - y0)
    if identity != "pedestrian" and identity not in IGNORED:
        return unknown(box, where, identity)
    reasons = [IGNORED_TAGS[tag] for tag in tags if tag in IGNORED_TAGS]
    reason = IGNORED.get(identity, reasons[0] if reasons else "")
    return Person(box, reason, _visible(tags))


def _visible(tags: Sequence[str]) -> float:
    share = 1.0
    for tag in tags:
        if tag.startswith(("occluded>", "truncated>")):
            end = tag[tag.index(">") :]
            if end not in HIDDEN:
                raise ValueError(f"tag {tag!r}")
            share *= 1 - HIDDEN[end]
    return share
