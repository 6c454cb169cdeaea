"""Detections as COCO results, the form of a predictions file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import NO_TRACK, Detections


def coco_results(
    detections: Detections,
    image_id: int | str,
    stamp_ns: int,
    depth_m: Sequence[float] | NDArray[np.float64] = (),
    deviation_m: Sequence[float] | NDArray[np.float64] = (),
) -> list[dict[str, Any]]:
    """COCO results of one image; categories count from 1, ``track_id`` where there is one.

    Args:
        detections: boxes in image px.
        image_id: of the image.
        stamp_ns: of the image.
        depth_m: of each detection (see `ranging.Ranges`), written as ``distance_m`` where it is
            known; () for none.
        deviation_m: its standard deviation, written as ``distance_sd_m``.
    """
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
        if len(depth_m) and math.isfinite(depth_m[k]):
            entry["distance_m"] = round(float(depth_m[k]), 2)
            entry["distance_sd_m"] = round(float(deviation_m[k]), 3)
        found.append(entry)
    return found
