"""What an engine finds in a batch of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Found(NamedTuple):
    """Boxes of a batch of regions; unlikely and overlapping ones among them.

    Attributes:
        boxes: (N, A, 4) float32 x0, y0, x1, y1 in SR px.
        scores: (N, A) float32 in [0, 1]; 0 where there is no box.
        class_ids: (N, A) int32, index into the bundle's classes.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]

    @classmethod
    def of_one_class(cls, boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Found:
        """What a detector with a single class found."""
        return cls(boxes, scores, np.zeros(scores.shape, np.int32))

    def of(self, regions: slice) -> Found:
        """Views of what was found in some of the regions."""
        return Found(self.boxes[regions], self.scores[regions], self.class_ids[regions])


def new_found(num_regions: int, num_boxes: int) -> Found:
    """Arrays for ``num_boxes`` boxes of each region, without values."""
    shape = num_regions, num_boxes
    return Found(
        np.empty((*shape, 4), np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    )


def joined(parts: Sequence[Found]) -> Found:
    """What was found in all regions of ``parts``; A is the greatest, filled up with score 0."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.scores.shape[1] for part in parts)
    total = sum(len(part.scores) for part in parts)
    found = new_found(total, most)
    for array in found:
        array.fill(0)
    first = 0
    for part in parts:
        number, num_boxes = part.scores.shape
        rows = found.of(slice(first, first + number))
        rows.boxes[:, :num_boxes] = part.boxes
        rows.scores[:, :num_boxes] = part.scores
        rows.class_ids[:, :num_boxes] = part.class_ids
        first += number
    return found
