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

from tasksr_training.image_files import IMAGE_SUFFIXES, image_size
from tasksr_training.readers.form import AnnotatedImage, Person, load_lines, reading

COUNTED = ("pedestrian", "person")
FORM = "YOLO lines (class, centre x, centre y, width, height from 0 to 1)"


def read(source: Path, split: str) -> list[AnnotatedImage]:
    """Read a split: the folder's name below ``images`` and ``labels``, such as ``train``."""
    classes = _classes(source / "data.yaml")
    paths = sorted(
        p for p in (source / "images" / split).glob("**/*") if p.suffix.lower() in IMAGE_SUFFIXES
    )
    return [_image(path, source, classes) for path in paths]


def _classes(path: Path) -> set[int]:
    if not path.exists():
        return {0}
    with reading(path, "a YAML file with names of classes"):
        names = yaml.safe_load(path.read_text())["names"]
        numbered = names.items() if isinstance(names, dict) else enumerate(names)
        classes = {int(n) for n, name in numbered if str(name).lower() in COUNTED}
        if not classes:
            raise ValueError(f"neither {' nor '.join(COUNTED)} among the names")
        return classes


def _image(path: Path, source: Path, classes: set[int]) -> AnnotatedImage:
    name = path.relative_to(source)
    width, height = image_size(path)
    labels = (source / "labels" / name.relative_to("images")).with_suffix(".txt")
    people, left_out = [], Counter[str]()
    for where, words in load_lines(labels, FORM) if labels.exists() else []:
        with reading(Path(where), FORM):
            if len(words) != 5:
                raise ValueError(f"{len(words)} columns")
            x, y, w, h = (float(word) for word in words[1:])
            if int(words[0]) not in classes:
                left_out[f"class {words[0]}"] += 1
                continue
            people.append(
                Person(((x - w / 2) * width, (y - h / 2) * height, w * width, h * height))
            )
    return AnnotatedImage(name.as_posix(), width, height, people, left_out=left_out)
