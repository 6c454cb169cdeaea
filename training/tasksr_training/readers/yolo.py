"""YOLO text files.

Layout, as Ultralytics documents it (docs.ultralytics.com/datasets/detect)::

    data.yaml                with ``names``: a list, or a mapping from class number to name
    images/train/a.jpg
    labels/train/a.txt       absent where the image has no objects

Each line is a class number and the box's centre x, y, width, height as shares of the image's size.
``pedestrian`` and ``person`` count; without ``data.yaml`` class 0 does. Other classes are left out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import yaml

from tasksr_training.image_files import IMAGE_SUFFIXES
from tasksr_training.readers.form import (
    AnnotatedImage,
    Box,
    Person,
    load_lines,
    reading,
    size_in_file,
    unknown,
)

COUNTED = ("pedestrian", "person")
FORM = "YOLO lines (class, centre x, centre y, width, height from 0 to 1)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the folder's name below ``images`` and ``labels``, such as ``train``."""
    classes = _classes(source / "data.yaml")
    paths = sorted(
        p for p in (source / "images" / split).glob("**/*") if p.suffix.lower() in IMAGE_SUFFIXES
    )
    return [_image(path, source, classes) for path in paths]


def _classes(path: Path) -> dict[int, str] | None:
    """Names by class number; None without the file."""
    if not path.exists():
        return None
    with reading(path, "a YAML file with names of classes"):
        names = yaml.safe_load(path.read_text())["names"]
        numbered = names.items() if isinstance(names, dict) else enumerate(names)
        classes = {int(number): str(name).lower() for number, name in numbered}
        if not any(name in COUNTED for name in classes.values()):
            raise ValueError(f"neither {' nor '.join(COUNTED)} among the names")
        return classes


def _image(path: Path, source: Path, classes: dict[int, str] | None) -> AnnotatedImage:
    name = path.relative_to(source)
    width, height, problem = size_in_file(path, "image")
    labels = (source / "labels" / name.relative_to("images")).with_suffix(".txt")
    people, left_out = [], Counter[str]()
    for where, words in load_lines(labels, FORM) if labels.exists() else []:
        with reading(Path(where), FORM):
            if len(words) != 5:
                raise ValueError(f"{len(words)} columns")
            x, y, w, h = (float(word) for word in words[1:])
            box: Box = ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
            category = _category(int(words[0]), classes)
        if category is None:
            people.append(unknown(box, where, f"class {words[0]}"))
        elif category in COUNTED:
            people.append(Person(box))
        else:
            left_out[category] += 1
    return AnnotatedImage(
        name.as_posix(), width, height, people, left_out=left_out, problem=problem
    )


def _category(number: int, classes: dict[int, str] | None) -> str | None:
    """Its name; None where ``data.yaml`` does not have the number."""
    if classes is None:
        return f"class {number}" if number else COUNTED[0]
    return classes.get(number)
