"""Tests of benchmarks.evaluation."""

from __future__ import annotations

import pytest

from benchmarks.evaluation import EvaluateConfig, benchmark_evaluation


@pytest.mark.slow
def test_ten_thousand_images() -> None:
    """The stated bound of memory, and time that grows no faster than the images."""
    small, large = benchmark_evaluation(EvaluateConfig((2500, 10000)))
    assert large.cpu_s < 4.8 * small.cpu_s
    assert large.memory_mib < 1024
