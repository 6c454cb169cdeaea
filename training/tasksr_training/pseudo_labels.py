"""Pseudo-labels: what a fusion of public detectors sees in images, beside their labels."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.evaluation.ids import ImageId
from tasksr_training.annotations import CATEGORIES, NAMED
from tasksr_training.box_fusion import Floats, box_iou, fuse
from tasksr_training.coco import LabelledImage, ReadConfig, read_set
from tasksr_training.errors import TrainingDataError, plain
from tasksr_training.image_store import ImageStore
from tasksr_training.teachers import Teacher, TeacherConfig
from tasksr_training.whole_files import replace_text

logger = logging.getLogger(__name__)

SAME_PERSON = 0.4
"""Least IoU, or share of a pseudo-label within an ignored box, at which a label explains it."""


@dataclass(frozen=True)
class FusionConfig:
    """How the teachers are fused.

    Attributes:
        iou: see `box_fusion.fuse`.
        min_score: weaker fused boxes are dropped.
    """

    iou: float = 0.55
    min_score: float = 0.1


FUSION = FusionConfig()


def write_pseudo_labels(
    out: Path,
    data: Path,
    sets: list[str],
    teachers: list[TeacherConfig],
    fusion: FusionConfig = FUSION,
    threads: int = 1,
) -> None:
    """Run public detectors over image sets and write what they see together.

    A file that is there is kept: a command that was stopped goes on with the next set.

    Args:
        out: folder; a set ``camvid/train.json`` becomes ``camvid/train.json`` in it.
        data: folder that the paths of image sets start from.
        sets: COCO JSON files or folders of images, with or without labels.
        teachers: the detectors.
        fusion: how they are fused.
        threads: CPU threads.

    Raises:
        TrainingDataError: when a set or a teacher cannot be read, or no teacher is given.
    """
    if not teachers:
        raise TrainingDataError("teachers: expected at least one, got none")
    ready = [Teacher(config, threads) for config in teachers]
    for name in sets:
        path = (out / name).with_suffix(".json")
        if path.exists():
            print(f"{path}: kept")
            continue
        images = read_set(data, name, ReadConfig(on_bad_image="skip"), ImageStore().keep)
        content = pseudo_labels(images, ready, fusion)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(content))
        print(f"{path}: {len(content['annotations'])} boxes in {len(images)} images")


def pseudo_labels(
    images: Sequence[LabelledImage], teachers: Sequence[Teacher], fusion: FusionConfig
) -> dict[str, Any]:
    """COCO JSON with a ``score`` per box; ``info`` names the images that a teacher failed on."""
    failed: dict[str, list[str]] = {teacher.name: [] for teacher in teachers}
    entries: list[dict[str, Any]] = []
    for image in tqdm(images, desc="pseudo-labels", mininterval=10):
        found = [f for t in teachers if (f := _ask(t, image, failed[t.name])) is not None]
        boxes = fuse(found, fusion.iou)
        for x0, y0, x1, y1, score in boxes[boxes[:, 4] >= fusion.min_score].round(4).tolist():
            box = {"bbox": [x0, y0, round(x1 - x0, 4), round(y1 - y0, 4)], "score": score}
            ids = {"id": len(entries) + 1, "image_id": image.image_id, "category_id": 1}
            entries.append({**ids, **box})
    for name, missed in failed.items():
        if missed:
            shown = ", ".join(missed[:NAMED]) + (", …" if len(missed) > NAMED else "")
            logger.warning("%s failed on %d images: %s", name, len(missed), shown)
    listed = [{"id": i.image_id, "file_name": i.name} for i in images]
    info = {"teachers": [t.name for t in teachers], "failed": failed}
    return {"images": listed, "annotations": entries, "categories": CATEGORIES, "info": info}


def _ask(teacher: Teacher, image: LabelledImage, failed: list[str]) -> Floats | None:
    try:
        return teacher(image.image)
    except Exception as error:  # a foreign network may fail in any way; the run goes on
        logger.debug("%s on %s: %s", teacher.name, image.name, error)
        failed.append(image.name)
        return None


@dataclass(frozen=True)
class PseudoConfig:
    """What becomes of pseudo-labels that no label explains.

    Attributes:
        ignore_above: from this score on, no background is learnt in them.
        person_above: from this score on, they are pedestrians.
    """

    ignore_above: float = 0.25
    person_above: float = 2.0


def read_pseudo_labels(path: Path) -> dict[ImageId, Floats]:
    """(K, 5) x0, y0, x1, y1, score by image id.

    Raises:
        TrainingDataError: when the file is missing or of another form.
    """
    try:
        content = json.loads(path.read_bytes())
        found: dict[ImageId, list[list[float]]] = {i["id"]: [] for i in content["images"]}
        for entry in content["annotations"]:
            x, y, w, h = entry["bbox"]
            found[entry["image_id"]].append([x, y, x + w, y + h, entry["score"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingDataError(f"{path}: expected pseudo-labels, got {plain(error)}") from error
    return {image: np.array(boxes, float).reshape(-1, 5) for image, boxes in found.items()}


def with_pseudo_labels(image: LabelledImage, pseudo: Floats, config: PseudoConfig) -> LabelledImage:
    """An image with those pseudo-labels that no label explains, as pedestrians or ignored boxes."""
    new = pseudo[~explained(image, pseudo) & (pseudo[:, 4] >= config.ignore_above)]
    return replace(
        image,
        boxes=np.concatenate([image.boxes, new[:, :4]]).astype(np.float32),
        ignore=np.concatenate([image.ignore, new[:, 4] < config.person_above]),
    )


def explained(image: LabelledImage, pseudo: Floats) -> NDArray[np.bool_]:
    """(K,) whether a label is the same person, or an ignored box covers it."""
    boxes = image.boxes.astype(np.float64)
    same = (box_iou(pseudo[:, :4], boxes) >= SAME_PERSON).any(1)
    ignored = boxes[image.ignore]
    low = np.maximum(pseudo[:, None, :2], ignored[None, :, :2])
    high = np.minimum(pseudo[:, None, 2:4], ignored[None, :, 2:])
    area = np.maximum((pseudo[:, 2:4] - pseudo[:, :2]).prod(1), 1e-9)
    covered = (high - low).clip(0).prod(-1) / area[:, None]
    return np.asarray(same | (covered >= SAME_PERSON).any(1))
