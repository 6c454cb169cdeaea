"""Detections as COCO results, the form of a predictions file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import NO_TRACK, Detections


def coco_results(
    detections: Detections, image_id: int | str, stamp_ns: int
) -> list[dict[str, Any]]:
    """COCO results of one image; categories count from 1, ``track_id`` where there is one."""
    sizes: NDArray[np.float32] = detections.xyxy[:, 2:] - detections.xyxy[:, :2]
    found = []
    for k, (corners, size) in enumerate(zip(detections.xyxy, sizes, strict=True)):
        entry = {
            "image_id": image_id,
            "category_id": int(detections.class_id[k]) + 1,
            "bbox": [round(float(value), 3) for value in (*corners[:2], *size)],
            "score": round(float(detections.score[k]), 5),
            "stamp_ns": stamp_ns,
        }
        if detections.track_id[k] != NO_TRACK:
            entry["track_id"] = int(detections.track_id[k])
        found.append(entry)
    return found
