"""Tests of tasksr_ros.benchmarks.node: that it measures what it says; never how fast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasksr_ros.benchmarks.config import NodeBenchmarkConfig
from tasksr_ros.config import RegionConfig

pytest.importorskip("openvino")


@pytest.mark.wire
@pytest.mark.slow
def test_the_node_is_measured_over_topics(tiny_bundle: Path, ros_domain: int) -> None:
    from tasksr_ros.benchmarks.node import benchmark_node

    config = NodeBenchmarkConfig(
        bundle=str(tiny_bundle), size="200x100", transports=("compressed, needed rows",), frames=45,
        idle_rate=20.0, idle_frames=20, region=RegionConfig(tile_overlap=8),
    )  # fmt: skip
    (row,) = benchmark_node(config)
    assert 0 < row.answered <= row.sent == 45
    assert row.engine_p50_ms <= row.age_p50_ms <= row.age_p99_ms
    assert row.limit_ms == pytest.approx(1e3 / 30 + 1.2 * row.engine_p99_ms)
    assert row.start_s > 0
    assert row.memory_mb > 10
    assert row.idle_answered > 0


def test_memory_grows_by_tenths() -> None:
    node = pytest.importorskip("tasksr_ros.benchmarks.node", reason="ROS 2 is not installed")
    memory = np.repeat([50.0, 100, 100, 100, 100, 100, 100, 100, 100, 103], 4)
    assert node.Run(1.0, [], 0.1, memory, 0.0).growth_mb == 3
    assert node.Run(1.0, [], 0.1, np.array([100.0, 101]), 0.0).growth_mb == 1
