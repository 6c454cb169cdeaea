"""A generated drive as a folder: JPEG images and their ground truth as COCO JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tasksr_ros.io.recording import make_folder
from tasksr_ros.synthetic.drive import Annotation, GeneratedDrive


def write_coco(drive: GeneratedDrive, folder: str | Path) -> Path:
    """Write ``folder/images/*.jpg`` and ``folder/ground_truth.json``; return the latter's path.

    Beside what COCO knows, images carry ``stamp_ns``, ``sequence`` and ``frame``; annotations
    ``height`` (px), ``distance_m``, ``vis_ratio``, ``track_id`` and ``ignore`` (= ``iscrowd``);
    the file carries ``camera``: width, height, fx, fy, cx, cy in px.

    Raises:
        RecordingError: if the folder cannot be made.
    """
    folder = Path(folder)
    make_folder(folder / "images")
    sequence = f"generated-{drive.config.seed}"
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    title = f"drive {drive.config.seed}"
    with tqdm(range(len(drive)), desc=title, unit="frame") as bar:
        for index in bar:
            data, people = drive.jpeg(index)
            name = f"images/{index:06d}.jpg"
            (folder / name).write_bytes(data)
            images.append(
                {
                    "id": index + 1,
                    "file_name": name,
                    "width": drive.config.width,
                    "height": drive.config.height,
                    "sequence": sequence,
                    "frame": index,
                    "stamp_ns": drive.stamp_ns(index),
                }
            )
            for person in people:
                annotations.append(_annotation(person, len(annotations) + 1, index + 1))
    truth = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "pedestrian"}],
        "camera": asdict(drive.camera),
    }
    path = folder / "ground_truth.json"
    path.write_text(json.dumps(truth))
    return path


def _annotation(person: Annotation, annotation_id: int, image_id: int) -> dict[str, Any]:
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": list(person.bbox),
        "area": round(person.bbox[2] * person.bbox[3], 2),
        "height": person.height,
        "distance_m": person.distance_m,
        "vis_ratio": person.vis_ratio,
        "track_id": person.track_id,
        "ignore": int(person.ignore),
        "iscrowd": int(person.ignore),
    }
