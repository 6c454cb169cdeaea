"""Tests of tasksr_ros.replay.outputs: what an interruption leaves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tasksr_ros.config import RegionConfig, ReplayConfig
from tasksr_ros.detections import Detections
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import Pending, Recording
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.replay.outcome import Outcome
from tasksr_ros.replay.outputs import write_bag, write_videos

NOTHING = Detections.from_arrays(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int32))


class Grey(Recording):
    """Five grey frames; the user interrupts at the fourth."""

    def __init__(self, path: Path, last: int = 3) -> None:
        self.path = path
        self.cameras = {"": None}
        self.last = last

    def __len__(self) -> int:
        return 5

    def pending(self) -> Iterator[Pending]:
        for index in range(5):
            load = partial(self._load, index)
            yield Pending(index, index * 10**8, "", "", load, load)

    def _load(self, index: int) -> Frame:
        if index == self.last:
            raise KeyboardInterrupt
        return Frame(np.full((48, 64, 3), 100, np.uint8), index * 10**8, "camera", "bgr8")


OUTCOMES = [Outcome("", index, "", index * 10**8, (64, 48), NOTHING, {}) for index in range(5)]
REGIONS = {"": RegionConfig(mode="full")}


def test_an_interruption_leaves_a_playable_video(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "annotated.mp4"
    with pytest.raises(KeyboardInterrupt):
        write_videos(path, Grey(tmp_path), ReplayConfig(), OUTCOMES, REGIONS)
    assert len(list(open_recording(path))) == 3
    assert f"interrupted: {path} holds the first frames alone" in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ["annotated.mp4"]


def test_a_whole_video_of_before_is_not_replaced_by_a_part(tmp_path: Path) -> None:
    path = tmp_path / "annotated.mp4"
    write_videos(path, Grey(tmp_path, last=9), ReplayConfig(), OUTCOMES, REGIONS)
    with pytest.raises(KeyboardInterrupt):
        write_videos(path, Grey(tmp_path), ReplayConfig(), OUTCOMES, REGIONS)
    assert len(list(open_recording(path))) == 5


def test_an_interruption_leaves_no_half_bag(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "bag", Grey(tmp_path), ReplayConfig(), OUTCOMES, REGIONS)
    assert not (tmp_path / "bag").exists()
