"""Ctrl-C and polite requests to end, which must not be lost while messages come and go."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Signals to end become KeyboardInterrupt; main thread only.

    Yields:
        a check that raises it once more: an exception raised in one of rclpy's destructors is
        lost.
    """
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def check() -> None:
        if interrupted:
            raise KeyboardInterrupt

    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # by nohup
    endings = ENDINGS[:-1] if ignored else ENDINGS
    before = {ending: signal.signal(ending, interrupt) for ending in endings}
    try:
        yield check
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
