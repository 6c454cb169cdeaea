"""What an engine is given for super-resolution of video: regions with what was there before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.engines.interface import check_regions


@dataclass(frozen=True, eq=False)
class Clips:
    """Regions of one frame or of several, each with its neighbours in time.

    Attributes:
        regions: (N, height, width, 3) uint8 RGB, of the frame that is looked at.
        neighbours: (N, K, height, width, 3) uint8 RGB, the same place in other frames.
        flows: (N, K, 2, height, width) float32, where each pixel went there, region px; see
            `networks.super_resolution.flow`.
    """

    regions: NDArray[np.uint8]
    neighbours: NDArray[np.uint8]
    flows: NDArray[np.float32]

    @classmethod
    def without_neighbours(cls, regions: NDArray[np.uint8], number: int) -> Clips:
        """Regions before which nothing was seen: they stand for their neighbours themselves."""
        count, height, width, _ = regions.shape
        flows = np.zeros((count, number, 2, height, width), np.float32)
        return cls(regions, np.repeat(regions[:, None], number, 1), flows)

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, some: slice) -> Clips:
        return Clips(*(array[some] for array in self.arrays))

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """In the order in which the networks take them."""
        return self.regions, self.neighbours, self.flows


Regions: TypeAlias = NDArray[np.uint8] | Clips
"""(N, height, width, 3) uint8 RGB, with neighbours or without."""


def stacked(batches: Sequence[Regions]) -> Regions:
    """Regions of several frames as one batch, all with neighbours or all without."""
    if len(batches) == 1:
        return batches[0]
    clips = [batch for batch in batches if isinstance(batch, Clips)]
    if clips:
        arrays = zip(*(clip.arrays for clip in clips), strict=True)
        return Clips(*(np.concatenate(of_all) for of_all in arrays))
    return np.concatenate([batch for batch in batches if not isinstance(batch, Clips)])


def inputs(
    regions: Regions, region_size: tuple[int, int], neighbours: int
) -> tuple[NDArray[Any], ...]:
    """The arrays that the networks take, each contiguous.

    Args:
        regions: what the engine was given.
        region_size: (width, height) that it takes.
        neighbours: of each region, that it takes.

    Raises:
        ValueError: for another shape or type, or other neighbours.
    """
    arrays = regions.arrays if isinstance(regions, Clips) else (regions,)
    check_regions(arrays[0], region_size)
    got = regions.neighbours.shape[1] if isinstance(regions, Clips) else 0
    if got != neighbours:
        raise ValueError(f"each region must have {neighbours} neighbours in time, got {got}")
    (width, height), count = region_size, len(arrays[0])
    wanted = (
        ("neighbours", (count, neighbours, height, width, 3), np.uint8),
        ("flows", (count, neighbours, 2, height, width), np.float32),
    )
    for array, (name, shape, dtype) in zip(arrays[1:], wanted, strict=False):
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{name} must be {np.dtype(dtype)} of shape {shape}, "
                f"got {array.dtype} of shape {array.shape}"
            )
    return tuple(np.ascontiguousarray(array) for array in arrays)
