"""Image sets in COCO form, decoded once and kept in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_training.errors import TrainingDataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image and the pedestrians in it.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        boxes: (M, 4) float32, corners x0, y0, x1, y1 in image px.
        ignore: (M,) bool; whether there is a pedestrian in such a box is left open.
        image_id: the id in the annotation file, or the position in a folder.
        name: file name, for messages.
        sequence: name of the recording it belongs to, if any.
        frame: its number in that recording, if any.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    image_id: int
    name: str
    sequence: str = ""
    frame: int | None = None


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) uint8 RGB.

    Raises:
        TrainingDataError: when the file is missing or is no image that can be decoded.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise TrainingDataError(f"{path}: expected an image file, it is missing or unreadable")
    return np.ascontiguousarray(image[..., ::-1])


def read_folder(folder: Path) -> list[LabelledImage]:
    """Read all images of a folder, by name, without boxes."""
    if not folder.is_dir():
        raise TrainingDataError(f"{folder}: expected a folder of images")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise TrainingDataError(f"{folder}: expected images, found none")
    none = np.zeros((0, 4), np.float32)
    return [
        LabelledImage(read_image(p), none, np.zeros(0, bool), i, p.name)
        for i, p in enumerate(paths)
    ]


def read_coco(path: Path) -> list[LabelledImage]:
    """Read the images and boxes of a COCO JSON file; image files lie beside it.

    Boxes with ``ignore`` or ``iscrowd`` set, or without area, are ignored ones.

    Raises:
        TrainingDataError: for a file that is not COCO JSON, a missing image, or an annotation
            of an image that the file does not list.
    """
    images, annotations = _load(path)
    boxes: dict[int, list[tuple[float, ...]]] = {int(i["id"]): [] for i in images}
    for a in annotations:
        if a["image_id"] not in boxes:
            raise TrainingDataError(
                f"{path}: annotation {a.get('id')} is of image {a['image_id']}, which is not listed"
            )
        x, y, w, h = a["bbox"]
        left_open = bool(a.get("ignore") or a.get("iscrowd")) or w <= 0 or h <= 0
        boxes[a["image_id"]].append((x, y, x + max(w, 0), y + max(h, 0), left_open))
    return [_labelled(path.parent, i, boxes[int(i["id"])]) for i in images]


def read_set(data: Path, path: str) -> list[LabelledImage]:
    """Read a COCO JSON file with its images, or a folder of images without boxes.

    Args:
        data: folder that ``path`` starts from.
        path: of the file or folder; with ``*``, all files that match, one after the other.

    Raises:
        TrainingDataError: when there is none, or it cannot be read.
    """
    found = sorted(data.glob(path)) if "*" in path else [data / path]
    if not found:
        raise TrainingDataError(f"{data / path}: expected files of this form, found none")
    return [
        image
        for one in found
        for image in (read_coco(one) if one.suffix == ".json" else read_folder(one))
    ]


def _load(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    try:
        content = json.loads(path.read_text())
        return content["images"], content["annotations"]
    except FileNotFoundError:
        raise TrainingDataError(f"{path}: expected a COCO JSON file, there is none") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise TrainingDataError(f"{path}: expected COCO JSON, got {error!r}") from error


def _labelled(folder: Path, image: dict[str, Any], boxes: list[tuple[float, ...]]) -> LabelledImage:
    table = np.array(boxes, np.float32).reshape(-1, 5)
    return LabelledImage(
        read_image(folder / image["file_name"]),
        table[:, :4],
        table[:, 4] > 0,
        int(image["id"]),
        image["file_name"],
        str(image.get("sequence", "")),
        int(image["frame"]) if "frame" in image else None,
    )
