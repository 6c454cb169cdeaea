"""Tests of tasksr_ros.evaluation.range_error, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasksr_ros.config import EvaluationConfig
from tasksr_ros.evaluation.evaluate import evaluate
from tasksr_ros.evaluation.summary import RangeError
from tasksr_ros.evaluation.summary_text import text

BOX = [0.0, 0.0, 20.0, 60.0]


def measured(
    folder: Path,
    true: list[float | None],
    stated: list[tuple[object, object]],
    fppi: float = 1.0,
) -> tuple[RangeError | None, str]:
    """An image for each person; each is found, with that distance and deviation."""
    truth = {
        "images": [{"id": k, "file_name": f"{k}.png"} for k in range(len(true))],
        "annotations": [
            {"image_id": k, "category_id": 1, "bbox": BOX, "distance_m": d}
            for k, d in enumerate(true)
        ],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    found = [
        {
            **{"image_id": k, "category_id": 1, "bbox": BOX, "score": 0.9 - k / 100},
            **{"distance_m": distance, "distance_sd_m": deviation},
        }
        for k, (distance, deviation) in enumerate(stated)
    ]
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "found.json").write_text(json.dumps(found))
    config = EvaluationConfig(samples=0, fppi=fppi)
    summary = evaluate(folder / "truth.json", [folder / "found.json"], config)
    return summary["runs"][0]["range_error"], text(summary)


def test_error_bias_and_calibration_by_distance(tmp_path: Path) -> None:
    error, shown = measured(
        tmp_path,
        [5.0, 15.0, 30.0, 50.0, 100.0],
        [(5.5, 0.2), (15.0, 1.0), (27.0, 2.0), (60.0, 5.0), (90.0, 1.0)],
    )
    assert error is not None
    near = error["near"]
    assert (near["low"], near["high"], near["people"]) == (0, 60, 4)
    # errors +10 %, 0, -10 %, +20 %; of these within 2 sigma: not the first
    assert near["median_error"] == pytest.approx(0.1)
    assert near["bias"] == pytest.approx(0.05)
    assert near["deviation"] == pytest.approx((1 / 15 + 2 / 30) / 2)
    assert near["within_two_sigma"] == 0.75
    rows = {(row["low"], row["high"]): row for row in error["by_distance"]}
    assert rows[40, 60]["median_error"] == pytest.approx(0.2)
    assert rows[100, 120]["bias"] == pytest.approx(-0.1)
    assert rows[100, 120]["within_two_sigma"] == 0.0
    assert rows[80, 100]["people"] == 0
    assert rows[80, 100]["median_error"] is None
    assert "distance error to 60 m, median        10.0 %, bias +5.0 %, 75.0 % within 2" in shown


def test_what_is_no_distance_does_not_count(tmp_path: Path) -> None:
    error, _ = measured(
        tmp_path,
        [10.0, 10.0, 10.0, None, 10.0],
        [(11.0, None), (0, 1.0), ("far", 1.0), (10.0, 1.0), (12.0, 1.0)],
    )
    assert error is not None
    assert error["near"]["people"] == 2
    assert error["near"]["median_error"] == pytest.approx(0.15)
    assert error["near"]["within_two_sigma"] == 1.0  # of the one that states how sure it is


@pytest.mark.parametrize(("true", "stated"), [([None], [(10.0, 1.0)]), ([10.0], [(None, None)])])
def test_without_distances_there_is_no_error(
    tmp_path: Path, true: list[float | None], stated: list[tuple[object, object]]
) -> None:
    error, shown = measured(tmp_path, true, stated)
    assert error is None
    assert "distance error" not in shown
