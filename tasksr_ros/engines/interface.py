"""What every engine offers, and what they share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.engines.found import Found
from tasksr_ros.errors import EngineError

if TYPE_CHECKING:
    from tasksr_ros.engines.clips import Regions


class Engine(Protocol):
    """Compiled networks for regions of one size.

    Attributes:
        name: of the engine.
        region_size: (width, height) of a region in region px.
        scale_factor: SR px per region px.
        runs_batches: whether regions of one call run together, so that a batch costs less than
            its regions one by one.
    """

    name: str
    region_size: tuple[int, int]
    scale_factor: float
    runs_batches: bool

    def __call__(self, regions: Regions) -> Found:
        """Detect in regions.

        Args:
            regions: (N, height, width, 3) uint8 RGB; N ≥ 1. With their neighbours in time where
                super-resolution is of video.

        Returns:
            What was found; the caller's to keep.

        Raises:
            ValueError: for another shape or type.
            EngineError: if the device fails.
        """
        ...


@contextmanager
def engine_errors(name: str) -> Iterator[None]:
    """A library's errors, the device's and those of memory among them, as EngineError."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise EngineError(f"{name} failed: {reason}") from error


def check_regions(regions: NDArray[np.uint8], region_size: tuple[int, int]) -> None:
    """Raise ValueError unless ``regions`` is (N ≥ 1, height, width, 3) uint8."""
    width, height = region_size
    if regions.ndim != 4 or regions.shape[1:] != (height, width, 3) or not len(regions):
        raise ValueError(f"regions must have shape (N, {height}, {width}, 3), got {regions.shape}")
    if regions.dtype != np.uint8:
        raise ValueError(f"regions must be uint8, got {regions.dtype}")
