"""One end of the node's process, whenever it is asked for: status 0, shared memory given back.

A thread waits for the signals, so that neither an engine that hangs nor a second Ctrl-C changes
how the process ends. It must be there before anything slow is imported: this file needs Python's
own modules alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

GRACE_S = 2.0
"""For the main thread to end the process itself, once it was asked to."""
RELEASE_S = 6.0
"""For what is held to be given back, after which the process ends all the same."""


def _nothing() -> None:
    pass


class Ending:
    """Ends this process once, at its own wish or at a signal's.

    Attributes:
        asked: whether a signal asked for the end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._ends = threading.Lock()
        self._given_back = threading.Event()
        self._stop: Callable[[], None] | None = None
        self._release: Callable[[], None] = _nothing

    def watch(self) -> None:
        """Wait for signals to end, from now on; called in the main thread, before any other.

        All threads are begun with these signals blocked: none is interrupted by them.
        """
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # by nohup
        endings = {signal.SIGINT, signal.SIGTERM} | (set() if ignored else {signal.SIGHUP})
        signal.pthread_sigmask(signal.SIG_BLOCK, endings)
        threading.Thread(target=self._wait, args=(endings,), name="signals", daemon=True).start()

    def hold(self, stop: Callable[[], None], release: Callable[[], None]) -> None:
        """From now on there is something to give back.

        Args:
            stop: called at a signal, in another thread: makes the main thread come to an end.
            release: called once before the process ends, in a thread of its own.
        """
        self._release, self._stop = release, stop

    def end(self, status: int) -> NoReturn:
        """Give back what is held and end the process; threads that hang do not delay that.

        Args:
            status: of the exit; 0 where a signal asked for it.
        """
        if self._ends.acquire(blocking=False):
            threading.Thread(target=self._give_back, name="release", daemon=True).start()
        self._given_back.wait(RELEASE_S)
        # Python's own end would wait for C++ threads, or break those that wait for its lock.
        os._exit(0 if self.asked else status)

    def _give_back(self) -> None:
        with contextlib.suppress(Exception):
            self._release()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        self._given_back.set()

    def _wait(self, endings: set[signal.Signals]) -> None:
        signal.sigwait(endings)
        self.asked = True
        if self._stop is not None:
            with contextlib.suppress(Exception):
                self._stop()
            time.sleep(GRACE_S)
        self.end(0)
