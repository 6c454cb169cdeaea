"""Tests of tasksr_ros.cli.detect."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.cli.detect import detect
from tasksr_ros.config import DetectionConfig, EngineConfig, PipelineConfig, RegionConfig
from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.errors import ImageError
from tasksr_ros.io.predictions import coco_results
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.video_writer import fitted

CONFIG = PipelineConfig(
    RegionConfig(mode="full", tile_overlap=8),
    DetectionConfig(score_threshold=0.0),
    EngineConfig(name="torch", device="cpu", threads=1),
)
SIZES = [(96, 42), (60, 80), (120, 64)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, (width, height) in enumerate(SIZES):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
    return folder


def image_ids(out: Path) -> set[int]:
    return {p["image_id"] for p in json.loads((out / "predictions.json").read_text())}


def test_images_of_different_sizes(images: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    detect(open_recording(images), str(tiny_bundle), CONFIG, out)
    assert image_ids(out) == {1, 2, 3}
    assert [frame.size for frame in open_recording(out / "annotated.mp4")] == [SIZES[0]] * 3


def test_what_was_found_before_an_error_is_written(
    images: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (images / "2.png").write_bytes(b"broken")
    out = tmp_path / "out"
    with pytest.raises(ImageError):
        detect(open_recording(images), str(tiny_bundle), CONFIG, out)
    assert image_ids(out) == {1, 2}
    assert len(list(open_recording(out / "annotated.mp4"))) == 2


def test_fitted_by_hand() -> None:
    image = np.full((10, 20, 3), 200, np.uint8)
    assert fitted(image, (20, 10)) is image
    tall = fitted(image, (40, 40))
    assert tall.shape == (40, 40, 3)
    assert (tall[10:30] == 200).all()
    assert (tall[:10] == 0).all()
    assert (tall[30:] == 0).all()
    wide = fitted(image, (30, 5))
    assert (wide[:, 10:20] == 200).all()
    assert wide.sum() == 5 * 10 * 3 * 200


def test_results_have_track_ids_where_there_are_tracks() -> None:
    boxes, scores = np.array([[1, 2, 4, 8], [0, 0, 1, 1]], np.float32), np.ones(2, np.float32)
    classes = np.zeros(2, np.int32)
    found = Detections(boxes, scores, classes, np.array([7, NO_TRACK], np.int32))
    results = coco_results(found, 3, 5)
    first = {"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 6], "score": 1, "stamp_ns": 5}
    assert results[0] == {**first, "track_id": 7}
    assert "track_id" not in results[1]
