"""Tests of tasksr_ros.slots."""

from __future__ import annotations

import threading

from tasksr_ros.slots import LatestSlots


def test_only_the_latest_waits() -> None:
    slots: LatestSlots[int] = LatestSlots(["front"])
    assert slots.put("front", 1) is None
    assert slots.put("front", 2) == 1
    assert slots.take() == ("front", 2)


def test_cameras_take_turns() -> None:
    slots: LatestSlots[int] = LatestSlots(["a", "b", "c"])
    taken = []
    for index in range(6):
        for name in ("a", "b", "c"):
            slots.put(name, index)
        item = slots.take()
        assert item is not None
        taken.append(item[0])
    assert taken == ["a", "b", "c", "a", "b", "c"]


def test_a_busy_camera_does_not_starve_a_slow_one() -> None:
    slots: LatestSlots[int] = LatestSlots(["busy", "slow"])
    slots.put("slow", 0)
    slots.put("busy", 0)
    first = slots.take()
    slots.put("busy", 1)
    second = slots.take()
    assert first is not None
    assert second is not None
    assert {first[0], second[0]} == {"busy", "slow"}


def test_take_waits_for_an_item_and_close_ends_the_waiting() -> None:
    slots: LatestSlots[str] = LatestSlots(["front"])
    taken: list[tuple[str, str] | None] = []
    done = threading.Semaphore(0)

    def work() -> None:
        for _ in range(2):
            taken.append(slots.take())
            done.release()

    thread = threading.Thread(target=work)
    thread.start()
    slots.put("front", "image")
    assert done.acquire(timeout=10)
    assert slots.close() == []
    thread.join(timeout=10)
    assert taken == [("front", "image"), None]


def test_close_names_what_was_not_taken() -> None:
    slots: LatestSlots[int] = LatestSlots(["a", "b"])
    slots.put("b", 1)
    assert slots.close() == ["b"]
    assert slots.take() is None
