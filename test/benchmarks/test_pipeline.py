"""Tests of tasksr_ros.benchmarks.pipeline: that it measures what it says; never how fast."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tasksr_ros.benchmarks import output, pipeline
from tasksr_ros.benchmarks.config import PipelineBenchmarkConfig, size_of
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.benchmarks.pipeline import benchmark_pipeline
from tasksr_ros.regions import distant_band, tiles

pytest.importorskip("openvino")


def test_whole_frames_are_timed_with_the_engine_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    config = PipelineBenchmarkConfig(
        bundle=str(tiny_bundle), sizes=("200x100",), cameras=(2,), rounds=3, warm_up=1
    )
    rows = benchmark_pipeline(config)
    assert [(r.size, r.input, r.cameras) for r in rows] == [
        ("200x100", "raw", 1),
        ("200x100", "raw", 2),
        ("200x100", "jpeg", 1),
        ("200x100", "jpeg", 2),
    ]
    for row in rows:
        assert row.ratio == pytest.approx(row.wall_ms / row.engine_ms)
        assert set(row.stages_ms) == {"decode", "regions", "merge"}
        assert all(ms > 0 for ms in row.stages_ms.values())
    assert rows[2].stages_ms["decode"] > rows[0].stages_ms["decode"]
    assert "| 200x100 | jpeg | 2 |" in markdown(rows, pipeline.COLUMNS)
    output.picture(pipeline.bars(rows), tmp_path / "drawn.png", "ms")
    assert cv2.imread(str(tmp_path / "drawn.png")).shape[1] > 400


@pytest.mark.parametrize("size", ["320x96", "1280x720", "1920x1080", "3840x2160"])
def test_one_region_is_one_in_images_of_all_sizes(size: str) -> None:
    band = distant_band(size_of(size), pipeline.ONE_REGION, None)
    assert len(tiles(band, size_of(size), (320, 96), 32)) == 1
