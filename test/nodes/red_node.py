"""The real node with an engine that finds pure red pixels, after a given time of work.

What it finds is known, so that tests over topics need no trained networks. Called with the
milliseconds of work per frame, then the node's own arguments.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle
from tasksr_ros.node import main


class RedEngine:
    """Boxes every pure red pixel with score 0.9."""

    name = "red"

    def __init__(self, bundle: Bundle, work_s: float) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self._work_s = work_s

    def __call__(
        self, regions: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        time.sleep(self._work_s)
        red = (regions == (255, 0, 0)).all(-1)
        count = max(1, int(red.sum((1, 2)).max()))
        boxes = np.zeros((len(regions), count, 4), np.float32)
        scores = np.zeros((len(regions), count), np.float32)
        for index, mask in enumerate(red):
            y, x = np.nonzero(mask)
            boxes[index, : len(x)] = np.stack((x, y, x + 1, y + 1), 1) * self.scale_factor
            scores[index, : len(x)] = 0.9
        return boxes, scores


if __name__ == "__main__":
    work_s = float(sys.argv[1]) / 1e3
    sys.exit(main(sys.argv[1:], engine_factory=lambda bundle, _: RedEngine(bundle, work_s)))
