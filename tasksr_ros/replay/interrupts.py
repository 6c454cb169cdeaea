"""Ctrl-C and polite requests to end, which must not be lost while messages come and go."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """The first signal to end becomes a KeyboardInterrupt with its number.

    Those that follow are ignored: what was begun is put in order, videos and bags are finished.
    Signals come to the main thread; in another one nothing changes.

    Yields:
        a check that raises it once more: an exception raised in one of rclpy's destructors is
        lost.
    """
    interrupted = 0

    def interrupt(number: int, _: object) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = number
            raise KeyboardInterrupt(number)

    def check() -> None:
        if interrupted:
            raise KeyboardInterrupt(interrupted)

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # by nohup
    endings = ENDINGS[:-1] if ignored else ENDINGS
    before = {ending: signal.signal(ending, interrupt) for ending in endings}
    try:
        yield check
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
