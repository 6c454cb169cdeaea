"""What an engine finds in a batch of regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Found(NamedTuple):
    """Boxes of a batch of regions; unlikely and overlapping ones among them.

    Attributes:
        boxes: (N, A, 4) float32 x0, y0, x1, y1 in SR px.
        scores: (N, A) float32 in [0, 1]; 0 where there is no box.
        class_ids: (N, A) int32, index into the bundle's classes.
        kernels: (N, k, k) float32, SR px: what blurred each region, as blind super-resolution
            estimates it; None with any other.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    kernels: NDArray[np.float32] | None = None

    @classmethod
    def of_one_class(cls, boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Found:
        """What a detector with a single class found."""
        return cls(boxes, scores, np.zeros(scores.shape, np.int32))

    def of(self, regions: slice) -> Found:
        """Views of what was found in some of the regions."""
        return Found(*(array[regions] for array in self.arrays))

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Those that there are, in their order."""
        return tuple(array for array in self if array is not None)


def new_found(num_regions: int, num_boxes: int, kernel_side: int = 0) -> Found:
    """Arrays for ``num_boxes`` boxes of each region, without values; 0: no kernels."""
    shape = num_regions, num_boxes
    kernels = (np.empty((num_regions, kernel_side, kernel_side), np.float32),)
    return Found(
        np.empty((*shape, 4), np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.int32),
        *(kernels if kernel_side else ()),
    )


def joined(parts: Sequence[Found]) -> Found:
    """What was found in all regions of ``parts``; A is the greatest, filled up with score 0."""
    if len(parts) == 1:
        return parts[0]
    most = max(part.scores.shape[1] for part in parts)
    total = sum(len(part.scores) for part in parts)
    kernels = parts[0].kernels
    found = new_found(total, most, 0 if kernels is None else kernels.shape[-1])
    for array in found.arrays:
        array.fill(0)
    first = 0
    for part in parts:
        number, num_boxes = part.scores.shape
        rows = found.of(slice(first, first + number))
        rows.boxes[:, :num_boxes] = part.boxes
        rows.scores[:, :num_boxes] = part.scores
        rows.class_ids[:, :num_boxes] = part.class_ids
        if rows.kernels is not None:
            rows.kernels[:] = part.kernels
        first += number
    return found
