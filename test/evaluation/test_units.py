"""Heights, distances and stamps in other units: refused, never evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.ground_truth import GroundTruth, read_ground_truth
from tasksr_ros.evaluation.run_statistics import recorded_hours

START_NS = 1_616_004_242_000_000_000


def read(
    folder: Path, person: dict[str, Any] | None = None, stamps: list[Any] | None = None
) -> GroundTruth:
    """Of four images of one sequence with a person each, whose box is 60 px high."""
    taken = stamps or [None] * 4
    content = {
        "images": [{"id": k, "sequence": "a", "stamp_ns": s} for k, s in enumerate(taken)],
        "annotations": [
            {"image_id": k, "category_id": 1, "bbox": [9 * k, 5, 20, 60], **(person or {})}
            for k in range(4)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "gt.json").write_text(json.dumps(content))
    return read_ground_truth(folder / "gt.json")


@pytest.mark.parametrize(
    ("person", "message"),
    [
        (
            {"height": 1.75},
            "height must be px of the whole person, got 1.75 of a box that is 60 px high, "
            "likewise 4 of 4 people (is it in m?)",
        ),
        (
            {"height": 1750, "distance_m": 40_000},
            "distance_m must be m: with the people's heights it makes a focal length of 4.12e+07 "
            "px, expected 20 to 50000",
        ),
        ({"distance_m": 40_000}, "distance_m must be m: with the people's heights it makes a foc"),
        ({"distance_m": 4_000}, "distance_m must be m: with the people's heights it makes a foca"),
        ({"distance_m": 0.04}, "it makes a focal length of 1.41 px, expected 20 to 50000"),
    ],
)
def test_people_in_other_units_are_refused(
    tmp_path: Path, person: dict[str, Any], message: str
) -> None:
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, person)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "person",
    [
        {"height": 60, "distance_m": 40},
        {"height": 200, "distance_m": 3.5},  # mostly hidden
        {"height": 20, "distance_m": 40},  # a generous box
        {"distance_m": -1},
        {"height": 1.75, "ignore": 1},
    ],
)
def test_people_as_expected(tmp_path: Path, person: dict[str, Any]) -> None:
    assert len(read(tmp_path, person).height) == 4


@pytest.mark.parametrize(
    ("unit_ns", "step"), [(1_000, "100000"), (1_000_000, "100"), (1_000_000_000, "1")]
)
def test_stamps_in_other_units_are_refused(tmp_path: Path, unit_ns: int, step: str) -> None:
    """Microseconds and milliseconds of 10 images a second, seconds of one a second."""
    apart = max(100_000_000, unit_ns)
    stamps = [(START_NS + k * apart) // unit_ns for k in range(4)]
    message = (
        f"stamp_ns must be nanoseconds: those of the images of a sequence are {step} apart in the "
        "mean, expected 2000000 and more"
    )
    with pytest.raises(EvaluationError, match=message):
        read(tmp_path, stamps=stamps)


def test_stamps_that_are_no_whole_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        EvaluationError, match=r"stamp_ns of image 1 must be whole nanoseconds, got"
    ):
        read(tmp_path, stamps=[START_NS, 1616004242.35, None, None])


@pytest.mark.parametrize("write", [int, str, float])
def test_stamps_may_be_texts(tmp_path: Path, write: type) -> None:
    stamps = [write(START_NS + k * 100_000_000) for k in range(4)]
    hours = recorded_hours(read(tmp_path, stamps=stamps), 0.0)
    assert hours is not None
    assert hours * 3600 == pytest.approx(0.4)


def test_cameras_that_are_triggered_nearly_together_are_right(tmp_path: Path) -> None:
    stamps = [START_NS, START_NS + 300_000, START_NS + 100_000_000, START_NS + 100_300_000]
    assert read(tmp_path, stamps=stamps).num_images == 4
