"""Tests of tasksr_ros.diagnostics."""

from __future__ import annotations

import copy

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from tasksr_ros.diagnostics import CameraCounters, to_diagnostics


def report(now: CameraCounters, before: CameraCounters) -> DiagnosticStatus:
    array = to_diagnostics({"": now}, {"": before}, "tasksr", "torch", Time(sec=5))
    assert array.header.stamp == Time(sec=5)
    return array.status[0]


def test_a_camera_from_silence_to_silence() -> None:
    now, before = CameraCounters(), CameraCounters()
    status = report(now, before)
    assert (status.name, status.level) == ("tasksr: camera", DiagnosticStatus.WARN)
    assert status.message == "waiting for the first image"

    now.received, now.processed = 2, 2
    assert report(now, before).level == DiagnosticStatus.OK

    before = copy.deepcopy(now)
    assert report(now, before).level == DiagnosticStatus.STALE


def test_only_new_rejections_warn() -> None:
    now = CameraCounters(received=3, last_rejection="too dark")
    now.rejected["ImageError"] += 2
    status = report(now, CameraCounters())
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "rejected: too dark")
    told = {item.key: item.value for item in status.values}
    assert (told["rejected"], told["rejected ImageError"], told["engine"]) == ("2", "2", "torch")

    before = copy.deepcopy(now)
    now.received += 1
    assert report(now, before).level == DiagnosticStatus.OK
