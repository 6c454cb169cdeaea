"""Frames of a recording, read and decoded in a thread while the engine works."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from tasksr_ros.config import ReplayConfig
from tasksr_ros.errors import TaskSRError
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import Encoded, Pending, Recording

_DEPTH = 4
"""Decoded frames that may wait for the engine."""
DISORDER_S = 1.0
"""By which a frame's stamp may precede that of a frame before it."""
_POLL_S = 0.2


@dataclass(frozen=True, eq=False)
class Loaded:
    """One frame, decoded or found to be unreadable.

    Attributes:
        pending: what was decoded.
        image: the frame, or its file where it was not to be decoded; None if it is unreadable.
        error: why it is.
        decode_ms: what decoding took.
    """

    pending: Pending
    image: Frame | Encoded | None
    error: str
    decode_ms: float


def selected(recording: Recording, config: ReplayConfig) -> Iterator[Pending]:
    """The frames from ``start`` on for ``duration``, of each camera's every n-th.

    The recording begins with the stamp of its first frame; where no start is given, frames whose
    stamps are earlier count as well: those of another camera, or of a clock that was set later.
    """
    first: int | None = None
    begin = config.start or (-DISORDER_S if config.duration else -float("inf"))
    seen: Counter[str] = Counter()
    end = config.start + config.duration if config.duration else float("inf")
    for item in recording.pending():
        first = item.stamp_ns if first is None else first
        seconds = (item.stamp_ns - first) / 1e9
        if seconds >= end + DISORDER_S:
            return
        if not begin <= seconds < end:
            continue
        if seen[item.camera] % config.every == 0:
            yield item
        seen[item.camera] += 1


Load: TypeAlias = Callable[[Pending], "Frame | Encoded"]


@contextmanager
def read_ahead(
    items: Iterable[Pending], load: Load = lambda item: item.load()
) -> Iterator[Iterator[Loaded]]:
    """Decode ``items`` in a thread, or whatever ``load`` does; it ends with the ``with`` statement.

    What iterating ``items`` raises is raised once the frames before it were taken.
    """
    done: queue.Queue[Loaded | BaseException | None] = queue.Queue(_DEPTH)
    stopped = threading.Event()
    thread = threading.Thread(target=_read, args=(items, load, done, stopped), name="reader")
    thread.start()
    try:
        yield _taken(done)
    finally:
        stopped.set()
        thread.join()


def _taken(done: queue.Queue[Loaded | BaseException | None]) -> Iterator[Loaded]:
    while (item := done.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _read(
    items: Iterable[Pending],
    load: Load,
    done: queue.Queue[Loaded | BaseException | None],
    stopped: threading.Event,
) -> None:
    def put(item: Loaded | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return done.put(item, timeout=_POLL_S)
            except queue.Full:
                continue

    try:
        for pending in items:
            if stopped.is_set():
                return
            put(_load(pending, load))
        put(None)
    except BaseException as error:
        put(error)


def _load(pending: Pending, load: Load) -> Loaded:
    start = time.perf_counter()
    image, error = None, ""
    try:
        image = load(pending)
    except TaskSRError as problem:
        error = str(problem)
    return Loaded(pending, image, error, (time.perf_counter() - start) * 1e3)
