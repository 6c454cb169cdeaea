"""Tests of benchmarks.sliced and benchmarks.recall: that they measure what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.recall import score, share_of_same
from tasksr_ros.detections import Detections
from tasksr_ros.io.frames import Frame
from tasksr_ros.synthetic.drive import Annotation


def test_sliced_inference_with_the_same_networks(tiny_bundle: Path) -> None:
    pytest.importorskip("sahi.predict", reason="sahi is not installed (pip install --no-deps sahi)")
    from benchmarks import sliced

    config = sliced.SlicedConfig(
        bundle=str(tiny_bundle), size="320x180", drives=1, frames=1, height=40
    )
    rows = {row.system: row for row in sliced.benchmark_sliced(config)}
    ours, same, sahi = rows[sliced.OURS], rows[sliced.SAME_SLICES], rows[sliced.SAHI]
    assert ours.times_ours == 1
    assert ours.slices < same.slices == sahi.slices == rows[sliced.SAHI_BICUBIC].slices
    assert sahi.same is not None
    assert 0 <= sahi.same <= 1


def test_recall_of_low_people_by_hand() -> None:
    frame = Frame(np.zeros((100, 100, 3), np.uint8))

    def person(x: float, height: float, ignore: bool = False) -> Annotation:
        return Annotation((x, 10, 10, height), height, 100.0, 1.0, 1, ignore)

    everyone = [person(0, 20), person(30, 20), person(60, 50), person(80, 20, ignore=True)]
    found = Detections.from_arrays(
        np.array([[0, 10, 10, 30], [60, 10, 70, 60], [80, 10, 90, 30], [45, 60, 55, 80]]),
        np.ones(4),
    )
    assert score([found], [(frame, everyone)], 24.0) == (2, 1, 1)
    moved = Detections.from_arrays(
        found.xyxy[:2] + np.array([[0.1, 0, 0.1, 0], [3, 0, 3, 0]]), np.ones(2)
    )
    assert share_of_same([found], [moved]) == 0.25
