"""Tests of tasksr_ros.replay.interrupts."""

from __future__ import annotations

import os
import signal
import threading
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
            with pytest.raises(KeyboardInterrupt) as raised:
                check()
            assert raised.value.args == (ending,)
    assert signal.getsignal(ending) == before


def test_a_second_signal_does_not_disturb_what_is_put_in_order() -> None:
    finished = False
    with interruptible(), suppress(KeyboardInterrupt):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the signal did nothing")
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            finished = True
    assert finished


def test_in_another_thread_nothing_changes() -> None:
    before = [signal.getsignal(ending) for ending in ENDINGS]

    def run() -> None:
        with interruptible() as check:
            check()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [signal.getsignal(ending) for ending in ENDINGS] == before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as check:
            os.kill(os.getpid(), signal.SIGHUP)
            check()
    finally:
        signal.signal(signal.SIGHUP, before)
