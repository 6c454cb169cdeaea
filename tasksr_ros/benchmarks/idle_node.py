"""The real node with an engine that answers at once: what is left is the node's own cost."""

from __future__ import annotations

import sys

import numpy as np

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.clips import Regions
from tasksr_ros.engines.found import Found, joined
from tasksr_ros.ros.node import main

PEOPLE = 8


class IdleEngine:
    """See `engines.Engine`. Finds the same people in the first region of each call.

    They are among as many boxes as the detector gives.
    """

    name = "idle"
    runs_batches = False

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        width, height = bundle.sr_size
        number = sum((width // stride) * (height // stride) for stride in (4, 8, 16))
        self._found = Found(
            np.zeros((1, number, 4), np.float32),
            np.zeros((1, number), np.float32),
            np.zeros((1, number), np.int32),
        )
        left = np.linspace(0, 0.9 * width, PEOPLE)
        self._found.boxes[0, :PEOPLE] = np.stack(
            (left, np.full(PEOPLE, height / 4), left + width / 20, np.full(PEOPLE, height / 2)), 1
        )
        self._found.scores[0, :PEOPLE] = 0.9
        nobody = np.zeros_like(self._found.scores)
        self._nobody = self._found._replace(scores=nobody)

    def __call__(self, regions: Regions) -> Found:
        """See `engines.Engine`."""
        return joined([self._found, *[self._nobody] * (len(regions) - 1)])


if __name__ == "__main__":
    main(sys.argv[1:], IdleEngine)
