"""An engine that goes on when the device runs out of memory, with smaller batches."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from statistics import median_low

from tasksr_ros.engines.clips import Regions
from tasksr_ros.engines.found import Found, joined
from tasksr_ros.engines.interface import Engine
from tasksr_ros.errors import EngineError

logger = logging.getLogger(__name__)

LAST_CALLS = 9
"""Of which the median is how long a region takes: one stall does not count."""


class GuardedEngine:
    """See `engines.Engine`. Splits batches once the device could not hold a whole one.

    When a call lacks memory, the device's cache is emptied and the regions are run once more in
    batches of half as many. What fits then is what all later calls use. What does not fit either
    fails, and ``out_of_memory`` holds until a call succeeds.

    Attributes:
        batch_limit: most regions run together; None: as many as a call has.
        out_of_memory: whether the last call failed for want of memory.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.region_size = engine.region_size
        self.scale_factor = engine.scale_factor
        self.runs_batches = engine.runs_batches
        self.batch_limit: int | None = None
        self.out_of_memory = False
        self._region_s: deque[float] = deque(maxlen=LAST_CALLS)

    def __call__(self, regions: Regions) -> Found:
        """See `engines.Engine`."""
        begun_s = time.monotonic()
        found = self._guarded(regions)
        self._region_s.append((time.monotonic() - begun_s) / max(1, len(regions)))
        return found

    @property
    def region_s(self) -> float:
        """How long a region takes, s: the median of the last calls; 0 before the first."""
        return median_low(self._region_s) if self._region_s else 0.0

    def _guarded(self, regions: Regions) -> Found:
        try:
            found = self._run(regions, self.batch_limit or len(regions))
        except Exception as error:
            if not lacks_memory(error):
                raise
            found = self._run_halves(regions, error)
        self.out_of_memory = False
        return found

    def _run_halves(self, regions: Regions, error: Exception) -> Found:
        batch = max(1, min(self.batch_limit or len(regions), len(regions)) // 2)
        logger.warning("out of memory: trying again with batches of %d: %s", batch, error)
        _empty_cache()
        try:
            found = self._run(regions, batch)
        except Exception as again:
            if not lacks_memory(again):
                raise
            self.out_of_memory = True
            _empty_cache()
            raise EngineError(
                f"out of memory with a batch of {batch}, too: {str(again).splitlines()[0]}"
            ) from again
        if batch < len(regions):
            self.batch_limit = batch
        return found

    def _run(self, regions: Regions, batch: int) -> Found:
        if batch >= len(regions):
            return self._engine(regions)
        return joined([self._engine(regions[i : i + batch]) for i in range(0, len(regions), batch)])


_NO_MEMORY = ("out of memory", "bad_alloc", "_STATUS_ALLOC_FAILED")
"""In what libraries say that have no exception for it: CUDA, C++, cuDNN and cuBLAS."""


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is the device's or the host's want of memory."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(error, torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and any(p in str(error) for p in _NO_MEMORY):
            return True
        error = error.__cause__
    return False


def _empty_cache() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
