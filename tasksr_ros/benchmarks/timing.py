"""How long calls take, side by side: in turns, so that other load falls on all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GEMM = "matrix multiplication"
GEMM_SIZE = 1024


@dataclass(frozen=True, eq=False)
class Samples:
    """What several runs of one call took.

    Attributes:
        wall_s: time passed, of each run.
        cpu_s: processor time used, of all threads.
    """

    wall_s: NDArray[np.float64]
    cpu_s: NDArray[np.float64]

    def wall_ms(self, percentile: float = 50) -> float:
        """A percentile of the time passed, ms."""
        return float(np.percentile(self.wall_s, percentile)) * 1e3

    @property
    def cpu_ms(self) -> float:
        """Median of the processor time, ms."""
        return float(np.median(self.cpu_s)) * 1e3


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int
) -> dict[str, Samples]:
    """Run each call in turn, round after round; the first ``warm_up`` rounds do not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for index in range(warm_up + rounds):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            taken = time.perf_counter() - wall, time.process_time() - cpu
            if index >= warm_up:
                times[name].append(taken)
    return {name: Samples(*np.array(taken).T) for name, taken in times.items()}


def gemm() -> Callable[[], object]:
    """A float32 matrix multiplication of 2 · ``GEMM_SIZE``³ operations: the measured peak."""
    import torch

    a, b = torch.rand(2, GEMM_SIZE, GEMM_SIZE).unbind()
    return lambda: a @ b


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """PyTorch with this number of threads, until the end of the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resident_mb(process: int | str = "self") -> float:
    """Memory that a process has in RAM, 10^6 bytes; by default this one's."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
