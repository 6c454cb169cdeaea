"""Labelled sets of three images, and what is found in them; boxes are xywh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.yardstick_figures import match_file

Box = tuple[float, float, float, float]
Found = tuple[int, Box, float]


def write_set(folder: Path, people: list[tuple[int, Box]], found: list[Found], **image: Any) -> Any:
    """Ground truth and predictions of three images; boxes are xywh."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [
        {"id": k, "file_name": f"{k}.png", "width": 200, "height": 200, **image} for k in (1, 2, 3)
    ]
    annotations = [
        {"id": k, "image_id": i, "category_id": 1, "bbox": box, "height": box[3]}
        for k, (i, box) in enumerate(people)
    ]
    categories = [{"id": 1, "name": "pedestrian"}]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    results = [
        {"image_id": i, "category_id": 1, "bbox": box, "score": score} for i, box, score in found
    ]
    paths = folder / "val.json", folder / "found.json"
    for path, value in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(value))
    return paths


def matched(folder: Path, people: list[tuple[int, Box]], found: list[Found], **image: Any) -> Any:
    return match_file(*write_set(folder, people, found, **image))


def tall(height: float, x: float = 10) -> Box:
    return (x, 10.0, height / 2, height)
