"""Tests of benchmarks.ranging."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.ranging import RangingBenchmarkConfig, Row, benchmark_ranging, camera_of
from tasksr_ros.errors import ConfigError

CAMERA = {"width": 1280, "height": 720, "fx": 1000.0, "fy": 1000.0, "cx": 640.0, "cy": 360.0}
LEVEL = {**CAMERA, "camera_height": 1.5, "camera_pitch": 0.0}


def person(number: int, depth: float, tall: float = 1.7) -> dict[str, object]:
    """Someone that deep before a camera 1.5 m above a flat road."""
    foot, high = 360 + 1500 / depth, 1000 * tall / depth
    box = [600.0, foot - high, 500 / depth, high]
    common = {"id": number, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * high}
    return {**common, "height": high, "ignore": 0, "iscrowd": 0, "distance_m": depth}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    annotations = [person(1, 8.0), person(2, 30.0), {**person(3, 30.0), "ignore": 1}]
    image = {"id": 1, "file_name": "a.png", "width": 1280, "height": 720, "camera": "front"}
    truth = {
        "images": [image],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    (tmp_path / "val.json").write_text(json.dumps(truth))
    (tmp_path / "cameras.json").write_text(json.dumps([{**LEVEL, "camera": "front"}]))
    return tmp_path


def measured(folder: Path, *predictions: str) -> list[Row]:
    truth, cameras = str(folder / "val.json"), str(folder / "cameras.json")
    config = RangingBenchmarkConfig((truth,), predictions or ("",), cameras)
    return benchmark_ranging(config)


def test_true_boxes_of_a_flat_road_have_true_distances(folder: Path) -> None:
    everyone, near, far = measured(folder)
    assert (everyone.people, near.people, far.people) == (2, 1, 1)
    assert (far.low, far.high) == (20, 40)
    assert everyone.median_error == pytest.approx(0, abs=1e-6)
    assert everyone.within_two_sigma == 1


def test_of_predictions_those_at_the_operating_point_count(folder: Path) -> None:
    """A box of 1.53 m is stated about a tenth too far; who is found weakly is not counted."""
    boxes = [person(1, 8.0), person(2, 30.0, 1.53)]
    nobody = {**person(3, 15.0), "bbox": [100.0, 400.0, 30.0, 100.0]}
    scores = (0.3, 0.9, 0.5)
    found = [
        {"image_id": 1, "category_id": 1, "bbox": box["bbox"], "score": score}
        for box, score in zip([*boxes, nobody], scores, strict=True)
    ]
    (folder / "P.json").write_text(json.dumps(found))
    everyone, far = measured(folder, str(folder / "P.json"))
    assert (everyone.people, far.low) == (1, 20)
    assert 0.05 < far.bias < 0.12


def test_each_image_needs_a_camera(folder: Path) -> None:
    tall, wide = {**LEVEL, "camera_height": 2.0}, {**LEVEL, "width": 1920}
    assert camera_of({"width": 1280, "height": 720}, [wide, tall, LEVEL]) is tall
    (folder / "cameras.json").write_text(json.dumps([wide]))
    with pytest.raises(ConfigError, match="must have one for each image, got none for"):
        measured(folder)


def test_predictions_are_as_many_as_the_sets(folder: Path) -> None:
    truth = str(folder / "val.json")
    with pytest.raises(ConfigError, match="must be as many as ground_truth, got 2 and 1"):
        measured(folder, truth, truth)
    with pytest.raises(ConfigError, match="got none"):
        benchmark_ranging(RangingBenchmarkConfig())
