"""What the engines found in tiles, as detections in image px."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import Detections, concatenate
from tasksr_ros.engines.found import Found
from tasksr_ros.merge import merge
from tasksr_ros.regions import Tile, cut_boxes, seen_whole_elsewhere


class InImage(NamedTuple):
    """Detections in image px, before they are merged.

    Attributes:
        detections: N of them.
        cut: (N,) which of them the side of their tile may cut.
    """

    detections: Detections
    cut: NDArray[np.bool_]

    def merged(
        self, nms_iou: float, max_detections: int, *least_scores: NDArray[np.float32]
    ) -> Detections:
        """Merged detections, strongest first, of groups of falling least scores of each class.

        None is suppressed by one of a weaker group.
        """
        detections, cut = self
        left = np.ones(len(detections), np.bool_)
        groups = []
        for least in least_scores:
            chosen = left & (detections.score >= least[detections.class_id])
            left = left & ~chosen
            groups.append(merge(detections.select(chosen), cut[chosen], nms_iou, max_detections))
        return concatenate(groups)


def joined(parts: Sequence[InImage]) -> InImage:
    """All of ``parts``, in their order."""
    return InImage(
        concatenate([part.detections for part in parts]),
        np.concatenate([part.cut for part in parts]),
    )


def in_image(
    tile: Tile,
    found: Found,
    scale_factor: float,
    image_size: tuple[int, int],
    least_scores: NDArray[np.float32],
    overlap: int,
) -> InImage:
    """Detections of one tile.

    Args:
        tile: where the engine looked.
        found: what it found there, and there alone.
        scale_factor: of the engine.
        image_size: (width, height) in image px; boxes are clipped to it.
        least_scores: of each class.
        overlap: of tiles, region px.
    """
    scores, class_ids = found.scores[0], found.class_ids[0]
    likely = np.flatnonzero(scores >= least_scores.min())  # of tens of thousands, a few
    likely = likely[scores[likely] >= least_scores[class_ids[likely]]]
    if not len(likely):  # most tiles: nobody is there
        return InImage(Detections.empty(), np.zeros(0, np.bool_))
    boxes, scores, class_ids = found.boxes[0, likely], scores[likely], class_ids[likely]
    region_boxes = boxes / scale_factor
    xyxy = tile.to_image(boxes, scale_factor).clip(0, np.tile(image_size, 2))
    kept = (xyxy[:, 2:] > xyxy[:, :2]).all(1) & ~seen_whole_elsewhere(tile, region_boxes, overlap)
    cut = cut_boxes(tile, region_boxes)
    return InImage(Detections.from_arrays(xyxy[kept], scores[kept], class_ids[kept]), cut[kept])
