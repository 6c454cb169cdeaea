"""Tests of tasksr_ros.ros.session."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from tasksr_ros.ros.session import Session


def told(**parts: dict[str, str]) -> Session:
    """A session that has heard this on /diagnostics, and nothing else."""
    session = Session.__new__(Session)
    session.diagnostics, session.reported_s = {}, 0.0
    if parts:
        array = DiagnosticArray()
        for name, pairs in parts.items():
            given = [KeyValue(key=key, value=value) for key, value in pairs.items()]
            array.status.append(DiagnosticStatus(name=f"tasksr: {name}", values=given))
        session._on_diagnostics(array)
    return session


@pytest.mark.parametrize(
    ("parts", "at_work"),
    [
        ({}, False),
        ({"camera": {"pending": "0"}, "engine": {"state": "ok"}}, False),
        ({"camera": {"pending": "2"}, "engine": {"state": "ok"}}, True),
        ({"camera": {"pending": "2"}, "engine": {"state": "slow"}}, True),
        ({"camera": {"pending": "2"}, "engine": {"state": "hangs"}}, False),
        ({"left": {"pending": "0"}, "front": {"pending": "1"}}, True),
    ],
)
def test_a_slow_node_is_at_work(parts: dict[str, dict[str, str]], at_work: bool) -> None:
    assert told(**parts).is_at_work() == at_work


def test_a_node_that_says_nothing_more_is_not_at_work() -> None:
    session = told(camera={"pending": "2"})
    session.reported_s = time.perf_counter() - 11
    assert not session.is_at_work()
