"""Tests of tasksr_ros.ros.live.stamps."""

from __future__ import annotations

import pytest

from tasksr_ros.config import StampConfig
from tasksr_ros.ros.live.stamps import FUTURE, OUT_OF_ORDER, REPEATED, ZERO, StampGate, Verdict

S = 1_000_000_000
NOW = 1000 * S


@pytest.mark.parametrize(("policy", "accepted"), [("accept", True), ("drop", False)])
def test_policies_of_zero_future_and_repeated(policy: str, accepted: bool) -> None:
    gate = StampGate(StampConfig(zero=policy, future=policy, repeated=policy))  # type: ignore[arg-type]
    assert gate.judge(990 * S, NOW) == Verdict()
    assert gate.judge(990 * S, NOW) == Verdict(REPEATED, accepted)
    assert gate.judge(0, NOW) == Verdict(ZERO, accepted)
    assert gate.judge(0, NOW) == Verdict(ZERO, accepted)
    assert gate.judge(NOW + 2 * S, NOW) == Verdict(FUTURE, accepted)


def test_a_stamp_within_the_tolerance_is_not_of_the_future() -> None:
    gate = StampGate(StampConfig(future="drop", future_tolerance=0.5))
    assert gate.judge(NOW + S // 2, NOW) == Verdict()
    assert gate.judge(NOW + S // 2 + 1, NOW) == Verdict(FUTURE, False)


def test_nothing_is_of_the_future_before_the_first_clock() -> None:
    assert StampGate(StampConfig(future="drop")).judge(NOW, 0) == Verdict()


def test_shuffled_stamps_are_out_of_order() -> None:
    gate = StampGate(StampConfig())
    verdicts = [gate.judge(NOW - ms * 1_000_000, NOW).finding for ms in (90, 60, 80, 30, 40, 10)]
    assert verdicts == ["", "", OUT_OF_ORDER, "", OUT_OF_ORDER, ""]


def test_a_jump_back_begins_a_new_course() -> None:
    gate = StampGate(StampConfig(jump_back=1.0))
    gate.judge(700 * S, NOW)
    assert gate.judge(699 * S, NOW) == Verdict(OUT_OF_ORDER, False)
    assert gate.judge(100 * S, NOW) == Verdict(jumped_back=True)
    assert gate.judge(101 * S, NOW) == Verdict()


def test_after_one_accepted_stamp_of_the_future_time_goes_on() -> None:
    gate = StampGate(StampConfig())
    gate.judge(900 * S, NOW)
    assert gate.judge(5000 * S, NOW).finding == FUTURE
    assert gate.judge(901 * S, NOW) == Verdict(jumped_back=True)
    assert gate.judge(902 * S, NOW) == Verdict()


def test_a_zero_stamp_is_no_jump() -> None:
    gate = StampGate(StampConfig())
    gate.judge(900 * S, NOW)
    gate.judge(0, NOW)
    assert gate.judge(901 * S, NOW) == Verdict()


def test_restart_forgets() -> None:
    gate = StampGate(StampConfig())
    gate.judge(900 * S, NOW)
    gate.restart()
    assert gate.judge(100 * S, NOW) == Verdict()


def test_a_clock_ahead_hides_neither_repeats_nor_disorder() -> None:
    gate = StampGate(StampConfig(repeated="drop"))
    assert gate.judge(NOW + 2 * S, NOW) == Verdict(FUTURE)
    assert gate.judge(NOW + 2 * S, NOW) == Verdict(REPEATED, False)
    assert gate.judge(NOW + 3 * S // 2, NOW) == Verdict(OUT_OF_ORDER, False)
    assert gate.judge(NOW + 3 * S, NOW) == Verdict(FUTURE)
