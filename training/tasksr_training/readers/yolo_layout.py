"""Where a YOLO data set keeps its names, images and labels: the layouts of common tools."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasksr_ros.errors import RecordingError
from tasksr_ros.evaluation.categories import is_pedestrian, word
from tasksr_ros.io.named_images import NamedImages
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_files import IMAGE_SUFFIXES
from tasksr_training.readers.form import load_lines, reading

logger = logging.getLogger(__name__)

CONFIGS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
LISTS = ("classes.txt", "predefined_classes.txt", "*.names", "_darknet.labels")
"""Files with the names of the classes: YAML, or a name a line."""


@dataclass(frozen=True)
class Layout:
    """A split.

    Attributes:
        images: folder of its images.
        labels: folder of its labels, by the images' names.
        listed: those of the images that a list of the split names; None where there is none.
        classes: names by class number; None where no file names them.
        key_points: numbers that follow a box, of ``kpt_shape``; 0 of boxes and polygons.
    """

    images: Path
    labels: Path
    listed: frozenset[Path] | None
    classes: Mapping[int, str] | None
    key_points: int

    def files(self) -> list[Path]:
        """The images, sorted."""
        found = (p for p in self.images.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        shown = (path for path in found if not path.name.startswith("."))
        return sorted(p for p in shown if self.listed is None or p in self.listed)

    def label(self, image: Path) -> Path:
        """The file of an image's labels; there is none of an image without objects."""
        return (self.labels / image.relative_to(self.images)).with_suffix(".txt")


def find_layout(source: Path, split: str) -> Layout:
    """Find a split.

    Its images are in ``images/SPLIT``, ``SPLIT/images``, ``SPLIT`` or where ``data.yaml`` or
    ``SPLIT.txt`` says, which may name some of a folder's; its labels in the same folder with
    ``labels`` for ``images``, else beside the images.

    Raises:
        TrainingDataError: if there is no such split, it may be either of two, or files disagree
            about the names of the classes.
    """
    config = _config(source)
    places = [source / "images" / split, source / split / "images", *_stated(source, config, split)]
    found = list(dict.fromkeys(Path(os.path.abspath(p)) for p in places if p.is_dir()))
    flat = Path(os.path.abspath(source / split))
    if not found and flat.is_dir() and any(p.suffix == ".txt" for p in flat.iterdir()):
        found = [flat]
    listed = _listed(source, config, split)
    if not found and listed is not None:
        found = sorted({path.parent for path in listed})
    if len(found) != 1:
        raise TrainingDataError(
            f"{source}: expected the images of the split {split!r} in images/{split} or "
            f"{split}/images, got {' and '.join(map(str, found)) or 'neither'}"
        )
    images, root = found[0], Path(os.path.abspath(source))
    labels = _labels(images, root)
    beside = {root, labels, labels.parent, images, images.parent}
    classes = _classes(sorted(folder for folder in beside if folder.is_relative_to(root)))
    shape = config.get("kpt_shape") or ()
    with reading(source / "data.yaml", "kpt_shape as two numbers"):
        key_points = int(shape[0]) * int(shape[1]) if shape else 0
    return Layout(images, labels, listed, classes, key_points)


def _config(source: Path) -> dict[str, Any]:
    for name in CONFIGS:
        path = source / name
        if path.exists():
            with reading(path, "a YAML file with names of classes"):
                content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
                return dict(content)
    return {}


def _stated(source: Path, config: Mapping[str, Any], split: str) -> list[Path]:
    """Where ``data.yaml`` says the split's images are; exporters begin with a ``../`` too many."""
    given = config.get(split)
    values = given if isinstance(given, list) else [given]
    root, places = source / str(config.get("path") or ""), []
    for value in values:
        if not isinstance(value, str) or value.endswith(".txt"):
            continue
        inner = Path(*[part for part in Path(value).parts if part not in ("..", ".", "/")])
        places += [root / value, source / value, source / inner]
    found = (Path(os.path.abspath(p)) for p in places)
    return [p for p in found if p.is_relative_to(os.path.abspath(source))]


def _listed(source: Path, config: Mapping[str, Any], split: str) -> frozenset[Path] | None:
    """The images that the split's list names, None where there is no list."""
    given = config.get(split)
    name = given if isinstance(given, str) and given.endswith(".txt") else f"{split}.txt"
    path = source / name
    if not path.is_file():
        return None
    names = [" ".join(words) for _, words in load_lines(path, "a list of images")]
    try:
        matches = NamedImages(path, names).below(Path(os.path.abspath(source)))
    except RecordingError as error:
        raise TrainingDataError(str(error)) from None
    found = frozenset(m.folder / leaf for m in matches for leaf in m.positions)
    if len(found) < len(set(names)):
        logger.warning(
            "%s: %d of %d images are not there", path, len(set(names)) - len(found), len(names)
        )
    return found


def _labels(images: Path, root: Path) -> Path:
    """The last ``images`` of the path becomes ``labels``, as in Ultralytics' loader."""
    parts = list(images.relative_to(root).parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return root.joinpath(*parts)


def _classes(folders: Iterable[Path]) -> dict[int, str] | None:
    found: dict[Path, dict[int, str]] = {}
    for folder in folders:
        for path in (p for name in (*CONFIGS, *LISTS) for p in sorted(folder.glob(name))):
            found[path] = _names(path)
    if not found:
        return None
    (first, classes), *others = found.items()
    for path, other in others:
        if other != classes:
            raise TrainingDataError(
                f"{path}: expected the names of {first} ({', '.join(classes.values())}), "
                f"got {', '.join(other.values())}"
            )
    return classes


def _names(path: Path) -> dict[int, str]:
    with reading(path, "names of classes"):
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix in (".yaml", ".yml"):
            content = yaml.safe_load(text)
            names = content["names"]
            if "nc" in content and int(content["nc"]) != len(names):
                raise ValueError(f"{len(names)} names, but nc {content['nc']}")
        else:
            names = [line for line in text.splitlines() if line.strip()]
        numbered = names.items() if isinstance(names, dict) else enumerate(names)
        classes = {int(number): word(name) for number, name in numbered}
        if not any(map(is_pedestrian, classes.values())):
            raise ValueError(
                f"neither pedestrian nor person among the names ({', '.join(classes.values())})"
            )
        return classes
