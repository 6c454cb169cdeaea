"""Tests of tasksr_ros.thresholds."""

from __future__ import annotations

import pytest

from tasksr_ros.config import DetectionConfig
from tasksr_ros.thresholds import class_thresholds


@pytest.mark.parametrize(
    ("detection", "least"),
    [
        ({}, [0.5, 0.5]),
        ({"classes": ("bicycle",)}, [2.0, 0.5]),  # no score reaches 2
        ({"class_thresholds": ("bicycle=0.25",)}, [0.5, 0.25]),
        ({"classes": ("person",), "class_thresholds": ("bicycle=0.25",)}, [0.5, 2.0]),
        ({"classes": ("",), "class_thresholds": ("", "person=1")}, [1.0, 0.5]),
    ],
)
def test_each_class_has_a_least_score(
    detection: dict[str, tuple[str, ...]], least: list[float]
) -> None:
    config = DetectionConfig(**detection)  # type: ignore[arg-type]
    assert class_thresholds(config, 0.5, ("person", "bicycle")).tolist() == least
