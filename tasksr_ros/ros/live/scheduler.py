"""Which camera's frame is next: fair among cameras, and never an old one.

Each camera has one place, for its latest frame: a newer one replaces it, nothing queues. Among
the cameras that have a frame, the one that had the fewest turns goes first (start-time fair
queueing, Goyal et al. 1996, with one unit per frame): under overload every camera that sends
enough gets the same number of frames per second, one that sends less gets all of its frames, and
one that was silent gets no credit for it. Of equals, the frame that came first goes first: its
deadline, the oldest age at which work on it may begin, comes first. Past that it is dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tasksr_ros.ros.live.accounts import EXPIRED, REPLACED, STOPPED

T = TypeVar("T")


@dataclass
class _Place(Generic[T]):
    """A camera's waiting frame, and its turns."""

    item: T | None = None
    came_s: float = 0.0
    start: float = 0.0
    """Turn at which the waiting frame is due, in turns of the busiest camera."""
    finish: float = 0.0
    """Turn before which the camera's next frame is not due."""


class Scheduler(Generic[T]):
    """Between the thread that receives frames and the one that works on them.

    Args:
        names: of the cameras, distinct.
        max_age_s: oldest age, since `put`, at which a frame is still handed out, s.
        dropped: told the camera and the cause for each frame that is not handed out; called with
            the scheduler's lock held.
        clock: steady time, s.
    """

    def __init__(
        self,
        names: Sequence[str],
        max_age_s: float,
        dropped: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places: dict[str, _Place[T]] = {name: _Place() for name in names}
        self._max_age_s = max_age_s
        self._dropped = dropped
        self._clock = clock
        self._turn = 0.0
        self._changed = threading.Condition()
        self._woken = False
        self._closed = False

    def put(self, name: str, item: T) -> None:
        """Leave a camera's latest frame; an older one that still waits is dropped."""
        with self._changed:
            if self._closed:
                self._dropped(name, STOPPED)
                return
            place = self._places[name]
            if place.item is None:
                place.start = max(self._turn, place.finish)
            else:
                self._dropped(name, REPLACED)
            place.item, place.came_s = item, self._clock()
            self._changed.notify()

    def take(self, limit: int = 1) -> list[tuple[str, T]] | None:
        """Wait for a frame; returns it, with those of other cameras that wait as well.

        Args:
            limit: most frames to return, each of another camera; the first is the most due.

        Returns:
            (camera, frame) pairs; empty after `wake`; None once the scheduler is closed.
        """
        with self._changed:
            while not self._closed:
                if self._woken:
                    self._woken = False
                    return []
                self._expire()
                waiting = [name for name, place in self._places.items() if place.item is not None]
                if waiting:
                    waiting.sort(key=lambda n: (self._places[n].start, self._places[n].came_s))
                    return [(name, self._hand_out(name)) for name in waiting[:limit]]
                self._changed.wait()
            return None

    def _expire(self) -> None:
        oldest_s = self._clock() - self._max_age_s
        for name, place in self._places.items():
            if place.item is not None and place.came_s < oldest_s:
                self._drop(name, EXPIRED)

    def _hand_out(self, name: str) -> T:
        place = self._places[name]
        item, place.item = place.item, None
        assert item is not None
        self._turn = max(self._turn, place.start)
        place.finish = place.start + 1
        return item

    def _drop(self, name: str, cause: str) -> None:
        self._places[name].item = None
        self._dropped(name, cause)

    def clear(self, name: str, cause: str) -> None:
        """Drop a camera's waiting frame, if there is one."""
        with self._changed:
            if self._places[name].item is not None:
                self._drop(name, cause)

    def wake(self) -> None:
        """Let `take` return once, with nothing."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def close(self) -> None:
        """End all waiting, now and later; what waits is dropped."""
        with self._changed:
            self._closed = True
            for name, place in self._places.items():
                if place.item is not None:
                    self._drop(name, STOPPED)
            self._changed.notify_all()


class RateLimit:
    """Lets a camera's frames pass at a limited rate, whatever their jitter.

    Args:
        rate_hz: most frames per second on average; 0: all pass.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz if rate_hz else 0.0
        self._due_s: float | None = None

    def passes(self, now_s: float) -> bool:
        """Whether the frame that comes at this steady time, s, passes."""
        if self._due_s is None:
            self._due_s = now_s
        if now_s < self._due_s:
            return False
        # From when it was due, not from when it came: else jitter would lower the rate.
        self._due_s = max(self._due_s, now_s - self._period_s) + self._period_s
        return True
