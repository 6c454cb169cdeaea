"""Tests of tasksr_ros.replay.read_ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasksr_ros.config import ReplayConfig
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import Pending, Recording
from tasksr_ros.replay.read_ahead import selected


class Stamps(Recording):
    """Frames of the cameras a and b in turns, with these stamps in units of 0.1 s."""

    path = Path("stamps")

    def __init__(self, *stamps: int) -> None:
        self._stamps = stamps

    def __len__(self) -> int:
        return len(self._stamps)

    def pending(self) -> Iterator[Pending]:
        for index, stamp in enumerate(self._stamps):
            yield Pending(index, stamp * 10**8, "ab"[index % 2], "", _never, _never)


def _never() -> Frame:
    raise AssertionError


@pytest.mark.parametrize(
    ("stamps", "options", "indices"),
    [
        ((10, 9, 20, 19), {}, [0, 1, 2, 3]),  # the second camera's frames come later
        ((900, 0, 1, 2), {}, [0, 1, 2, 3]),  # a clock that was set after the first frame
        ((10, 9, 20, 19, 30, 29), {"duration": 1.0}, [0, 1, 3]),
        ((10, 9, 20, 19, 30, 29), {"start": 1.0}, [2, 4, 5]),
        ((10, 9, 20, 19, 30, 29), {"start": 0.5, "duration": 1.0}, [2, 3]),
        ((900, 0, 1, 2), {"duration": 1.0}, [0]),
        ((10, 9, 20, 19), {"every": 2}, [0, 1]),
    ],
)
def test_the_frames_of_a_part(
    stamps: tuple[int, ...], options: dict[str, float], indices: list[int]
) -> None:
    config = ReplayConfig(**options)  # type: ignore[arg-type]
    assert [item.index for item in selected(Stamps(*stamps), config)] == indices
