"""Tests of tasksr_ros.ros.live.scheduler."""

from __future__ import annotations

import heapq
import threading
from collections import Counter

import pytest

from tasksr_ros.ros.live.accounts import EXPIRED, REPLACED, STOPPED, TIME_JUMP
from tasksr_ros.ros.live.scheduler import RateLimit, Scheduler


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Cameras:
    """A scheduler whose time is the test's, and what it dropped."""

    def __init__(self, *names: str, max_age_s: float = 1.0) -> None:
        self.clock = Clock()
        self.dropped: list[tuple[str, str]] = []
        self.scheduler: Scheduler[int] = Scheduler(
            names, max_age_s, lambda name, cause: self.dropped.append((name, cause)), self.clock
        )


def test_only_the_latest_waits() -> None:
    cameras = Cameras("front")
    cameras.scheduler.put("front", 1)
    cameras.scheduler.put("front", 2)
    assert cameras.scheduler.take() == [("front", 2)]
    assert cameras.dropped == [("front", REPLACED)]


def test_cameras_take_turns() -> None:
    cameras = Cameras("a", "b", "c")
    taken = []
    for index in range(6):
        for name in ("a", "b", "c"):
            cameras.scheduler.put(name, index)
        taken += cameras.scheduler.take() or []
    assert [name for name, _ in taken] == ["a", "b", "c", "a", "b", "c"]


def test_a_batch_has_one_frame_of_each_camera_that_waits_the_most_due_first() -> None:
    cameras = Cameras("a", "b", "c")
    cameras.scheduler.put("a", 1)
    assert cameras.scheduler.take() == [("a", 1)]
    for name in ("a", "b", "c"):
        cameras.scheduler.put(name, 2)
    assert cameras.scheduler.take(2) == [("b", 2), ("c", 2)]
    assert cameras.scheduler.take(2) == [("a", 2)]


def test_an_old_frame_is_dropped() -> None:
    cameras = Cameras("a", "b", max_age_s=0.5)
    cameras.scheduler.put("a", 1)
    cameras.clock.now_s = 0.4
    cameras.scheduler.put("b", 1)
    cameras.clock.now_s = 0.6
    assert cameras.scheduler.take(2) == [("b", 1)]
    assert cameras.dropped == [("a", EXPIRED)]


def test_of_equals_the_frame_that_came_first_is_first() -> None:
    cameras = Cameras("a", "b")
    cameras.scheduler.put("b", 1)
    cameras.clock.now_s = 0.1
    cameras.scheduler.put("a", 1)
    assert cameras.scheduler.take() == [("b", 1)]


def test_clear_drops_what_waits() -> None:
    cameras = Cameras("a", "b")
    cameras.scheduler.put("a", 1)
    cameras.scheduler.put("b", 2)
    cameras.scheduler.clear("a", TIME_JUMP)
    cameras.scheduler.clear("a", TIME_JUMP)
    assert cameras.dropped == [("a", TIME_JUMP)]
    assert cameras.scheduler.take() == [("b", 2)]


def test_take_waits_wake_and_close_end_the_waiting() -> None:
    cameras = Cameras("front")
    taken: list[object] = []
    done = threading.Semaphore(0)

    def work() -> None:
        for _ in range(3):
            taken.append(cameras.scheduler.take())
            done.release()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    cameras.scheduler.put("front", 1)
    assert done.acquire(timeout=10)
    cameras.scheduler.wake()
    assert done.acquire(timeout=10)
    cameras.scheduler.close()
    thread.join(timeout=10)
    assert taken == [[("front", 1)], [], None]


def test_close_drops_what_waits_and_what_comes_later() -> None:
    cameras = Cameras("a", "b")
    cameras.scheduler.put("b", 1)
    cameras.scheduler.close()
    cameras.scheduler.put("a", 1)
    assert cameras.dropped == [("b", STOPPED), ("a", STOPPED)]
    assert cameras.scheduler.take() is None


def simulate(
    period_s: dict[str, float], phase_s: dict[str, float], work_s: dict[str, float], seconds: float
) -> Counter[str]:
    """Frames processed of each camera by one worker that is always busy."""
    cameras = Cameras(*period_s)
    arrivals = [(phase_s[name], name) for name in period_s]
    heapq.heapify(arrivals)
    done: Counter[str] = Counter()
    free_s = 0.0
    waiting: set[str] = set()
    while free_s < seconds:
        while arrivals[0][0] <= free_s or not waiting:
            at_s, name = heapq.heappop(arrivals)
            free_s = max(free_s, at_s)
            cameras.clock.now_s = at_s
            cameras.scheduler.put(name, 0)
            waiting.add(name)
            heapq.heappush(arrivals, (at_s + period_s[name], name))
        cameras.clock.now_s = free_s
        [(name, _)] = cameras.scheduler.take() or []
        waiting.discard(name)
        done[name] += 1
        free_s += work_s[name]
    return done


@pytest.mark.parametrize(
    "work_ms", [(10, 10, 10, 10), (5, 10, 20, 40), (2, 4, 8, 30), (4, 6, 9, 18), (9, 9, 9, 9)]
)
@pytest.mark.parametrize("phase_ms", [(0, 0, 0, 0), (0, 8, 16, 24), (0, 1, 2, 3)])
def test_four_overloading_cameras_get_equal_shares(
    work_ms: tuple[int, ...], phase_ms: tuple[int, ...]
) -> None:
    names = "abcd"
    done = simulate(
        dict.fromkeys(names, 1 / 30),
        {name: ms / 1e3 for name, ms in zip(names, phase_ms, strict=True)},
        {name: ms / 1e3 for name, ms in zip(names, work_ms, strict=True)},
        60.0,
    )
    fair = sum(done.values()) / 4
    assert {name: abs(count / fair - 1) < 0.02 for name, count in done.items()} == dict.fromkeys(
        names, True
    )


def test_a_slow_camera_gets_all_its_frames_a_fast_one_the_rest() -> None:
    """20 frames a second can be done, 30 + 7 come."""
    done = simulate({"a": 1 / 30, "b": 1 / 7}, {"a": 0, "b": 0}, {"a": 0.05, "b": 0.05}, 60.0)
    assert done["b"] == pytest.approx(7 * 60, abs=2)
    assert done["a"] == pytest.approx(13 * 60, abs=4)


def test_silence_earns_no_credit() -> None:
    cameras = Cameras("dead", "alive")
    for _ in range(1000):
        cameras.scheduler.put("alive", 0)
        cameras.scheduler.take()
    taken = []
    for _ in range(10):
        cameras.scheduler.put("dead", 0)
        cameras.scheduler.put("alive", 0)
        taken += cameras.scheduler.take() or []
    assert abs([name for name, _ in taken].count("dead") - 5) <= 1


@pytest.mark.parametrize(("rate_hz", "passed"), [(10.0, 100), (7.0, 70), (0.0, 300), (60.0, 300)])
def test_a_rate_limit_holds_on_average_whatever_the_jitter(rate_hz: float, passed: int) -> None:
    limit = RateLimit(rate_hz)
    jitter = (0.0, 0.004, -0.004, 0.002, -0.001)
    times = [index / 30 + jitter[index % 5] for index in range(300)]
    assert sum(map(limit.passes, times)) == pytest.approx(passed, abs=1)


def test_a_rate_limit_saves_nothing_up() -> None:
    limit = RateLimit(10.0)
    assert limit.passes(0.0)
    assert [limit.passes(t) for t in (5.0, 5.01, 5.02, 5.05)].count(True) <= 2
