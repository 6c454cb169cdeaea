"""Tests of tasksr_ros.replay.interrupts."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from tasksr_ros.replay.interrupts import ENDINGS, interruptible


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_signal_whose_exception_is_lost_is_told_again(ending: signal.Signals) -> None:
    before = signal.getsignal(ending)
    with interruptible() as check:
        check()
        with suppress(KeyboardInterrupt):  # as in a destructor
            os.kill(os.getpid(), ending)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                check()
    assert signal.getsignal(ending) == before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as check:
            os.kill(os.getpid(), signal.SIGHUP)
            check()
    finally:
        signal.signal(signal.SIGHUP, before)
