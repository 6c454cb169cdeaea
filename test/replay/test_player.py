"""Tests of tasksr_ros.replay.player: when frames are due; test_live.py plays them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from tasksr_ros.replay import player


@pytest.mark.parametrize(
    ("stamps", "due"),
    [
        ((10, 20, 30), [0.0, 1.0, 2.0]),
        ((10, 9, 20, 19, 30, 29), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]),  # two cameras, 0.1 s apart
        ((10, 20, 5, 15, 25), [0.0, 1.0, 1.0, 2.0, 3.0]),  # a recording of a bag in a loop
        ((10, 20, 90, 100), [0.0, 1.0, 6.0, 7.0]),  # pauses are 5 s at most
    ],
)
def test_when_frames_are_published(
    monkeypatch: pytest.MonkeyPatch, stamps: tuple[int, ...], due: list[float]
) -> None:
    """Stamps in units of 0.1 s."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock_of_tests = SimpleNamespace(perf_counter=lambda: now[0], sleep=sleep)
    monkeypatch.setattr(player, "time", clock_of_tests)
    clock, published = player._Clock(), []
    for stamp in stamps:
        clock.wait_until(stamp * 10**8)
        published.append(round(now[0], 6))
    assert published == due
