"""Tests of benchmarks.tracking, on a person who is seen in each of four frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.tracking import COLUMNS, TrackingBenchmarkConfig, benchmark_tracking
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.errors import ConfigError

FRAMES = 4


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    path = tmp_path / "truth.json"
    images = [{"id": k, "sequence": "a", "frame": k} for k in range(FRAMES)]
    box = {"bbox": [10, 10, 20, 50], "ignore": 0, "track_id": "x"}
    people = [{"id": k, "image_id": k, **box} for k in range(FRAMES)]
    path.write_text(json.dumps({"images": images, "annotations": people}))
    return path


def test_a_weak_detection_is_found_by_tracking_alone(truth: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    scores = [0.9, 0.9, 0.45, 0.9]
    box = [10, 10, 20, 50]
    entries = [{"image_id": k, "bbox": box, "score": s} for k, s in enumerate(scores)]
    found.write_text(json.dumps(entries))
    config = TrackingBenchmarkConfig(
        str(truth), str(found), threshold=0.5, weak_scores=(0.8,), fps=10
    )
    rows = {row.system: row for row in benchmark_tracking(config)}
    assert {name: row.found for name, row in rows.items()} == {
        "off": 3,
        "ids only": 3,
        "weak 0.8": 4,
    }
    assert (rows["off"].with_id, rows["weak 0.8"].with_id) == (0, 3)  # two frames confirm it
    assert rows["weak 0.8"].switches == rows["weak 0.8"].fragments == 0
    assert rows["off"].recall_at["0.1"] == 1  # at a lower threshold
    assert "| weak 0.8 | 1.000 |" in markdown(list(rows.values()), COLUMNS)


def test_first_found_is_where_a_detection_first_meets_each_person(
    truth: Path, tmp_path: Path
) -> None:
    """x is found from the second frame on, 29 m away; y, 60 m away, never."""
    everything = json.loads(truth.read_text())
    for k, annotation in enumerate(everything["annotations"]):
        annotation["distance_m"] = 30.0 - k
    far = {"id": 9, "image_id": 0, "bbox": [90, 10, 4, 10], "ignore": 0, "track_id": "y"}
    everything["annotations"].append({**far, "distance_m": 60.0})
    truth.write_text(json.dumps(everything))
    found = tmp_path / "found.json"
    entries = [{"image_id": k, "bbox": [10, 10, 20, 50], "score": 0.96} for k in (1, 2, 3)]
    found.write_text(json.dumps(entries))
    config = TrackingBenchmarkConfig(str(truth), str(found), threshold=0.5, weak_scores=(), fps=10)
    rows = {row.system: row for row in benchmark_tracking(config)}
    assert rows["off"].first_m == rows["ids only"].first_m == pytest.approx(29.0 / 2)
    assert "| 14.5 |" in markdown(list(rows.values()), COLUMNS)


def test_a_perfect_simulated_detector_finds_everybody(truth: Path) -> None:
    rows = benchmark_tracking(TrackingBenchmarkConfig(str(truth), fps=10))
    assert rows[0].system == "perfect detector, 1 x the frames"
    assert (rows[0].found, rows[0].people, rows[0].switches) == (3, 3, 0)


def test_without_ground_truth_is_an_error() -> None:
    with pytest.raises(ConfigError, match="ground_truth must be a COCO file, got none"):
        benchmark_tracking(TrackingBenchmarkConfig())
