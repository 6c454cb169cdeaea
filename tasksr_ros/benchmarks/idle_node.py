"""The real node with an engine that answers at once: what is left is the node's own cost."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.node import main

PEOPLE = 8


class IdleEngine:
    """See `engines.Engine`. Finds the same people in every region.

    They are among as many boxes as the detector gives.
    """

    name = "idle"
    runs_batches = False

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        width, height = (side * bundle.scale_factor for side in bundle.region_size)
        number = sum((width // stride) * (height // stride) for stride in (4, 8, 16))
        self._boxes = np.zeros((1, number, 4), np.float32)
        self._scores = np.zeros((1, number), np.float32)
        left = np.linspace(0, 0.9 * width, PEOPLE)
        self._boxes[0, :PEOPLE] = np.stack(
            (left, np.full(PEOPLE, height / 4), left + width / 20, np.full(PEOPLE, height / 2)), 1
        )
        self._scores[0, :PEOPLE] = 0.9

    def __call__(
        self, regions: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `engines.Engine`."""
        return self._boxes.repeat(len(regions), 0), self._scores.repeat(len(regions), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], IdleEngine))
