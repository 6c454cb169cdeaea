"""Annotation files in COCO form, read and checked, without the images.

What is wrong with an entry is reported with the file and the entry's id, and counted. `RULES` says
of each kind whether training stops or goes on, and what becomes of the entry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.evaluation.box_form import form_by_size
from tasksr_ros.evaluation.categories import is_pedestrian, listed, names_by_id
from tasksr_ros.evaluation.flags import is_set
from tasksr_ros.evaluation.ground_truth import stated_size
from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_training.errors import TrainingDataError, plain

CATEGORIES = [{"id": 1, "name": "pedestrian"}]
"""Of what is read, converted and measured."""

NAMED = 3
"""How many of the entries with the same problem are named."""
LARGEST = float(np.finfo(np.float32).max)
"""Boxes and shares are kept as float32."""
STOP, WARN, NOTE = "stop", "warn", "note"


@dataclass(frozen=True)
class Rule:
    """What a kind of problem means.

    Attributes:
        severity: ``stop``: training does not start; ``warn``: it goes on and says so; ``note``:
            it goes on, and only ``data check`` says so.
        text: what becomes of the entry.
    """

    severity: str
    text: str


RULES: dict[str, Rule] = {
    "missing image": Rule(STOP, "on_bad_image: skip goes on without it"),
    "corrupt image": Rule(STOP, "on_bad_image: skip goes on without it"),
    "image of another size": Rule(STOP, "on_bad_image: skip goes on without it"),
    "labels for another image size": Rule(
        STOP, "the boxes are in px of other images: labels and images must be of one size"
    ),
    "image without a readable size": Rule(
        STOP, "the data set does not give its size: its file is needed"
    ),
    "malformed image entry": Rule(
        STOP, "id and file_name are needed, ids once only; width, height and frame are numbers"
    ),
    "malformed annotation": Rule(
        STOP,
        "image_id and a bbox of four finite numbers are needed; category_id is a whole number or "
        "a text, vis_ratio a number from 0 to 1",
    ),
    "annotation of an image that is not listed": Rule(STOP, "list the image or drop the entry"),
    "inverted box": Rule(STOP, "width and height are not negative, right and bottom come last"),
    "file of boxes in another form": Rule(STOP, "x, y, width, height in px are needed"),
    "box not finite": Rule(STOP, "finite numbers are needed"),
    "polygon": Rule(WARN, "kept: the box that encloses it"),
    "box with a score": Rule(WARN, "kept, without the score: are these labels?"),
    "box without area": Rule(WARN, "dropped"),
    "box outside the image": Rule(WARN, "dropped"),
    "unknown category": Rule(WARN, "ignored: it is left open whether this is a pedestrian"),
    "other category": Rule(WARN, "dropped: only pedestrian and person are read"),
    "repeated box": Rule(WARN, "kept: were two exports joined?"),
    "grey image": Rule(WARN, "kept: the same in all three channels"),
    "16-bit image": Rule(WARN, "kept: scaled to 8 bits"),
    "dark 16-bit image": Rule(
        WARN, "kept: scaled to 8 bits, near black: are its samples fewer bits, right-aligned?"
    ),
    "repeated image": Rule(NOTE, "kept: the same file under two names"),
    "box partly outside the image": Rule(NOTE, "kept, and cut at the edge of the patch"),
}

BAD_IMAGE = ("missing image", "corrupt image", "image of another size")
"""The kinds that ``on_bad_image: skip`` leaves out."""


@dataclass(frozen=True)
class Problem:
    """Something wrong: its kind (a key of `RULES`) and where, with the id in the file."""

    kind: str
    where: str


@dataclass(frozen=True, eq=False)
class ImageEntry:
    """What an annotation file says of an image.

    Attributes:
        image_id: its id.
        file_name: relative to the annotation file's folder.
        size: width and height in px, if the file says so.
        boxes: (M, 4) float32, corners x0, y0, x1, y1 in image px.
        ignore: (M,) bool.
        reasons: why a box is ignored, M words; empty where it is not or no reason is given.
        vis_ratio: (M,) float32; NaN where not given.
        sequence: its recording, if any.
        frame: its number in it, if any.
        far_labelled: whether it is known where people are too far to be labelled
            (``dontcare_known`` of the image; true where not given).
    """

    image_id: ImageId
    file_name: str
    size: tuple[int, int] | None
    boxes: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    reasons: tuple[str, ...]
    vis_ratio: NDArray[np.float32]
    sequence: str = ""
    frame: int | None = None
    far_labelled: bool = True

    def __str__(self) -> str:
        return f"image {self.image_id} ({self.file_name})"


@dataclass(frozen=True)
class AnnotationFile:
    """An annotation file.

    Attributes:
        path: of it.
        images: in its order.
        problems: what is wrong with its entries.
        content: COCO JSON of what is kept, as training takes it: one category, 1 = pedestrian.
    """

    path: Path
    images: Sequence[ImageEntry]
    problems: Sequence[Problem]
    content: dict[str, Any]


def read_annotations(path: Path) -> AnnotationFile:
    """Read a COCO JSON file.

    Boxes with ``ignore`` or ``iscrowd`` are ignored ones. An annotation in a file without
    ``categories``, and one without ``category_id`` where no others are named, is of a pedestrian.

    Raises:
        TrainingDataError: when the file is missing or is not COCO JSON, or does not name its
            several categories.
    """
    content = _load(path)
    problems: list[Problem] = []
    by_id: dict[ImageId, dict[str, Any]] = {}
    for position, image in enumerate(content["images"]):
        image_id = checked_id(image.get("id")) if isinstance(image, dict) else None
        if image_id is None or not _is_image(image) or image_id in by_id:
            problems.append(Problem("malformed image entry", _name("image", image, position)))
        else:
            by_id[image_id] = {**image, "id": image_id}
    names = names_by_id(content.get("categories"))
    annotations: list[dict[str, Any]] = []
    boxes: dict[ImageId, list[dict[str, Any]]] = {image_id: [] for image_id in by_id}
    for position, entry in enumerate(content["annotations"]):
        problem, kept = _checked(entry, by_id, names)
        if problem:
            problems.append(Problem(problem, _name("annotation", entry, position)))
        if kept is not None:
            of_image = boxes[kept["image_id"]]
            if not _ignored(kept) and any(_same_person(other, kept) for other in of_image):
                problems.append(Problem("repeated box", _name("annotation", entry, position)))
            annotations.append({**kept, "category_id": CATEGORIES[0]["id"]})
            of_image.append(kept)
    sizes = [stated_size(by_id[a["image_id"]]) or (math.nan, math.nan) for a in annotations]
    written = np.array([a["bbox"] for a in annotations], float).reshape(-1, 4)
    if form := form_by_size(written, np.array(sizes, float).reshape(-1, 2)):
        problems.append(Problem("file of boxes in another form", form))
    entries = [_entry(image, boxes[image_id]) for image_id, image in by_id.items()]
    images = list(by_id.values())
    used = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    return AnnotationFile(path, entries, problems, used)


def inside(entry: ImageEntry, size: tuple[int, int]) -> tuple[ImageEntry, list[Problem]]:
    """Without boxes outside the image, where the file does not give its size but the image does.

    Args:
        entry: of an annotation file.
        size: the image's width and height, px.
    """
    if entry.size is not None:
        return entry, []
    xyxy = entry.boxes.astype(float)
    out = [is_outside((*b[:2], *(b[2:] - b[:2])), *size) for b in xyxy]
    where = [f"{entry}, box {', '.join(f'{v:g}' for v in b)}" for b in xyxy[out]]
    kept = ~np.array(out, bool)
    reasons = tuple(r for r, k in zip(entry.reasons, kept, strict=True) if k)
    rest = replace(
        entry,
        boxes=entry.boxes[kept],
        ignore=entry.ignore[kept],
        reasons=reasons,
        vis_ratio=entry.vis_ratio[kept],
    )
    return rest, [Problem("box outside the image", w) for w in where]


def summary(path: Path, problems: Iterable[Problem], severities: Sequence[str]) -> list[str]:
    """A line per kind of problem: how many, the first ones, and what becomes of them."""
    places: dict[str, list[str]] = {kind: [] for kind in RULES}
    for problem in problems:
        places[problem.kind].append(problem.where)
    return [
        f"{path}: {len(found)} x {kind} ({', '.join(found[:NAMED])}"
        f"{', …' if len(found) > NAMED else ''}): {RULES[kind].text}"
        for kind, found in places.items()
        if found and RULES[kind].severity in severities
    ]


def stop(path: Path, problems: Iterable[Problem]) -> None:
    """Raise a TrainingDataError about those problems that stop training, if there are any."""
    if lines := summary(path, problems, [STOP]):
        raise TrainingDataError("\n".join(lines))


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())  # with a byte order mark or without
        for key in ("images", "annotations"):
            if not isinstance(content[key], list):
                raise ValueError(f"no list of {key}")
        names = names_by_id(content.get("categories"))
    except FileNotFoundError:
        raise TrainingDataError(f"{path}: expected a COCO JSON file, there is none") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingDataError(f"{path}: expected COCO JSON, got {plain(error)}") from error
    if names and not any(map(is_pedestrian, names.values())):
        raise TrainingDataError(
            f"{path}: expected a category pedestrian or person, got {listed(names.values())}"
        )
    entries = (a for a in content["annotations"] if isinstance(a, dict))
    used = {checked_id(a.get("category_id")) for a in entries} - {None}
    if not names and len(used) > 1:
        raise TrainingDataError(
            f"{path}: expected names of categories, got none for category_id "
            f"{listed(sorted(used, key=str))}: which is people?"
        )
    return dict(content)


def entry_name(what: str, entry: Any, position: int) -> str:
    """An entry by its name, id or token, or by its place in the list, from 0."""
    for key in ("name", "id", "token"):
        if isinstance(entry, dict) and key in entry:
            return f"{what} {entry[key]}"
    return f"{what}[{position}]"


def _name(what: str, entry: Any, position: int) -> str:
    name, entry = entry_name(what, entry, position), entry if isinstance(entry, dict) else {}
    of_image = f"of image {entry['image_id']}" if "image_id" in entry else ""
    detail = entry.get("file_name") or of_image
    return f"{name} ({detail})" if detail else name


def _is_image(image: Any) -> bool:
    return (
        isinstance(image, dict)
        and isinstance(image.get("file_name"), str)
        and all(_is_number_if_given(image.get(key)) for key in ("width", "height", "frame"))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LARGEST


def _is_number_if_given(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_share_if_given(value: Any) -> bool:
    return value is None or (_is_number(value) and 0 <= value <= 1)


def _checked(
    entry: Any, images: dict[ImageId, dict[str, Any]], names: dict[ImageId, str]
) -> tuple[str, dict[str, Any] | None]:
    """Kind of problem, or empty, and the annotation if it is kept."""
    if not _is_annotation(entry):
        return "malformed annotation", None
    entry = {**entry, "image_id": checked_id(entry["image_id"])}
    if entry["image_id"] not in images:
        return "annotation of an image that is not listed", None
    category = checked_id(entry.get("category_id"))
    if category is None:
        known = all(map(is_pedestrian, names.values()))
    else:
        known = not names or category in names
    if category in names and not is_pedestrian(names[category]):
        return "other category", None
    x, y, w, h = entry["bbox"]
    if w < 0 or h < 0:
        return "inverted box", None
    if w == 0 or h == 0:
        return "box without area", None
    if not known:
        return "unknown category", {**entry, "ignore": 1, "ignore_reason": "unknown category"}
    image = images[entry["image_id"]]
    width, height = image.get("width") or 0, image.get("height") or 0
    if width > 0 and height > 0:
        if is_outside(entry["bbox"], width, height):
            return "box outside the image", None
        if x < 0 or y < 0 or x + w > width or y + h > height:
            return "box partly outside the image", entry
    return "", entry


def _same_person(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return not _ignored(one) and one["bbox"] == other["bbox"]


def _ignored(annotation: dict[str, Any]) -> bool:
    return is_set(annotation.get("ignore")) or is_set(annotation.get("iscrowd"))


def is_outside(box: Sequence[float], width: float, height: float) -> bool:
    """Whether nothing of a box (x, y, width, height) is in an image of this size."""
    x, y, w, h = box
    return x >= width or y >= height or x + w <= 0 or y + h <= 0


def _is_annotation(entry: Any) -> bool:
    box = entry.get("bbox") if isinstance(entry, dict) else None
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(_is_number(v) for v in box)
        and checked_id(entry.get("image_id")) is not None
        and (entry.get("category_id") is None or checked_id(entry["category_id"]) is not None)
        and _is_share_if_given(entry.get("vis_ratio"))
        and all(_is_flag(entry.get(name)) for name in ("ignore", "iscrowd"))
    )


def _is_flag(value: Any) -> bool:
    try:
        is_set(value)
    except ValueError:
        return False
    return True


def _entry(image: dict[str, Any], annotations: Sequence[dict[str, Any]]) -> ImageEntry:
    boxes = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    ignore = list(map(_ignored, annotations))
    shares = [a.get("vis_ratio") for a in annotations]
    width, height = image.get("width") or 0, image.get("height") or 0
    sequence = image.get("sequence")
    return ImageEntry(
        image["id"],
        image["file_name"].replace("\\", "/"),  # as Windows writes it, too
        (int(width), int(height)) if width > 0 and height > 0 else None,
        boxes,
        np.array(ignore, bool),
        tuple(str(a.get("ignore_reason") or "") for a in annotations),
        np.array([math.nan if s is None else s for s in shares], np.float32),
        "" if sequence is None else str(sequence),
        int(image["frame"]) if image.get("frame") is not None else None,
        image.get("dontcare_known") is not False,
    )
