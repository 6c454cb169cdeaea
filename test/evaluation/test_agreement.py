"""Tests of tasksr_ros.evaluation.agreement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.agreement import Agreement, agreement

BOX = [10.0, 20.0, 10.0, 30.0]


def write(path: Path, image_ids: list[Any], *detections: tuple[Any, list[float], float]) -> Path:
    path.write_text(
        json.dumps(
            [{"image_id": i, "category_id": 1, "bbox": b, "score": s} for i, b, s in detections]
        )
    )
    path.with_suffix(".run.json").write_text(json.dumps({"image_ids": image_ids}))
    return path


def test_by_hand(tmp_path: Path) -> None:
    """Frame 3 was dropped by b; of frame 2, a has one detection more; frame 1 differs a little."""
    moved = [10.0, 20.0, 10.0, 29.0]  # IoU 290 / 300
    a = write(tmp_path / "a.json", [1, 2, 3], (1, BOX, 0.9), (2, BOX, 0.5), (3, BOX, 0.5))
    b = write(tmp_path / "b.json", [2, 1], (1, moved, 0.7))
    result = agreement(a, b)
    assert (result.frames, result.frames_of_one) == (2, 1)
    assert (result.pairs, result.unpaired) == (1, 1)
    assert result.least_iou == pytest.approx(29 / 30)
    assert result.score_difference == pytest.approx(0.2)
    assert not result.holds


def test_the_same_in_another_order(tmp_path: Path) -> None:
    near = [11.0, 20.0, 10.0, 30.0]  # overlaps BOX: each must get its own partner
    a = write(tmp_path / "a.json", [1], (1, BOX, 0.9), (1, near, 0.8))
    b = write(tmp_path / "b.json", [1], (1, near, 0.8004), (1, BOX, 0.9))
    result = agreement(a, b)
    assert (result.pairs, result.unpaired, result.least_iou) == (2, 0, 1.0)
    assert result.score_difference == pytest.approx(4e-4)
    assert result.holds


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (Agreement(1, 0, 5, 0, 0.991, 0.001), True),
        (Agreement(1, 9, 5, 0, 0.991, 0.001), True),
        (Agreement(1, 0, 5, 0, 0.99, 0.001), False),
        (Agreement(1, 0, 5, 0, 0.991, 0.0011), False),
        (Agreement(1, 0, 5, 1, 1.0, 0.0), False),
        (Agreement(0, 9, 0, 0, 1.0, 0.0), False),
    ],
)
def test_limits(found: Agreement, holds: bool) -> None:
    assert found.holds == holds
    assert ("they agree" in str(found)) == holds


def test_what_cannot_be_read(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", [1], (1, BOX, 0.9))
    b = tmp_path / "b.json"
    b.write_text("[]")
    with pytest.raises(EvaluationError, match=r"b\.run\.json"):
        agreement(a, b)
    b.with_suffix(".run.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"must lie beside a \.run\.json with image_ids"):
        agreement(a, b)
    b.with_suffix(".run.json").write_text('{"image_ids": [1]}')
    b.write_text('[{"image_id": 1}]')
    with pytest.raises(EvaluationError, match="expected COCO results"):
        agreement(a, b)
