"""The ground truth of an evaluation: COCO JSON as arrays.

Beside what COCO knows, images may have ``sequence``, ``camera``, ``frame`` and ``stamp_ns``;
annotations ``ignore`` (``iscrowd`` means the same), ``height`` (px, of the whole person; else the
box's), ``vis_ratio`` (share that is seen; else 1), ``distance_m``, ``track_id``, and KITTI's
``occlusion`` (0, 1, 2) and ``truncation`` (0..1), else 0.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.box_form import form_by_size
from tasksr_ros.evaluation.categories import (
    NEIGHBOURS,
    is_pedestrian,
    listed,
    names_by_id,
    same_words,
    word,
)
from tasksr_ros.evaluation.flags import is_set
from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_ros.evaluation.matching import Bools, Floats, Ints
from tasksr_ros.evaluation.units import other_unit

ROBOFLOW = "_annotations.coco.json"
"""What Roboflow exports into the folder of each split, beside its images."""
_RANGES = {
    "vis_ratio": (0.0, 1.0),
    "occlusion": (-1.0, 3.0),
    "truncation": (-1.0, 1.0),
}
"""Least and largest that an annotation may say; KITTI writes -1 where it does not know."""
_COLUMNS = (
    "image",
    "xywh",
    "height",
    "area",
    "visibility",
    "occlusion",
    "truncation",
    "distance",
    "ignore",
    "neighbour",
)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Images and people in them. Images are in rising order of their ids where these are numbers.

    Attributes:
        path: of the file.
        sha256: of the file.
        image_ids: (N,) ids.
        images: (N,) their COCO entries.
        image: (G,) index of each box's image, rising.
        xywh: (G, 4) px.
        height: (G,) px.
        area: (G,) px², COCO's ``area``.
        visibility: (G,) 0..1.
        occlusion: (G,) KITTI's level.
        truncation: (G,) KITTI's share.
        distance: (G,) m, nan where unknown.
        ignore: (G,) whether there is a pedestrian in the box is left open.
        neighbour: (G,) of a category of `NEIGHBOURS`.
        track: (G,) ids or None.
        has_visibility: whether any annotation states it.
        pedestrian_ids: category ids that stand for pedestrians; None: all do.
        problems: kind -> number of annotations left out or doubtful.
    """

    path: Path
    sha256: str
    image_ids: list[ImageId]
    images: list[Mapping[str, Any]]
    image: Ints
    xywh: Floats
    height: Floats
    area: Floats
    visibility: Floats
    occlusion: Floats
    truncation: Floats
    distance: Floats
    ignore: Bools
    neighbour: Bools
    track: list[ImageId | None]
    has_visibility: bool
    pedestrian_ids: frozenset[ImageId] | None
    problems: dict[str, int]

    @property
    def num_images(self) -> int:
        """Images, those without people included."""
        return len(self.image_ids)

    def sequence_of(self, image: int) -> str | None:
        """Sequence of the image of this index."""
        sequence = self.images[image].get("sequence")
        return None if sequence is None else str(sequence)

    def sizes(self) -> Floats:
        """(N, 2) width and height that the file states for each image, px; else nan."""
        unknown = (math.nan, math.nan)
        stated = [stated_size(image) or unknown for image in self.images]
        return np.array(stated, float).reshape(-1, 2)

    def sequences(self) -> list[str | None]:
        """(N,) sequence of each image."""
        return [self.sequence_of(k) for k in range(self.num_images)]

    def restrict(self, image_ids: Sequence[ImageId]) -> GroundTruth:
        """Only these images, in this object's order; ids that it lacks are left out."""
        wanted = set(image_ids)
        keep = np.array([i in wanted for i in self.image_ids], bool)
        if keep.all():
            return self
        new_index = np.cumsum(keep) - 1
        return replace(
            self._boxes(keep[self.image]),
            image_ids=[self.image_ids[i] for i in np.flatnonzero(keep)],
            images=[self.images[i] for i in np.flatnonzero(keep)],
            image=new_index[self.image[keep[self.image]]],
        )

    def with_stamps(self, stamps: Mapping[ImageId, int]) -> GroundTruth:
        """With ``stamp_ns``, by image id, for images that have none."""
        if not stamps:
            return self
        images = [
            {"stamp_ns": stamps[i], **entry} if i in stamps else entry
            for i, entry in zip(self.image_ids, self.images, strict=True)
        ]
        return replace(self, images=images)

    def without_neighbours(self) -> GroundTruth:
        """Only pedestrians."""
        return self._boxes(~self.neighbour) if self.neighbour.any() else self

    def _boxes(self, keep: Bools) -> GroundTruth:
        parts: dict[str, Any] = {name: getattr(self, name)[keep] for name in _COLUMNS}
        return replace(self, track=[self.track[i] for i in np.flatnonzero(keep)], **parts)


def read_ground_truth(path: Path, category: str = "pedestrian") -> GroundTruth:
    """Read the boxes of one category of a COCO JSON file, or of the one in a split's folder.

    Boxes with a negative or non-finite number are left out and counted in ``problems``, as are
    those of other categories. Kept as ignored ones and counted: boxes without area, and those of
    a category that the file does not name. Kept and counted: boxes outside the size that the file
    states for their image, and those of people that are repeated. Where the file names no
    categories, all of one ``category_id`` are pedestrians; so are those without one, unless other
    categories are named.

    Raises:
        EvaluationError: for a file that is not COCO JSON, lists an image twice or no image, has
            an annotation of an image that it does not list, names no such category, has boxes
            of another form than x, y, width, height in px, or heights, distances or stamps in
            other units than px, m and ns.
    """
    path = annotation_file(path)
    data, sha256 = load_json(path)
    images, annotations = _lists(path, data)
    ids = [_image_id(path, k, entry) for k, entry in enumerate(images)]
    twice = [i for i, n in Counter(ids).items() if n > 1]
    if twice:
        raise EvaluationError(f"{path}: image id {twice[0]!r} stands there more than once")
    if not ids:
        raise EvaluationError(f"{path}: expected images, the list is empty")
    if not any(isinstance(i, str) for i in ids):
        order = sorted(range(len(ids)), key=lambda k: ids[k])
        ids, images = [ids[k] for k in order], [images[k] for k in order]
    images = [_with_whole_stamp(path, entry) for entry in images]
    kinds = _kinds(path, data, annotations, category)
    truth = _build(path, sha256, ids, images, annotations, kinds)
    if form := form_by_size(truth.xywh, truth.sizes()[truth.image]):
        raise EvaluationError(
            f"{path}: bbox must be [x, y, width, height] in px, these look like {form}, by the "
            f"images' sizes"
        )
    people = truth._boxes(~truth.ignore)
    if unit := other_unit(people.height, people.xywh[:, 3], people.distance, truth.images):
        raise EvaluationError(f"{path}: {unit}")
    return truth


def annotation_file(path: Path) -> Path:
    """The COCO file of a split's folder as Roboflow exports it; any other path is itself."""
    beside = path / ROBOFLOW
    return beside if beside.is_file() else path


def load_json(path: Path) -> tuple[Any, str]:
    """Content and SHA-256 of a JSON file.

    Raises:
        EvaluationError: when it is missing or is no JSON.
    """
    try:
        raw = path.read_bytes()
        return json.loads(raw), hashlib.sha256(raw).hexdigest()
    except FileNotFoundError:
        raise EvaluationError(f"{path}: expected a JSON file, there is none") from None
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path}: expected JSON, got: {error}") from None


def numbers(value: object, count: int) -> tuple[float, ...] | None:
    """A list of ``count`` numbers (nan and infinities included), else None."""
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        return None
    return tuple(float(v) for v in value)


def stated_size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height in px that a COCO image entry states, None where it states none."""
    sides = [checked_id(image.get(key)) for key in ("width", "height")]
    width, height = (side if isinstance(side, int) else 0 for side in sides)
    return (width, height) if width > 0 and height > 0 else None


def is_outside(box: Sequence[float], size: tuple[int, int] | None) -> bool:
    """Whether nothing of a box (x, y, width, height) is in an image of this size."""
    x, y, w, h = box
    return size is not None and (x >= size[0] or y >= size[1] or x + w <= 0 or y + h <= 0)


def _lists(path: Path, data: Any) -> tuple[list[Any], list[Any]]:
    if not isinstance(data, dict):
        raise EvaluationError(
            f"{path}: expected COCO JSON with images and annotations, got a {type(data).__name__}"
        )
    for key in ("images", "annotations"):
        if not isinstance(data.get(key), list):
            raise EvaluationError(
                f"{path}: expected COCO JSON with a list of {key}, "
                f"got the keys {', '.join(sorted(map(str, data))) or '(none)'}"
            )
        for k, entry in enumerate(data[key]):
            if not isinstance(entry, dict):
                raise EvaluationError(f"{path}: {key}[{k}] must be an object, got {entry!r:.60}")
    return data["images"], data["annotations"]


def _image_id(path: Path, index: int, entry: dict[str, Any]) -> ImageId:
    image_id = checked_id(entry.get("id"))
    if image_id is None:
        raise EvaluationError(
            f"{path}: images[{index}].id must be a whole number or a text, got {entry.get('id')!r}"
        )
    return image_id


def _with_whole_stamp(path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry, its stamp a number where it is a text."""
    if entry.get("stamp_ns") is None:
        return entry
    try:
        stamp = int(entry["stamp_ns"])
        if isinstance(entry["stamp_ns"], float) and stamp != entry["stamp_ns"]:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise EvaluationError(
            f"{path}: stamp_ns of image {entry.get('id')!r} must be whole nanoseconds, "
            f"got {entry['stamp_ns']!r:.60}"
        ) from None
    return {**entry, "stamp_ns": stamp}


WANTED, NEIGHBOUR, OTHER, UNKNOWN = "wanted", "neighbour", "other", "unknown"


@dataclass(frozen=True)
class _Kinds:
    """Ids of the category that is read (None: any), of its neighbours, and of all with names."""

    wanted: frozenset[ImageId] | None
    neighbours: frozenset[ImageId]
    named: frozenset[ImageId]

    def of(self, category: ImageId | None) -> str:
        """What an annotation of this category id, None of one without, is."""
        if category in self.neighbours:
            return NEIGHBOUR
        if self.wanted is None or category in self.wanted:
            return WANTED
        if category is None:
            return WANTED if self.named == self.wanted else UNKNOWN
        return OTHER if category in self.named else UNKNOWN


def _kinds(
    path: Path, data: dict[str, Any], annotations: list[dict[str, Any]], category: str
) -> _Kinds:
    try:
        names = names_by_id(data.get("categories"))
    except ValueError as error:
        raise EvaluationError(f"{path}: {error}") from None
    wanted = same_words(category)
    chosen = frozenset(i for i, name in names.items() if word(name) in wanted)
    neighbours = frozenset(i for i, name in names.items() if word(name) in NEIGHBOURS)
    if chosen:
        theirs = neighbours if is_pedestrian(category) else frozenset()
        return _Kinds(chosen, theirs, frozenset(names))
    used = {checked_id(a.get("category_id")) for a in annotations} - {None}
    if not names and len(used) <= 1 and is_pedestrian(category):
        return _Kinds(None, frozenset(), frozenset())
    raise EvaluationError(
        f"{path}: expected a category named "
        f"{'pedestrian or person' if is_pedestrian(category) else word(category)}, "
        f"got {listed(names.values())} (--category evaluates another)"
    )


def _build(
    path: Path,
    sha256: str,
    ids: list[ImageId],
    images: list[Any],
    annotations: list[dict[str, Any]],
    kinds: _Kinds,
) -> GroundTruth:
    index = {image_id: k for k, image_id in enumerate(ids)}
    sizes = [stated_size(image) for image in images]
    problems: Counter[str] = Counter()
    rows: list[tuple[float, ...]] = []
    tracks: list[ImageId | None] = []
    for k, entry in enumerate(annotations):
        where = index.get(checked_id(entry.get("image_id")))  # type: ignore[arg-type]
        if where is None:
            raise EvaluationError(
                f"{path}: annotations[{k}] is of image {entry.get('image_id')!r}, "
                "which is not listed"
            )
        box = numbers(entry.get("bbox"), 4)
        if box is None:
            raise EvaluationError(
                f"{path}: annotations[{k}].bbox must be [x, y, width, height], "
                f"got {entry.get('bbox')!r:.60}"
            )
        kind = kinds.of(checked_id(entry.get("category_id")))
        if kind == OTHER:
            problems["other_category"] += 1
        elif not all(map(math.isfinite, box)):
            problems["box_not_finite"] += 1
        elif min(box[2:]) < 0:
            problems["box_negative"] += 1
        else:
            empty = min(box[2:]) == 0
            problems["box_without_area"] += empty
            problems["unknown_category"] += kind == UNKNOWN
            problems["box_outside_image"] += is_outside(box, sizes[where])
            left_open = empty or kind == UNKNOWN
            attributes = _attributes(path, k, entry, box)
            rows.append((where, *box, *attributes, left_open, kind == NEIGHBOUR))
            tracks.append(checked_id(entry.get("track_id")))
    table = np.array(rows, float).reshape(-1, 14)
    counting = table[~table[:, 11:].any(1), :5]
    problems["repeated_box"] = len(counting) - len(np.unique(counting, axis=0))
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    return GroundTruth(
        path,
        sha256,
        ids,
        images,
        image=table[:, 0].astype(np.int64),
        xywh=table[:, 1:5],
        height=table[:, 5],
        area=table[:, 6],
        visibility=table[:, 7],
        occlusion=table[:, 8],
        truncation=table[:, 9],
        distance=np.where(table[:, 10] > 0, table[:, 10], math.nan),
        ignore=(table[:, 11] > 0) | (table[:, 12] > 0),
        neighbour=table[:, 13] > 0,
        track=[tracks[k] for k in order],
        has_visibility=any(a.get("vis_ratio") is not None for a in annotations),
        pedestrian_ids=kinds.wanted,
        problems={kind: number for kind, number in problems.items() if number},
    )


def _attributes(
    path: Path, index: int, entry: dict[str, Any], box: tuple[float, ...]
) -> tuple[float, ...]:
    defaults = {
        "height": box[3],
        "area": box[2] * box[3],
        "vis_ratio": 1.0,
        "occlusion": 0.0,
        "truncation": 0.0,
        "distance_m": math.nan,
    }
    values = []
    for name, default in defaults.items():
        value = entry.get(name)
        if value is None:
            value = default
        elif not isinstance(value, (int, float)):
            raise EvaluationError(
                f"{path}: annotations[{index}].{name} must be a number, got {value!r:.60}"
            )
        low, high = _RANGES.get(name, (-math.inf, math.inf))
        if not (low <= value <= high or math.isnan(value)):
            raise EvaluationError(
                f"{path}: annotations[{index}].{name} must be {low:g} to {high:g}, got {value:g}"
            )
        values.append(float(value))
    return (*values, float(any(_flag(path, index, entry, n) for n in ("ignore", "iscrowd"))))


def _flag(path: Path, index: int, entry: dict[str, Any], name: str) -> bool:
    try:
        return is_set(entry.get(name))
    except ValueError as error:
        raise EvaluationError(f"{path}: annotations[{index}].{name} {error}") from None
