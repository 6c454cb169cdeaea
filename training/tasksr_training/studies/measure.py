"""Run systems on whole images and keep what came out in files.

``ground_truth/SET.json`` and ``predictions/SYSTEM/SET.json`` are what `tasksr evaluate` reads;
``quality/IMAGES/SET.json`` holds a value per image. The set ``all`` is all of them together, its
images numbered anew. A file is kept as long as the fingerprint in it is that of the weights,
images and options that would make it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tasksr_ros.evaluation.ids import ImageId
from tasksr_training.annotations import CATEGORIES, is_outside, read_annotations
from tasksr_training.coco import LabelledImage, read_coco
from tasksr_training.detect import (
    DetectConfig,
    System,
    detect_image,
    device_of,
    to_pixels,
    upscale,
)
from tasksr_training.errors import TrainingDataError
from tasksr_training.image_quality import psnr, ssim
from tasksr_training.studies.config import SetConfig
from tasksr_training.whole_files import replace_text

ALL = "all"
QUALITY = ("psnr_y", "ssim_y", "feature_distance")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images to measure on.

    Attributes:
        name: of the set.
        images: with their ground truth.
        content: the COCO JSON of these images.
        fingerprint: SHA-256 of images and boxes.
    """

    name: str
    images: list[LabelledImage]
    content: dict[str, Any]
    fingerprint: str


def read_image_set(config: SetConfig, data: Path) -> ImageSet:
    """Read the chosen images of a set.

    Raises:
        TrainingDataError: when it cannot be read.
    """
    path = data / config.path
    if path.suffix != ".json":
        raise TrainingDataError(f"sets: expected COCO JSON files, got {config.path}")
    images = read_coco(path)[:: config.every]
    content = read_annotations(path).content
    sizes = {image.image_id: image.image.shape[1::-1] for image in images}
    chosen = {
        **content,
        "images": [i for i in content["images"] if i["id"] in sizes],
        "annotations": [
            a
            for a in content["annotations"]
            if a["image_id"] in sizes and not is_outside(a["bbox"], *sizes[a["image_id"]])
        ],
    }
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode())
    for image in images:
        digest.update(repr((image.image_id, image.image.shape)).encode())
        for values in (image.image, image.boxes, image.ignore):
            digest.update(values.tobytes())
    return ImageSet(config.name, images, chosen, digest.hexdigest())


def set_file(folder: Path, name: str) -> Path:
    """Where a set's file lies in a folder."""
    return folder / f"{name.replace('/', '_')}.json"


def write_ground_truth(sets: Sequence[ImageSet], folder: Path) -> list[str]:
    """Write the ground truth of each set, and of all together if there are several.

    Returns:
        The sets' names.
    """
    for one in sets:
        write_json(set_file(folder, one.name), one.content)
    if len(sets) == 1:
        return [sets[0].name]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    numbers = new_ids(sets)
    for one in sets:
        for image in one.content["images"]:
            number = numbers[one.name, image["id"]]
            sequence = (
                {"sequence": f"{one.name}/{image['sequence']}"} if "sequence" in image else {}
            )
            images.append({**image, **sequence, "id": number})
        for annotation in one.content["annotations"]:
            number = numbers[one.name, annotation["image_id"]]
            annotations.append({**annotation, "image_id": number, "id": len(annotations) + 1})
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    write_json(set_file(folder, ALL), content)
    return [*(one.name for one in sets), ALL]


def new_ids(sets: Sequence[ImageSet]) -> dict[tuple[str, ImageId], int]:
    """Ids of the images in the set of all, by the names of their sets and their ids there."""
    keys = [(one.name, image.image_id) for one in sets for image in one.images]
    return {key: number for number, key in enumerate(keys, 1)}


def predict(system: System, sets: Sequence[ImageSet], folder: Path) -> None:
    """Write ``folder/SET.json`` of each set, and of all together, unless they are up to date."""
    weights = fingerprint(system.sr, system.detector)
    together: list[dict[str, Any]] = []
    numbers = new_ids(sets)
    for one in sets:
        path = set_file(folder, one.name)
        made_from = _digest(weights, one.fingerprint, system.reduced_by, DetectConfig())
        content = _kept(path, made_from)
        if content is None:
            found = _detections(system, one)
            content = {"name": system.label, "fingerprint": made_from, "detections": found}
            write_json(path, content)
        together += [
            {**d, "image_id": numbers[one.name, d["image_id"]]} for d in content["detections"]
        ]
    if len(sets) > 1:
        write_json(set_file(folder, ALL), {"name": system.label, "detections": together})


def _detections(system: System, images: ImageSet) -> list[dict[str, Any]]:
    """COCO results in HR px."""
    results = []
    for image in _bar(images, f"{system.label}: detect in"):
        result = detect_image(image, system.sr, system.detector, system.reduced_by, DetectConfig())
        found = result.detections
        for box, score in zip(found.xyxy.tolist(), found.score.tolist(), strict=True):
            x0, y0, x1, y1 = box
            results.append(
                {
                    "image_id": image.image_id,
                    "category_id": 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": score,
                }
            )
    return results


def measure_quality(
    system: System, judge: nn.Module, sets: Sequence[ImageSet], folder: Path
) -> None:
    """Write how far the images that the detector sees are from HR, unless it is up to date.

    Each file has ``images``: id -> ``QUALITY``; an LR image has none.

    Args:
        system: whose images.
        judge: the HR detector, whose features are compared.
        sets: of images.
        folder: to write to.
    """
    weights = fingerprint(system.sr, judge)
    for one in sets:
        path = set_file(folder, one.name)
        made_from = _digest(weights, one.fingerprint, system.scale_factor)
        if _kept(path, made_from) is None:
            values = {
                image.image_id: _quality(image, system, judge)
                for image in _bar(one, f"{system.image_label}: quality of")
            }
            write_json(path, {"fingerprint": made_from, "images": values})


@torch.no_grad()
def _quality(source: LabelledImage, system: System, judge: nn.Module) -> dict[str, float]:
    assert system.sr is not None
    hr, seen = upscale(source, system.sr, system.scale_factor, device_of(judge))
    height, width = source.image.shape[:2]
    pixels = to_pixels(seen)[:height, :width]
    return {
        "psnr_y": psnr(pixels, source.image, system.scale_factor),
        "ssim_y": ssim(pixels, source.image, system.scale_factor),
        "feature_distance": feature_distance(judge, seen, hr),
    }


@torch.no_grad()
def feature_distance(detector: nn.Module, a: Tensor, b: Tensor) -> float:
    """How differently a detector sees two images: 0 for equal ones, at most 2.

    In the form of LPIPS (Zhang et al., CVPR 2018, arXiv 1801.03924) with the detector's own
    features and no learnt weights: the features of each cell are divided by their length over
    the channels; the L2 distance of both images' is averaged over cells, then over levels.

    Args:
        detector: with ``features``.
        a: (1, 3, H, W) in [0, 1].
        b: likewise.
    """
    levels = []
    pairs = zip(detector.features(a), detector.features(b), strict=True)  # type: ignore[operator]
    for x, y in pairs:
        x, y = (nn.functional.normalize(z.float(), dim=1, eps=1e-6) for z in (x, y))
        levels.append((x - y).square().sum(1).sqrt().mean())
    return float(torch.stack(levels).mean())


def fingerprint(*networks: nn.Module | None) -> str:
    """SHA-256 of networks and their weights."""
    digest = hashlib.sha256()
    for network in networks:
        digest.update(type(network).__qualname__.encode())
        for name, value in network.state_dict().items() if network is not None else ():
            digest.update(repr((name, value.dtype, tuple(value.shape))).encode())
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _kept(path: Path, expected: str) -> dict[str, Any] | None:
    """The content of a file if it has this fingerprint."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content if content.get("fingerprint") == expected else None


def _bar(images: ImageSet, text: str) -> Any:
    return tqdm(images.images, desc=f"{text} {images.name}", mininterval=5, leave=False)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(content))
