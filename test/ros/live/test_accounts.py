"""Tests of tasksr_ros.ros.live.accounts and tasksr_ros.ros.live.health."""

from __future__ import annotations

import dataclasses
import math
import sys
import types

import numpy as np
import pytest

from tasksr_ros.attention import Attended
from tasksr_ros.config import DiagnosticsConfig
from tasksr_ros.ros.live.accounts import REPLACED, Account, Report, rates_and_ages, rejection
from tasksr_ros.ros.live.health import (
    EngineState,
    Health,
    InputState,
    Level,
    camera_health,
    engine_health,
    gpu_memory_health,
    memory_health,
    open_files,
    process_values,
    resident_bytes,
)
from tasksr_ros.ros.live.stamps import ZERO
from tasksr_ros.ros.live.throttle import Throttle

CONFIG = DiagnosticsConfig(
    silent_warn=1.0,
    silent_error=5.0,
    age_warn=0.5,
    age_error=2.0,
    rejected_warn=0.1,
    rejected_error=0.5,
)


def health(now: Report, before: Report | None = None, **more: object) -> Health:
    arguments: dict[str, object] = {"paused": False, "inputs": InputState("/image"), **more}
    return camera_health(now, before or Report(), CONFIG, **arguments)  # type: ignore[arg-type]


def test_every_frame_is_in_the_account_once() -> None:
    account = Account(0.0)
    for index in range(6):
        account.receive(float(index))
    account.process({"total": 5.0}, 0.0)
    account.drop(REPLACED)
    account.drop(REPLACED)
    account.drop(rejection(ValueError()), "too dark")
    account.note(ZERO)
    report = account.report(7.0)
    assert (report.received, report.processed, report.pending, report.rejected) == (6, 1, 2, 1)
    assert report.dropped == {REPLACED: 2, "rejected ValueError": 1}
    assert (report.notes, report.last_rejection, report.silent_s) == ({ZERO: 1}, "too dark", 2.0)


@pytest.mark.parametrize(("oldest_s", "level"), [(2.9, Level.OK), (3.1, Level.WARN)])
def test_a_budget_that_is_too_small_is_told(oldest_s: float, level: Level) -> None:
    account = Account(0.0)
    account.receive(0.0)
    account.process({"total": 5.0}, 0.0, Attended((), (), 0.7, oldest_s, 2.0))
    found = health(account.report(0.5))
    assert found.level == level
    if level:
        assert found.message == (
            "region.budget is too small for region.revisit of 2 s: a part of the band was not "
            "looked at for 3.1 s"
        )


def test_percentiles_of_a_stage() -> None:
    account = Account(0.0)
    for ms in range(101):
        account.process({"engine": float(ms)}, 0.0)
    assert account.report(0.0).percentiles("engine") == (50.0, 95.0, 99.0)
    assert all(map(math.isnan, account.report(0.0).percentiles("decode")))
    account.restart_statistics()
    report = account.report(0.0)
    assert all(map(math.isnan, report.percentiles("engine")))
    assert (report.processed, report.time_jumps) == (101, 1)


@pytest.mark.parametrize(
    ("times_s", "now_s", "hz"),
    [
        ([], 5.0, 0.0),
        ([1.0], 5.0, 0.0),
        ([0.0, 10.0, 20.0], 20.0, 0.1),
        ([0.0, 10.0, 20.0], 29.0, 0.1),  # no zero between two frames
        ([0.0, 60.0], 60.0, 1 / 60),
        ([0.0, 10.0, 20.0], 60.0, 0.025),  # it has stopped
        ([k / 30 for k in range(900)], 30.0, 30.0),
        ([k / 30 for k in range(900)], 34.0, 1 / (34 - 899 / 30)),
        ([*(k / 30 for k in range(301)), 20.0, 30.0], 30.0, 0.1),  # slower from now on
        ([4.0, 4.0], 4.0, 1e6),
    ],
)
def test_rates(times_s: list[float], now_s: float, hz: float) -> None:
    account = Account(0.0)
    for time_s in times_s:
        account.receive(time_s)
        account.process({}, time_s)
    report = account.report(now_s)
    assert report.received_hz == pytest.approx(hz)
    assert report.processed_hz == pytest.approx(hz)


def test_one_line_of_rates_and_ages() -> None:
    report = Report(processed_hz=0.1, received_hz=29.97)
    assert rates_and_ages(report) == "answers 0.1 of 30 Hz"
    latency_ms = {"delay": np.array([100.0, 120, 1000]), "age": np.array([500.0, 500, 500])}
    report = dataclasses.replace(report, latency_ms=latency_ms)
    assert rates_and_ages(report) == (
        "answers 0.1 of 30 Hz, 0.12 s after they came (95 %: 0.912 s), 0.5 s after their stamps "
        "(95 %: 0.5 s)"
    )


def test_a_camera_from_silence_to_silence() -> None:
    assert health(Report(silent_s=0.2)) == Health(
        Level.WARN, "waiting", "no image on /image yet, for 0.2 s"
    )
    assert health(Report(silent_s=5.0)).level == Level.ERROR
    alive = Report(received=3, processed=3, silent_s=0.1)
    assert health(alive) == Health(Level.OK, "ok", "ok")
    assert health(dataclasses.replace(alive, silent_s=1.5)) == Health(
        Level.WARN, "stale", "no image on /image for 1.5 s"
    )
    dead = dataclasses.replace(alive, silent_s=6.0)
    assert (health(dead).level, health(dead).state) == (Level.ERROR, "stale")
    paused = health(dead, paused=True)
    assert (paused.level, paused.state) == (Level.WARN, "stale")
    assert "simulated time stands still" in paused.message


def test_what_the_graph_says_of_the_silence_is_told() -> None:
    inputs = InputState("/imag", hint="nobody publishes it; did you mean /image?")
    assert health(Report(silent_s=6.0), inputs=inputs) == Health(
        Level.ERROR,
        "waiting",
        "no image on /imag yet, for 6.0 s: nobody publishes it; did you mean /image?",
    )
    assert health(Report(received=3, silent_s=1.0), inputs=inputs).message == (
        "no image on /imag for 1.0 s: nobody publishes it; did you mean /image?"
    )


def test_a_publisher_that_cannot_be_heard_is_an_error_at_once() -> None:
    told = health(
        Report(silent_s=0.1), inputs=InputState("/image", qos_error="/image: set input.reliability")
    )
    assert told == Health(Level.ERROR, "waiting", "/image: set input.reliability")


def test_others_on_a_cameras_topics_are_a_warning() -> None:
    others = InputState("/image", shared="/image has 2 publishers")
    now = Report(received=5)
    assert health(now, inputs=others) == Health(Level.WARN, "ok", "/image has 2 publishers")


@pytest.mark.parametrize(
    ("rejected", "level"), [(0, Level.OK), (1, Level.OK), (2, Level.WARN), (6, Level.ERROR)]
)
def test_only_new_rejections_count(rejected: int, level: Level) -> None:
    before = Report(received=100, dropped={"rejected ImageError": 50})
    now = Report(
        received=110, dropped={"rejected ImageError": 50 + rejected}, last_rejection="too dark"
    )
    told = health(now, before)
    assert told.level == level
    assert (told.state, told.message) == (
        ("ok", "ok") if level == Level.OK else ("rejected", "rejected: too dark")
    )


@pytest.mark.parametrize(("ms", "level"), [(400, Level.OK), (600, Level.WARN), (2500, Level.ERROR)])
def test_old_detections_are_told(ms: float, level: Level) -> None:
    assert health(Report(received=1, latency_ms={"delay": np.full(9, ms)})).level == level


def test_doubtful_stamps_are_told() -> None:
    told = health(Report(received=4, notes={ZERO: 3}), Report(received=2, notes={ZERO: 1}))
    assert told == Health(Level.WARN, "ok", "zero stamp: 0 frames dropped, 2 published")


def test_the_engine() -> None:
    active = EngineState(lifecycle="active", bundle="tiny", engine="red")
    assert engine_health(active) == Health(Level.OK, "ok", "active")

    def changed(**changes: object) -> Health:
        return engine_health(dataclasses.replace(active, **changes))  # type: ignore[arg-type]

    assert changed(hangs=True, busy_s=12.0, limit_s=10.0).message == (
        "no answer for 12.0 s, expected within 10.0 s: of each camera only the newest frame waits"
    )
    assert changed(slowness="21 regions") == Health(Level.WARN, "slow", "21 regions")
    assert changed(hangs=True).level == Level.ERROR
    assert changed(thread_ended=True).level == Level.ERROR
    assert changed(out_of_memory=True).level == Level.ERROR
    assert changed(parameter_error="unknown").level == Level.ERROR
    assert changed(batch_limit=2).level == Level.WARN
    assert changed(swap_error="no bundle 'x'").message == "still tiny: no bundle 'x'"


def test_memory_has_limits() -> None:
    config = DiagnosticsConfig(memory_warn=100, memory_error=200)
    levels = [memory_health(mb, config).level for mb in (99.0, 100.0, 199.0, 200.0)]
    assert levels == [Level.OK, Level.WARN, Level.WARN, Level.ERROR]
    assert memory_health(250.4, config).message == "the node takes 250 MB, 200 or more"
    never = DiagnosticsConfig(memory_warn=0, memory_error=0)
    assert memory_health(1e9, never).level == Level.OK


def test_memory_of_the_gpu_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cuda:
        free = 10e9

        is_available = is_initialized = staticmethod(lambda: True)
        memory_reserved = staticmethod(lambda: 5e8)

        @classmethod
        def mem_get_info(cls) -> tuple[float, float]:
            return cls.free, 10e9

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=Cuda))
    config = DiagnosticsConfig(gpu_memory_warn=0.9, gpu_memory_error=0.95)
    levels = []
    for Cuda.free in (1e9, 0.9e9, 0.4e9):
        levels.append(gpu_memory_health(config).level)
    assert levels == [Level.OK, Level.WARN, Level.ERROR]
    assert gpu_memory_health(config).message == "9600 of 10000 MB of the GPU are in use"
    assert process_values()["GPU memory in use MB"] == "9600.0 of 10000"
    assert process_values()["GPU memory MB"] == "500.0"


def test_the_process_is_measured() -> None:
    before = resident_bytes()
    held = np.ones(200_000_000, np.uint8)
    assert resident_bytes() - before > 100e6
    files = open_files()
    with open(__file__, "rb"):
        assert open_files() == files + 1
    assert held[0] == 1


def test_a_throttle_holds_back_its_own_kind_only() -> None:
    throttle = Throttle(5.0)
    assert throttle.passes("front: rejected", 100.0)
    assert not throttle.passes("front: rejected", 104.9)
    assert throttle.passes("left: rejected", 104.9)
    assert throttle.passes("front: rejected", 105.0)
    assert not throttle.passes("front: rejected", 109.9)
