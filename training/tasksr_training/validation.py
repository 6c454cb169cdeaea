"""Detection and image quality of several systems on the same images, in one table.

Two steps: `predict` runs a system and writes its detections to a file; `figures` reads such a
file and the ground truth.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn
from tqdm import tqdm

from tasksr_ros.evaluation.metrics import match_images, recall, score_at_fppi
from tasksr_training.coco import LabelledImage
from tasksr_training.detect import HR, DetectConfig, detect_image

HEIGHT_BINS = ((8, 12), (12, 16), (16, 24), (24, 40))
"""Pedestrian heights in LR px for which recall is given."""

FPPI = (0.1, 0.3, 1.0)
"""False positives per image at which recall is given."""


@dataclass(frozen=True, eq=False)
class System:
    """One row of the table.

    Attributes:
        name: of the row.
        sr: LR -> SR, in eval mode; None: the detector sees the HR image.
        detector: as `tasksr_ros.networks.detector.Detector`, in eval mode.
    """

    name: str
    sr: nn.Module | None
    detector: nn.Module


def predict(system: System, images: Sequence[LabelledImage], scale_factor: int, path: Path) -> None:
    """Run a system on images and write what it found.

    The file holds ``detections`` (COCO results, HR px), ``psnr_y`` and the `fingerprint` of what
    they were made from.
    """
    detections: list[dict[str, Any]] = []
    psnr: list[float] = []
    factor = HR if system.sr is None else scale_factor
    for image in tqdm(images, desc=f"{system.name}: {path.stem}", mininterval=5):
        result = detect_image(image, system.sr, system.detector, factor, DetectConfig())
        psnr.append(result.psnr_y)
        for box, score in zip(
            result.detections.xyxy.tolist(), result.detections.score.tolist(), strict=True
        ):
            detections.append(
                {
                    "image_id": image.image_id,
                    "category_id": 1,
                    "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]],
                    "score": score,
                }
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    mean = float(np.mean(psnr)) if np.isfinite(psnr).all() else None
    made_from = fingerprint(system, images, scale_factor)
    path.write_text(
        json.dumps({"fingerprint": made_from, "detections": detections, "psnr_y": mean})
    )


def fingerprint(system: System, images: Sequence[LabelledImage], scale_factor: int) -> str:
    """SHA-256 of all that predictions depend on: networks, weights, images, boxes, options."""
    digest = hashlib.sha256(repr((scale_factor, DetectConfig())).encode())
    for network in (system.sr, system.detector):
        digest.update(type(network).__qualname__.encode())
        for name, value in network.state_dict().items() if network is not None else ():
            digest.update(repr((name, value.dtype, tuple(value.shape))).encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    for image in images:
        digest.update(repr((image.image_id, image.name, image.image.shape)).encode())
        for values in (image.image, image.boxes, image.ignore):
            digest.update(values.tobytes())
    return digest.hexdigest()


def _kept(path: Path, expected: str) -> bool:
    """Whether a file holds predictions with this fingerprint."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return bool(content.get("fingerprint") == expected)


def figures(
    images: Sequence[LabelledImage], detections: Sequence[Mapping[str, Any]], scale_factor: int
) -> dict[str, Any]:
    """AP at IoU .5 and .3, recall by height at fixed false positives per image, thresholds.

    Args:
        images: with their ground truth; ids are distinct.
        detections: COCO results in HR px.
        scale_factor: heights are given in LR px, HR px divided by this.
    """
    matches = match_images(
        [_of_image(i.image_id, detections) for i in images],
        [(i.boxes, i.ignore) for i in images],
        iou_threshold=0.5,
    )
    table: dict[str, Any] = {
        "images": len(images),
        "pedestrians": len(matches.height),
        **average_precisions(images, detections),
    }
    for fppi in FPPI:
        threshold = score_at_fppi(matches, fppi)
        table[f"score_at_{fppi:g}_fppi"] = threshold if np.isfinite(threshold) else 0.0
        table[f"recall_at_{fppi:g}_fppi"] = _recall_by_height(matches, threshold, scale_factor)
    return table


def _recall_by_height(matches: Any, threshold: float, scale_factor: int) -> dict[str, Any]:
    share, number = recall(matches, threshold)
    rows: dict[str, Any] = {"all": {"recall": share, "pedestrians": number}}
    for low, high in HEIGHT_BINS:
        share, number = recall(matches, threshold, low * scale_factor, high * scale_factor)
        rows[f"{low}-{high}"] = {"recall": share if number else None, "pedestrians": number}
    return rows


def _of_image(
    image_id: int, detections: Sequence[Mapping[str, Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mine = [d for d in detections if d["image_id"] == image_id]
    boxes = np.array([d["bbox"] for d in mine], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, np.array([d["score"] for d in mine], float)


def average_precisions(
    images: Sequence[LabelledImage], detections: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """COCO's AP (101 recall points, at most 100 detections) as ``ap50`` and ``ap30``."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _coco(images)
        truth.createIndex()
        if not detections:
            return {"ap50": 0.0, "ap30": 0.0}
        evaluation = COCOeval(truth, truth.loadRes([dict(d) for d in detections]), "bbox")
        evaluation.params.iouThrs = np.array([0.3, 0.5])
        evaluation.evaluate()
        evaluation.accumulate()
    at30, at50 = evaluation.eval["precision"][:, :, 0, 0, -1].mean(1)
    return {"ap50": float(at50), "ap30": float(at30)}


def _coco(images: Sequence[LabelledImage]) -> dict[str, Any]:
    annotations = [
        {
            "image_id": image.image_id,
            "category_id": 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": int(left_open),
        }
        for image in images
        for (x0, y0, x1, y1), left_open in zip(
            image.boxes.tolist(), image.ignore.tolist(), strict=True
        )
    ]
    for i, annotation in enumerate(annotations, 1):
        annotation["id"] = i
    return {
        "info": {},
        "images": [{"id": i.image_id} for i in images],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "pedestrian"}],
    }


def validate(
    systems: Sequence[System],
    sets: Mapping[str, Sequence[LabelledImage]],
    scale_factor: int,
    out: Path,
) -> dict[str, Any]:
    """Run all systems on all sets and write ``out/validation.json``.

    Predictions that lie in ``out`` already are used if they were made by the same weights from
    the same set, and made anew otherwise.

    Returns:
        ``{"scale_factor": s, "systems": {system: {set: figures}}}``; the set ``all`` is all of
        them together.
    """
    table: dict[str, Any] = {}
    for system in systems:
        rows: dict[str, Any] = {}
        together: tuple[list[LabelledImage], list[dict[str, Any]]] = ([], [])
        for name, images in sets.items():
            path = out / system.name.replace(" ", "_") / f"{name.replace('/', '_')}.json"
            if not _kept(path, fingerprint(system, images, scale_factor)):
                predict(system, images, scale_factor, path)
            content = json.loads(path.read_text())
            rows[name] = {
                **figures(images, content["detections"], scale_factor),
                "psnr_y": content["psnr_y"],
            }
            _append(together, images, content["detections"])
        rows["all"] = figures(*together, scale_factor)
        table[system.name] = rows
    result = {"scale_factor": scale_factor, "systems": table}
    (out / "validation.json").write_text(json.dumps(result, indent=1))
    return result


def _append(
    together: tuple[list[LabelledImage], list[dict[str, Any]]],
    images: Sequence[LabelledImage],
    detections: Sequence[dict[str, Any]],
) -> None:
    """Add a set under new image ids, so that those of different sets are distinct."""
    first = len(together[0])
    ids = {image.image_id: first + i for i, image in enumerate(images)}
    together[0].extend(
        LabelledImage(i.image, i.boxes, i.ignore, ids[i.image_id], i.name) for i in images
    )
    together[1].extend({**d, "image_id": ids[d["image_id"]]} for d in detections)


def markdown(result: Mapping[str, Any]) -> str:
    """The table of `validate` for people, as Markdown: one block per set."""
    bins = [f"{low}-{high}" for low, high in HEIGHT_BINS]
    head = ["system", "AP50", "AP30", "PSNR-Y", "recall@0.1", "recall@1"]
    head += [f"{b} px@1" for b in bins]
    blocks = []
    for name in next(iter(result["systems"].values())):
        first = next(iter(result["systems"].values()))[name]
        lines = [
            f"{name}: {first['images']} images, {first['pedestrians']} pedestrians",
            "",
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head),
        ]
        for system, rows in result["systems"].items():
            lines.append("| " + " | ".join([system, *_cells(rows[name], bins)]) + " |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _cells(row: Mapping[str, Any], bins: Sequence[str]) -> list[str]:
    def number(value: float | None, digits: int = 3) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    at_tenth, at_one = row["recall_at_0.1_fppi"], row["recall_at_1_fppi"]
    return [
        number(row["ap50"]),
        number(row["ap30"]),
        number(row.get("psnr_y"), 2),
        number(at_tenth["all"]["recall"]),
        number(at_one["all"]["recall"]),
        *(number(at_one[b]["recall"]) for b in bins),
    ]
