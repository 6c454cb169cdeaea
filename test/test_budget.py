"""Tests of tasksr_ros.budget: six tiles of 64 x 32 px in a row."""

from __future__ import annotations

import numpy as np
import pytest

from tasksr_ros.budget import Budget
from tasksr_ros.config import PaceConfig, PipelineConfig, RegionConfig
from tasksr_ros.detections import Detections
from tasksr_ros.regions import Rect, tiles

SIZE = (352, 100)
GRID = tuple(tiles(Rect(0, 40, 352, 72), SIZE, (64, 32), 0))
NOBODY = Detections.empty()


def budget(regions: int | str) -> Budget:
    region = RegionConfig(tile_overlap=0, budget=regions)  # type: ignore[arg-type]
    config = PipelineConfig(region, schedule=PaceConfig(target_latency=0.1))
    return Budget(config, np.array([0.5], np.float32))


def regions_of(of: Budget, stamp_ns: int = 1, frames: int = 1) -> int:
    return len(of.choose(stamp_ns, GRID, SIZE, NOBODY, frames).tiles)


def test_a_number_is_the_number_whatever_a_frame_takes() -> None:
    some = budget(2)
    some.engine_took(2, 900.0, 50.0)
    some.frame_took({"engine": 950.0, "merge": 500.0})
    assert regions_of(some) == 2


def test_auto_fills_the_time_that_near_pass_and_rest_leave() -> None:
    some = budget("auto")
    assert regions_of(some) == 1  # nothing is known yet
    some.engine_took(1, 10.0, 20.0)
    some.frame_took({"decode": 30.0, "engine": 30.0, "merge": 10.0})  # 20 of 40: half at a time
    assert regions_of(some) == 5  # (90 - 20 - 20) / 10
    assert regions_of(some, frames=2) == 2


def test_scores_are_shares_of_the_threshold() -> None:
    some = budget(1)
    assert some.candidate_scores.tolist() == [0.125]
    assert some.people_scores.tolist() == [0.25]


def test_another_one_goes_on_and_what_frames_took_is_not_forgotten() -> None:
    old, new = budget("auto"), budget("auto")
    old.engine_took(1, 20.0, 10.0)
    attended = old.choose(1, GRID, SIZE, NOBODY, 1)
    old.saw(attended, NOBODY, 1)
    new.follow(old)
    assert regions_of(new, stamp_ns=2) == 4  # (90 - 10) / 20
    new.reset()
    after = new.choose(2, GRID, SIZE, NOBODY, 1)
    assert len(after.tiles) == 4
    assert after.coverage == pytest.approx(4 / 6, abs=0.1)  # of what was seen before, nothing
