"""Any number of regions with engines that are compiled or recorded for fixed batch sizes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.engines.found import Found, new_found
from tasksr_ros.engines.guarded import lacks_memory

logger = logging.getLogger(__name__)

PreparedT = TypeVar("PreparedT")


class Runner(Protocol):
    """Runs batches of one size.

    Attributes:
        num_cells: boxes per region, A.
        kernel_side: of the kernel of each region, k; 0: none.
    """

    num_cells: int
    kernel_side: int

    def __call__(self, regions: NDArray[np.uint8], found: Found) -> None:
        """Run (N, H, W, 3) uint8 RGB into the arrays of ``found``."""
        ...


class StaticBatches:
    """Runs any number of regions with runners of fixed batch sizes.

    Args:
        runners: by batch size; 1 must be among them.
    """

    def __init__(self, runners: Mapping[int, Runner]) -> None:
        if 1 not in runners:
            raise ValueError(f"there must be a runner for batches of 1, got {sorted(runners)}")
        self.runners = dict(runners)

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        """See `engines.Engine`."""
        number, one = len(regions), self.runners[1]
        found = new_found(number, one.num_cells, one.kernel_side)
        first = 0
        for size in plan(number, sorted(self.runners)):
            part = slice(first, first + size)
            self.runners[size](regions[part], found.of(part))
            first += size
        return found


def batch_sizes(limit: int) -> tuple[int, ...]:
    """1, 2, 4, … and ``limit``: the sizes that are prepared for batches of up to ``limit``."""
    powers = [2**exponent for exponent in range(limit.bit_length()) if 2**exponent < limit]
    return (*powers, limit)


def plan(number: int, sizes: Sequence[int]) -> list[int]:
    """Sizes of the batches that ``number`` regions are run in, largest first, without padding.

    Args:
        number: of regions.
        sizes: that can be run; ascending, from 1.
    """
    batches: list[int] = []
    for size in reversed(sizes):
        count, number = divmod(number, size)
        batches += [size] * count
    return batches


def prepare(sizes: Sequence[int], make: Callable[[int], PreparedT]) -> dict[int, PreparedT]:
    """What ``make`` gives for each size, up to the first that the device has no memory for.

    Raises:
        Exception: whatever ``make`` raises for another reason, or for the smallest size.
    """
    prepared: dict[int, PreparedT] = {}
    for size in sizes:
        try:
            prepared[size] = make(size)
        except Exception as error:
            if not prepared or not lacks_memory(error):
                raise
            logger.warning(
                "no memory for batches of %d: regions run at most %d together: %s",
                size,
                max(prepared),
                str(error).partition("\n")[0],
            )
            break
    return prepared
