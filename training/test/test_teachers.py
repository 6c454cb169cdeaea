from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tasksr_training.coco import read_image
from tasksr_training.errors import TrainingDataError
from tasksr_training.teachers import Teacher, TeacherConfig, yolox_boxes


def test_yolox_is_decoded_relative_to_its_cells() -> None:
    """A 32x64 px input has 4x8 + 2x4 + 1x2 cells."""
    raw = np.zeros((42, 85), np.float32)
    raw[9, :6] = [0.5, 0.25, np.log(2), np.log(4), 0.5, 0.8]  # stride 8, row 1, column 1
    raw[41, :6] = [0.5, 0.5, 0, 0, 1, 1]  # stride 32, column 1
    boxes = yolox_boxes(raw, (32, 64))
    np.testing.assert_allclose(boxes[9], [12 - 8, 10 - 16, 12 + 8, 10 + 16, 0.4], rtol=1e-5)
    np.testing.assert_allclose(boxes[41], [32, 0, 64, 32, 1], rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "file", "scale"),
    [
        ("picodet", "picodet_s_416_coco.onnx", 1.0),
        ("picodet", "picodet_s_416_coco.onnx", 1.5),
        ("yolox", "yolox_nano_coco.onnx", 1.0),
        ("boxes", "person-detection-0203.xml", 1.0),
    ],
)
def test_public_detectors_see_people_where_they_are(
    shared: Path, kind: str, file: str, scale: float
) -> None:
    """Two photographed people of INRIA's at half size, labelled by hand."""
    image = read_image(shared / "data/inria_half/images/crop001001.jpg")
    found = Teacher(TeacherConfig(kind, shared / "weights" / file, scale))(image)  # type: ignore[arg-type]
    assert found.shape[1] == 5
    assert (np.diff(found[:, 4]) <= 0).all()
    assert (found[:, :4] >= 0).all()
    assert (found[:, 2:4] <= [409, 488]).all()
    assert found[0, 4] > 0.4
    labelled = [130.5, 54.5, 255.5, 352.5]
    nearest = np.abs(found[found[:, 4] > 0.3, :4] - labelled).max(1).min()
    assert nearest < 40


def test_teachers_that_are_no_detectors(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="expected a detector's file, there is none"):
        Teacher(TeacherConfig("yolox", tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(TrainingDataError, match="expected a yolox detector, got"):
        Teacher(TeacherConfig("yolox", tmp_path / "text.onnx"))
