"""How many low people a system finds, and which detections two systems share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import Detections
from tasksr_ros.evaluation.matching import overlaps
from tasksr_ros.io.frames import Frame
from tasksr_ros.synthetic.drive import Annotation

LEAST_IOU = 0.3
SAME_IOU = 0.9

Scene: TypeAlias = tuple[Frame, list[Annotation]]


def score(found: list[Detections], scenes: list[Scene], height: float) -> tuple[int, int, int]:
    """How many low people there are, how many of them are found, and false detections."""
    people = hits = false = 0
    for detections, (_, everyone) in zip(found, scenes, strict=True):
        truth = np.array([a.bbox for a in everyone], np.float64).reshape(-1, 4)
        low = np.array([not a.ignore and a.height < height for a in everyone], bool)
        detection, person = _pairs(_xywh(detections), truth, LEAST_IOU)
        people += int(low.sum())
        hits += int(low[np.unique(person)].sum())
        false += len(detections) - len(np.unique(detection))
    return people, hits, false


def share_of_same(ours: list[Detections], theirs: list[Detections]) -> float:
    """Share of our detections that the other system has, too."""
    shared = [
        len(np.unique(_pairs(_xywh(a), _xywh(b), SAME_IOU)[0]))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return sum(shared) / max(1, sum(map(len, ours)))


def _pairs(
    a: NDArray[np.float64], b: NDArray[np.float64], least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of boxes of one and of the other image that overlap at least so much."""
    pairs = overlaps(a, np.zeros(len(a), np.int64), b, np.zeros(len(b), np.int64))
    fits = pairs.iou >= least
    return pairs.detection[fits], pairs.ground_truth[fits]


def _xywh(detections: Detections) -> NDArray[np.float64]:
    boxes = detections.xyxy.astype(np.float64)
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)
