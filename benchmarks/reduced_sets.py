"""Labelled sets reduced, people and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tasksr_training.degradations import downscale
from tasksr_training.whole_files import replace_text

from benchmarks.yardstick_replays import Set
from tasksr_ros.io.stills import read_still


def reduced(of: Set, factor: int, every: int, out: Path) -> Set:
    """Each n-th image of a set, bicubically reduced, with its labels.

    Where small people may lack a label, those that are left of 12 px and more have one: the mark is
    taken away.

    Args:
        of: the set.
        factor: how many times smaller.
        every: use each n-th image.
        out: folder to write; what is there is not written again.
    """
    folder = out / of.name
    width, height = (n // factor for n in of.image_size)
    small = Set(of.name, folder, folder / "val.json", (width, height))
    if small.truth.is_file():
        return small
    content = json.loads(of.truth.read_text(encoding="utf-8"))
    images = [_written(i, of.folder, folder, factor) for i in content["images"][::every]]
    kept = {image["id"] for image in images}
    annotations = [_scaled(a, factor) for a in content["annotations"] if a["image_id"] in kept]
    content = {**content, "images": images, "annotations": annotations}
    replace_text(small.truth, json.dumps(content))
    return small


def _written(image: dict[str, Any], source: Path, folder: Path, factor: int) -> dict[str, Any]:
    """The image reduced, as a file without loss, and its entry."""
    pixels = read_still(source / image["file_name"]).image[..., ::-1]
    height, width = (n // factor * factor for n in pixels.shape[:2])
    hr = torch.from_numpy(pixels[:height, :width].transpose(2, 0, 1)[None].copy()).float() / 255
    lr = (downscale(hr, factor)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    path = (folder / image["file_name"]).with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(lr[..., ::-1]))
    kept = {key: value for key, value in image.items() if key != "dontcare_known"}
    size = {"width": width // factor, "height": height // factor}
    return {**kept, **size, "file_name": str(path.relative_to(folder))}


def _scaled(annotation: dict[str, Any], factor: int) -> dict[str, Any]:
    scaled = {**annotation, "bbox": [value / factor for value in annotation["bbox"]]}
    for name, power in (("height", 1), ("area", 2)):
        if name in scaled:
            scaled[name] /= factor**power
    return scaled
