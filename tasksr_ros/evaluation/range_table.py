"""Recall by distance, as a text table: the reading of the generated drive's test card."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasksr_ros.detections import Detections
from tasksr_ros.evaluation.metrics import FALSE_POSITIVE, match_image

DISTANCE_BINS_M = (20, 40, 60, 80, 100, 125, 150)
IOU_THRESHOLD = 0.3
"""Looser than .5: a shift of 2 px of a 15 px person already leaves an IoU of .41."""


def range_table(
    ground_truth: Mapping[str, Any], detections: Mapping[int, Detections], min_distance: float
) -> str:
    """Recall per bin of distance and false positives per frame.

    Args:
        ground_truth: COCO, images with ``stamp_ns``, annotations with ``distance_m``.
        detections: of each frame by its stamp in ns, boxes in image px; frames of the ground
            truth without an entry are left out.
        min_distance: of the people that were looked for, m; the first bin begins there.
    """
    distance: list[float] = []
    found: list[bool] = []
    false_positives = num_frames = 0
    for image in ground_truth["images"]:
        seen = detections.get(image["stamp_ns"])
        if seen is None:
            continue
        people = [a for a in ground_truth["annotations"] if a["image_id"] == image["id"]]
        boxes = np.array([a["bbox"] for a in people], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        ignore = np.array([bool(a["ignore"]) for a in people], bool)
        outcome, found_at = match_image(seen.xyxy, seen.score, boxes, ignore, IOU_THRESHOLD)
        num_frames += 1
        false_positives += int((outcome == FALSE_POSITIVE).sum())
        distance += [a["distance_m"] for a in people if not a["ignore"]]
        found += np.isfinite(found_at[~ignore]).tolist()
    bins = [min_distance, *(far for far in DISTANCE_BINS_M if far > min_distance)]
    fppi = false_positives / max(1, num_frames)
    return _text(np.array(distance), np.array(found), bins, fppi)


def _text(
    distance: np.ndarray[Any, Any], found: np.ndarray[Any, Any], bins: list[float], fppi: float
) -> str:
    lines = [f"  distance     people   recall (IoU ≥ {IOU_THRESHOLD:g})"]
    for near, far in itertools.pairwise(bins):
        inside = (distance >= near) & (distance < far)
        recall = f"{found[inside].mean():.2f}" if inside.any() else "-"
        lines.append(f"  {near:>3g}-{far:<3g} m   {inside.sum():>6}   {recall}")
    lines.append(f"  false positives per frame: {fppi:.2f}")
    return "\n".join(lines)
