"""The real node with an engine that finds pure red pixels, after a given time of work.

What it finds is known, so that tests over topics need no trained networks. Called with the
milliseconds of work per region, then options of faults, then the node's own arguments:

    red_node.py 5 --fail-every 10 --hang-s 3 --ros-args …

A pure blue pixel lets the engine hang for ``--hang-s``, and so does every call from the one with
the number ``--hang-after`` on.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle
from tasksr_ros.engines.found import Found
from tasksr_ros.ros.node import main


class Gate:
    """Where calls of an engine wait until a test lets them on: no sleep decides what comes first.

    Attributes:
        entered: when each call came, seconds since 1970.
    """

    def __init__(self) -> None:
        self.entered: list[float] = []
        self._open = threading.Event()
        self._permits = threading.Semaphore(0)

    def let_one_on(self) -> None:
        """Let one call on, that waits or comes."""
        self._permits.release()

    def open(self) -> None:
        """Let all calls on, from now on."""
        self._open.set()
        self._permits.release()

    def wait(self) -> None:
        """Called by the engine."""
        self.entered.append(time.time())
        self._permits.acquire()
        if self._open.is_set():
            self._permits.release()


class RedEngine:
    """Boxes every pure red pixel with score 0.9.

    Args:
        work_s: for each region.
        fail_every: raise at each such call.
        hang_s: of a call with a blue pixel, and from the call ``hang_after`` on.
        gate: of each call after the warm-up.
        hang: of those that hang, in place of ``hang_s``.
    """

    name = "red"
    runs_batches = False

    def __init__(
        self,
        bundle: Bundle,
        work_s: float = 0.0,
        fail_every: int = 0,
        hang_s: float = 0.0,
        hang_after: int = 0,
        gate: Gate | None = None,
        hang: Gate | None = None,
    ) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self._work_s = work_s
        self._fail_every = fail_every
        self._hang_s = hang_s
        self._hang_after = hang_after
        self._gate = gate
        self._hang = hang
        self._calls = -1  # the warm-up is none

    def __call__(self, regions: NDArray[np.uint8]) -> Found:
        self._calls += 1
        if self._fail_every and self._calls and self._calls % self._fail_every == 0:
            raise RuntimeError(f"call {self._calls} fails")
        hangs = 0 < self._hang_after <= self._calls
        blue = hangs or (regions == (0, 0, 255)).all(-1).any()
        gate = self._hang if blue else self._gate
        if gate and self._calls:
            gate.wait()
        time.sleep(self._hang_s if blue else self._work_s * len(regions))
        red = (regions == (255, 0, 0)).all(-1)
        count = max(1, int(red.sum((1, 2)).max()))
        boxes = np.zeros((len(regions), count, 4), np.float32)
        scores = np.zeros((len(regions), count), np.float32)
        for index, mask in enumerate(red):
            y, x = np.nonzero(mask)
            boxes[index, : len(x)] = np.stack((x, y, x + 1, y + 1), 1) * self.scale_factor
            scores[index, : len(x)] = 0.9
        return Found.of_one_class(boxes, scores)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("work_ms", type=float)
    parser.add_argument("--fail-every", type=int, default=0)
    parser.add_argument("--hang-s", type=float, default=0.0)
    parser.add_argument("--hang-after", type=int, default=0)
    return parser.parse_known_args()[0]


if __name__ == "__main__":
    given = options()
    main(
        sys.argv[1:],
        lambda bundle, _: RedEngine(
            bundle, given.work_ms / 1e3, given.fail_every, given.hang_s, given.hang_after
        ),
    )
