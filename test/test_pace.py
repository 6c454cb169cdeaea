"""Tests of tasksr_ros.pace."""

from __future__ import annotations

from tasksr_ros.pace import Pace


def test_one_region_before_anything_is_known() -> None:
    assert Pace(1.0).regions() == 1


def test_as_many_regions_as_fit_beside_the_rest() -> None:
    pace = Pace(0.2)
    pace.engine_took(4, 80.0, 60.0)  # 20 ms a region
    pace.rest_took(20.0)  # the estimate begins at 0 and rises half way
    # 0.9 * 200 - 60 - 10 = 110 ms
    assert pace.regions() == 5
    assert pace.regions(frames=2) == 2


def test_a_busy_machine_is_noticed_sooner_than_an_idle_one() -> None:
    pace = Pace(0.2)
    pace.engine_took(4, 80.0, 0.0)
    assert pace.regions() == 9
    pace.engine_took(4, 240.0, 0.0)  # 60 ms a region: 40 are believed
    assert pace.regions() == 4
    pace.engine_took(4, 80.0, 0.0)  # 38
    assert pace.regions() == 4
    for _ in range(30):
        pace.engine_took(4, 80.0, 0.0)
    assert pace.regions() == 8


def test_at_least_one_region_whatever_it_takes() -> None:
    pace = Pace(0.01)
    pace.engine_took(1, 50.0, 500.0)
    assert pace.regions() == 1


def test_another_one_goes_on_with_what_was_learnt() -> None:
    old, new = Pace(0.2), Pace(0.1)
    old.engine_took(1, 10.0, 0.0)
    new.follow(old)
    assert new.regions() == 9
