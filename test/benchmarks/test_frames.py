"""Tests of benchmarks.frames: that it measures what it says; never how fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.frames import COLUMNS, FramesBenchmarkConfig, benchmark_frames
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.config import NearConfig, RegionConfig
from tasksr_ros.errors import ConfigError

pytest.importorskip("openvino")


def test_frames_of_each_size_budget_and_number_of_cameras(tiny_bundle: Path) -> None:
    config = FramesBenchmarkConfig(
        bundle=str(tiny_bundle),
        sizes=("200x100", "300x150"),
        budgets=(0, 1),
        cameras=(2,),
        near=NearConfig(width=128),
        region=RegionConfig(tile_overlap=8),
        rounds=2,
        warm_up=1,
    )
    rows = benchmark_frames(config)
    assert [(r.size, r.cameras, r.budget, r.regions) for r in rows] == [
        ("200x100", 1, 0, 4),
        ("200x100", 1, 1, 1),
        ("200x100", 2, 0, 8),
        ("200x100", 2, 1, 2),
        ("300x150", 1, 0, 6),
        ("300x150", 1, 1, 1),
    ]
    assert all(r.p99 >= 1 for r in rows)
    assert all(r.to_near > 1 for r in rows[::2])  # the near pass and more
    one, two = (rows[k].model_ms - rows[k + 1].model_ms for k in (0, 2))
    assert two == pytest.approx(2 * one)  # by the model, six regions more and three more
    assert rows[0].to_model == rows[0].cpu_ms / rows[0].model_ms
    assert "| 300x150 | 1 | all | 6 |" in markdown(rows, COLUMNS)


def test_without_a_near_pass_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"near\.width must be more than 0"):
        benchmark_frames(FramesBenchmarkConfig(near=NearConfig(width=0)))
