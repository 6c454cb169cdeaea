"""A predictions file: COCO results JSON as arrays, and what the run wrote about itself.

``P.json`` is a list of ``{"image_id", "category_id", "bbox", "score"}`` with optional
``distance_m`` and its standard deviation ``distance_sd_m``. Beside it may lie ``P.run.json``, an
object with any of ``name``, ``info``,
``image_ids`` (images that were processed: the evaluation is over these),
``without_ground_truth`` (those of them that the ground truth is known to lack), ``latency_ms``
(stage -> ms of each frame) and, of a replay, ``frames`` with their stamps. One object that holds
the list as ``detections`` beside these keys does as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.box_form import ENOUGH, form_by_match, form_by_size
from tasksr_ros.evaluation.ground_truth import (
    GroundTruth,
    is_outside,
    load_json,
    numbers,
    stated_size,
)
from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_ros.evaluation.matching import Floats, Ints
from tasksr_ros.evaluation.mismatch import Written, why_nobody
from tasksr_ros.evaluation.other_ids import they_look_like

RUN_SUFFIX = ".run.json"
KEPT_OF_RUN = ("mode", "region", "frames_per_second", "counts", "warnings")
"""Keys of a run that join its ``info``."""
_MET = 0.25
"""Share of people, or of predictions, up to which other readings of a file are tried."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Detections in the images of one `GroundTruth`.

    Attributes:
        name: of the run, for tables.
        path: of the file.
        sha256: of the file.
        image: (D,) index of the image, rising; within an image in the file's order.
        xywh: (D, 4) image px.
        score: (D,) finite.
        distance: (D,) m, nan where not stated.
        distance_sd: (D,) its standard deviation, m, likewise.
        image_ids: images that were processed; None: all of the ground truth.
        info: what the run wrote about itself.
        latency_ms: stage -> ms of each frame.
        stamps: ns by image id, of a recording whose frames the ground truth knows by number.
        problems: kind -> number of predictions left out or doubtful.
    """

    name: str
    path: Path
    sha256: str
    image: Ints
    xywh: Floats
    score: Floats
    distance: Floats
    distance_sd: Floats
    image_ids: list[ImageId] | None
    info: Mapping[str, Any]
    latency_ms: Mapping[str, Sequence[float]]
    stamps: Mapping[ImageId, int]
    problems: dict[str, int]

    def restrict(self, old: GroundTruth, new: GroundTruth) -> Predictions:
        """The detections in the images of ``new``, which is `GroundTruth.restrict` of ``old``."""
        if new is old:
            return self
        place = {image_id: k for k, image_id in enumerate(new.image_ids)}
        index = np.array([place.get(i, -1) for i in old.image_ids], np.int64)[self.image]
        keep = index >= 0
        return replace(
            self,
            image=index[keep],
            xywh=self.xywh[keep],
            score=self.score[keep],
            distance=self.distance[keep],
            distance_sd=self.distance_sd[keep],
        )


def read_predictions(path: Path, truth: GroundTruth) -> Predictions:
    """Read a predictions file for the images of a ground truth.

    Left out and counted in ``problems``: predictions in images that the ground truth or the list
    of processed images lacks, of other categories, with a score or box that is not finite or a
    box of negative size. Kept and counted: boxes without area, or outside the size that the
    ground truth states for their image, repeated predictions, and all of several predictions where
    not one is on a person.

    Raises:
        EvaluationError: for a file that is not such JSON, if none of its images are known, if
            its boxes are of another form than x, y, width, height in px, if people are met only
            when it is read otherwise (other ids of images or of the category, px of other images:
            `mismatch`), or if the frames that the run saw have other sizes than the ground
            truth's images.
    """
    data, sha256 = load_json(path)
    run = _run(path, data)
    entries = data.get("detections") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise EvaluationError(
            f"{path}: expected a list of predictions (COCO results), got {_shape(data)}"
        )
    unlabelled = _ids(path, run, "without_ground_truth") or set()
    _check_sizes(path, run, truth)
    processed, unknown = _processed(path, run, truth, unlabelled)
    rows, problems = _rows(path, entries, truth, processed, unlabelled)
    problems["processed_image_not_in_ground_truth"] = unknown
    lost = problems["image_not_in_ground_truth"]
    if entries and lost == len(entries):
        raise EvaluationError(
            f"{path}: none of the {lost} predictions is of an image of {truth.path}; "
            f"expected ids such as {truth.image_ids[0]!r}, got {entries[0].get('image_id')!r}"
            f"{_instead(_written(entries).ids, truth)}"
        )
    _check_categories(path, entries, truth)
    table = np.array(rows, float).reshape(-1, 8)
    table = table[np.argsort(table[:, 0], kind="stable")]
    as_written = _check_form(path, table, truth)
    if entries and as_written <= _MET * min(len(truth.image), len(entries)):
        _check_readings(path, entries, truth)
    if entries and problems["other_category"] == len(entries):
        raise EvaluationError(
            f"{path}: none of the {len(entries)} predictions is of its category; expected "
            f"category_id {_listed(truth.pedestrian_ids)}, got {entries[0].get('category_id')!r}"
        )
    several = min(len(truth.image), len(table)) >= ENOUGH
    problems["prediction_and_none_on_a_person"] = len(table) * (several and not as_written)
    problems["repeated_prediction"] = len(table) - len(np.unique(table[:, :6], axis=0))
    return Predictions(
        name=str(run.get("name") or path.stem),
        path=path,
        sha256=sha256,
        image=table[:, 0].astype(np.int64),
        xywh=table[:, 1:5],
        score=table[:, 5],
        distance=table[:, 6],
        distance_sd=table[:, 7],
        image_ids=processed,
        info={**(run.get("info") or {}), **{k: run[k] for k in KEPT_OF_RUN if k in run}},
        latency_ms=_latency(path, run.get("latency_ms")),
        stamps=_stamps(path, run),
        problems={kind: number for kind, number in problems.items() if number},
    )


def _run(path: Path, data: Any) -> Mapping[str, Any]:
    """What the run wrote about itself, {} where it wrote nothing."""
    if isinstance(data, dict):
        return data
    beside = path.with_name(path.stem + RUN_SUFFIX)
    if not beside.is_file():
        return {}
    run, _ = load_json(beside)
    if not isinstance(run, dict):
        raise EvaluationError(f"{beside}: expected an object, got {_shape(run)}")
    return run


def _check_sizes(path: Path, run: Mapping[str, Any], truth: GroundTruth) -> None:
    """Boxes of ground truth and predictions are in px of the same images."""
    seen = {
        checked_id(frame.get("image_id")): stated_size(frame)
        for frame in run.get("frames") or ()
        if isinstance(frame, dict)
    }
    wrong = [
        (image_id, stated, seen[image_id])
        for image_id, stated in zip(truth.image_ids, map(stated_size, truth.images), strict=True)
        if stated is not None and seen.get(image_id) not in (None, stated)
    ]
    if wrong:
        image_id, stated, size = wrong[0]
        raise EvaluationError(
            f"{path}: its frames must have the sizes of the images of {truth.path}, got "
            f"{_px(size)} for image {image_id!r}, which has {_px(stated)} there "
            f"({len(wrong)} images differ)"
        )


def _check_form(path: Path, table: Floats, truth: GroundTruth) -> int:
    """Boxes are x, y, width, height in px: others are as many numbers, but score wrongly.

    Returns:
        how many of the strongest predictions are on a person.
    """
    found, people = (table[:, 0].astype(np.int64), table[:, 1:5]), (truth.image, truth.xywh)
    sizes = truth.sizes()
    form = form_by_size(found[1], sizes[found[0]])
    if form:
        raise _other_form(path, form, "by the images' sizes")
    form, so, as_written = form_by_match(found, table[:, 5], people, sizes[found[0]])
    if form:
        lie = f"lie on people of {truth.path}, as written {as_written}"
        raise _other_form(path, form, f"read so, {so} of {len(table)} {lie}")
    _check_truth_form(path, found, table[:, 5], truth, as_written)
    return as_written


def _check_truth_form(
    path: Path, found: tuple[Ints, Floats], scores: Floats, truth: GroundTruth, as_written: int
) -> None:
    """The same of the ground truth; the strongest predictions tell, weak ones lie anywhere."""
    people, sizes = (truth.image, truth.xywh), truth.sizes()[truth.image]
    strongest = np.sort(np.argsort(-scores, kind="stable")[: max(ENOUGH, len(truth.image))])
    strong = found[0][strongest], found[1][strongest]
    form, so, _ = form_by_match(people, np.ones(len(truth.image)), strong, sizes)
    if form and so >= ENOUGH:
        lie = f"are where {path} finds some, as written {as_written}"
        raise _other_form(truth.path, form, f"read so, {so} of {len(truth.image)} people {lie}")


def _check_categories(path: Path, entries: list[Any], truth: GroundTruth) -> None:
    """Where the ground truth does not name people's category, there is one."""
    found = {checked_id(entry.get("category_id")) for entry in entries} - {None}
    if truth.pedestrian_ids is None and len(found) > 1:
        raise EvaluationError(
            f"{path}: its predictions are of category_id {_listed(found)}, and {truth.path} does "
            f"not say which is people: expected categories with names there, or one category here"
        )


def _check_readings(path: Path, entries: list[Any], truth: GroundTruth) -> None:
    """Ids and px are the ground truth's: others score 0, or what chance gives."""
    why = why_nobody(_written(entries), truth)
    if why:
        raise EvaluationError(f"{path}: with {truth.path} {why}")


def _written(entries: list[Any]) -> Written:
    """All predictions, whose form was looked at."""
    ids = [checked_id(entry["image_id"]) for entry in entries]
    scores = [math.nan if entry["score"] is None else entry["score"] for entry in entries]
    return Written(
        ids=[i for i in ids if i is not None],
        categories=[checked_id(entry.get("category_id")) for entry in entries],
        xywh=np.array([entry["bbox"] for entry in entries], float).reshape(-1, 4),
        score=np.array(scores, float),
    )


def _instead(ids: Iterable[ImageId], truth: GroundTruth) -> str:
    """What ids of other images are, for the end of a message."""
    told = they_look_like(ids, truth.images)
    return f": these are {told}, not ids" if told else ""


def _other_form(path: Path, form: str, why: str) -> EvaluationError:
    return EvaluationError(
        f"{path}: bbox must be [x, y, width, height] in px, these look like {form}: {why}"
    )


def _px(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]} px" if size else "no size"


def _listed(ids: Set[ImageId | None] | None) -> str:
    return " or ".join(repr(i) for i in sorted(ids or (), key=str))


def _shape(data: Any) -> str:
    if isinstance(data, dict):
        return f"an object with the keys {', '.join(sorted(map(str, data))) or '(none)'}"
    return f"a {type(data).__name__}"


def _processed(
    path: Path, run: Mapping[str, Any], truth: GroundTruth, unlabelled: Set[ImageId]
) -> tuple[list[ImageId] | None, int]:
    """Processed images that the ground truth has, and the number of those that it should have."""
    listed = _ids(path, run, "image_ids")
    if listed is None:
        return None, 0
    kept = [i for i in truth.image_ids if i in listed]
    if not kept:
        raise EvaluationError(
            f"{path}: none of the {len(listed)} processed images is in {truth.path}"
            f"{_instead(listed, truth)}"
        )
    return kept, len(listed - unlabelled) - len(listed.intersection(kept) - unlabelled)


def _ids(path: Path, run: Mapping[str, Any], key: str) -> set[ImageId] | None:
    given = run.get(key)
    if given is None:
        return None
    ids = [checked_id(i) for i in given] if isinstance(given, list) else [None]
    if None in ids:
        raise EvaluationError(f"{path}: {key} must be a list of image ids, got {given!r:.60}")
    return {i for i in ids if i is not None}


def _rows(
    path: Path,
    entries: list[Any],
    truth: GroundTruth,
    processed: list[ImageId] | None,
    unlabelled: Set[ImageId],
) -> tuple[list[tuple[float, ...]], Counter[str]]:
    index = {image_id: k for k, image_id in enumerate(truth.image_ids)}
    sizes = [stated_size(image) for image in truth.images]
    allowed = None if processed is None else set(processed)
    problems: Counter[str] = Counter()
    rows = []
    for k, entry in enumerate(entries):
        image_id, box, score = _parsed(path, k, entry)
        category = checked_id(entry.get("category_id"))
        if image_id in unlabelled and image_id not in index:
            continue
        if image_id not in index:
            problems["image_not_in_ground_truth"] += 1
        elif allowed is not None and image_id not in allowed:
            problems["image_not_processed"] += 1
        elif None not in (category, truth.pedestrian_ids) and (
            category not in truth.pedestrian_ids  # type: ignore[operator]
        ):
            problems["other_category"] += 1
        elif not math.isfinite(score):
            problems["score_not_finite"] += 1
        elif not all(map(math.isfinite, box)):
            problems["box_not_finite"] += 1
        elif box[2] < 0 or box[3] < 0:
            problems["box_negative"] += 1
        else:
            problems["box_without_area"] += box[2] == 0 or box[3] == 0
            problems["box_outside_image"] += is_outside(box, sizes[index[image_id]])
            distance, deviation = _positive(entry, "distance_m"), _positive(entry, "distance_sd_m")
            rows.append((index[image_id], *box, score, distance, deviation))
    return rows, problems


def _positive(entry: Mapping[str, Any], key: str) -> float:
    """A number above 0, else nan."""
    value = entry.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return math.nan
    return float(value) if math.isfinite(value) and value > 0 else math.nan


def _parsed(path: Path, k: int, entry: Any) -> tuple[ImageId, tuple[float, ...], float]:
    if not isinstance(entry, dict):
        raise EvaluationError(f"{path}: prediction {k} must be an object, got {entry!r:.60}")
    for key in ("image_id", "bbox", "score"):
        if key not in entry:
            raise EvaluationError(
                f"{path}: prediction {k} must have image_id, bbox and score, {key} is missing"
            )
    image_id = checked_id(entry["image_id"])
    if image_id is None:
        raise EvaluationError(
            f"{path}: prediction {k}: image_id must be a whole number or a text, "
            f"got {entry['image_id']!r:.60}"
        )
    box = numbers(entry["bbox"], 4)
    if box is None:
        raise EvaluationError(
            f"{path}: prediction {k}: bbox must be [x, y, width, height], got {entry['bbox']!r:.60}"
        )
    score = entry["score"]
    if score is None:
        score = math.nan
    if not isinstance(score, (int, float)) or isinstance(score, bool):
        raise EvaluationError(f"{path}: prediction {k}: score must be a number, got {score!r:.60}")
    return image_id, box, float(score)


def _latency(path: Path, value: Any) -> dict[str, list[float]]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, list) for v in value.values()):
        raise EvaluationError(f"{path}: latency_ms must be lists of ms by stage, got {value!r:.60}")
    try:
        times = {str(stage): [float(t) for t in list_] for stage, list_ in value.items()}
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"{path}: latency_ms must be numbers: {error}") from None
    return {stage: list_ for stage, list_ in times.items() if list_}


def _stamps(path: Path, run: Mapping[str, Any]) -> dict[ImageId, int]:
    """When the frames were taken; {} unless the ground truth knows frames by their number.

    A folder's images, found by name, may have stamps that were only counted.
    """
    try:
        if run.get("ground_truth", {}).get("matched_by") != "frame":
            return {}
        return {_known(f["image_id"]): int(f["stamp_ns"]) for f in run["frames"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"{path}: frames must have image_id and stamp_ns, got {error!r}"
        ) from None


def _known(value: object) -> ImageId:
    image_id = checked_id(value)
    if image_id is None:
        raise ValueError(f"image_id {value!r}")
    return image_id
