"""Tests of tasksr_training.precision."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tasksr_training.precision import precision_predictions

pytest.importorskip("openvino")


def test_predictions_lie_in_the_images_own_pixels(tmp_path: Path) -> None:
    from tasksr_ros.bundle import save_bundle
    from tasksr_ros.networks import build_sr
    from tasksr_ros.networks.detector import Detector
    from tasksr_ros.networks.tdsr import TDSR

    description = {
        "name": "tiny",
        "sr": "bicubic",
        "detector_width": 0.25,
        "scale_factor": 2,
        "classes": ["pedestrian"],
        "region_size": [64, 32],
        "score_threshold": 0.01,
        "recipe": {},
    }
    detector = Detector(0.25)
    for head in detector.score:  # so that something is found everywhere
        head.bias.data += 5
    save_bundle(tmp_path / "tiny", TDSR(build_sr("bicubic", 2), detector), description, "")
    (tmp_path / "images").mkdir()
    image = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image)
    ground_truth = {
        "images": [{"id": 7, "file_name": "images/a.png", "width": 90, "height": 60}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [9, 9, 8, 24]}],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    (tmp_path / "val.json").write_text(json.dumps(ground_truth))
    out = tmp_path / "out"
    precision_predictions(
        tmp_path, out, str(tmp_path / "tiny"), "val.json", precisions=["fp32"], threads=1
    )
    found = json.loads((out / "fp32.json").read_text())
    assert found
    assert {f["image_id"] for f in found} == {7}
    x, y, width, height = np.array([f["bbox"] for f in found]).T
    assert min(x.min(), y.min()) >= 0
    assert (x + width).max() <= 90 + 1e-3
    assert (y + height).max() == pytest.approx(60, abs=1e-3)  # cells reach down to the edge
