"""Predictions of other images, of another class or in px of other images: told, never scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.ground_truth import GroundTruth, read_ground_truth
from tasksr_ros.evaluation.predictions import read_predictions

PEOPLE = {
    3: [[100.5, 50.25, 20, 60], [200, 80, 12, 40]],
    7: [[30, 90, 25, 70], [260, 100, 8, 30], [150, 20, 10, 31]],
    9: [[60, 20, 14, 44]],
}
"""x, y, width, height by image, in images of 320x240 px."""
NAMES = {3: "left/000012.png", 7: "left/000010.png", 9: "left/000011.png"}
Entry = dict[str, Any]


def truth(folder: Path, *, sized: bool = True, **more: Any) -> GroundTruth:
    size = {"width": 320, "height": 240} if sized else {}
    content = {
        "images": [{"id": i, "file_name": NAMES[i], "frame": 100 + i, **size} for i in PEOPLE],
        "annotations": [
            {"image_id": i, "category_id": 1, "bbox": box} for i in PEOPLE for box in PEOPLE[i]
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
        **more,
    }
    (folder / "gt.json").write_text(json.dumps(content))
    return read_ground_truth(folder / "gt.json")


def read(folder: Path, entries: list[Entry], known: GroundTruth) -> dict[str, int]:
    (folder / "p.json").write_text(json.dumps(entries))
    return read_predictions(folder / "p.json", known).problems


def found(**changes: Any) -> list[Entry]:
    """One prediction on each person; changes are functions of (image, box)."""
    entries = []
    for i in PEOPLE:
        for box in PEOPLE[i]:
            entry = {"image_id": i, "category_id": 1, "bbox": box, "score": 0.9}
            entries.append({**entry, **{key: how(i, box) for key, how in changes.items()}})
    return entries


def refusal(folder: Path, entries: list[Entry], known: GroundTruth) -> str:
    with pytest.raises(EvaluationError) as caught:
        read(folder, entries, known)
    return str(caught.value).replace(f"{folder}/", "")


def test_as_expected_nothing_is_told(tmp_path: Path) -> None:
    assert read(tmp_path, found(), truth(tmp_path)) == {}


def test_class_ids_from_0_while_another_class_has_the_id_of_people(tmp_path: Path) -> None:
    """0 person, 1 bicycle, 2 car: the bicycles count as people, and are on none."""
    bicycle = {"image_id": 3, "category_id": 1, "bbox": [5, 200, 30, 20], "score": 0.9}
    entries = [*found(category_id=lambda i, box: 0), bicycle]
    assert refusal(tmp_path, entries, truth(tmp_path)) == (
        "p.json: with gt.json category_id of people must be 1, here it seems to be 0: "
        "read so, 6 people are met, as written 0"
    )


def test_people_of_another_class_id_alone(tmp_path: Path) -> None:
    assert refusal(tmp_path, found(category_id=lambda i, box: 15), truth(tmp_path)) == (
        "p.json: with gt.json category_id of people must be 1, here it seems to be 15: "
        "read so, 6 people are met, as written 0"
    )


def test_another_class_alone_on_nobody_is_as_before(tmp_path: Path) -> None:
    entries = found(category_id=lambda i, box: 2, bbox=lambda i, box: [1, 200, 30, 20])
    assert refusal(tmp_path, entries, truth(tmp_path)) == (
        "p.json: none of the 6 predictions is of its category; expected category_id 1, got 2"
    )


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        ((0.5, 0.5), "of images of about 160x120 px instead of 320x240"),
        ((2, 2), "of images of about 640x480 px instead of 320x240"),
        ((4, 4), "of images of about 1280x960 px instead of 320x240"),
        ((2, 640 / 240), "of images of about 640x640 px instead of 320x240"),
        ((1.5, 1.5), "of images of about 480x360 px instead of 320x240"),
    ],
)
def test_boxes_in_px_of_another_size(tmp_path: Path, scale: tuple[float, float], told: str) -> None:
    x, y = scale
    entries = found(bbox=lambda i, b: [b[0] * x, b[1] * y, b[2] * x, b[3] * y])
    assert refusal(tmp_path, entries, truth(tmp_path)) == (
        f"p.json: with gt.json boxes must be in px of its images, these seem to be {told}: "
        "read so, 6 people are met, as written 0"
    )


def test_another_size_where_the_sizes_are_not_known(tmp_path: Path) -> None:
    entries = found(bbox=lambda i, box: [v / 2 for v in box])
    assert "of images of another size (x times 2, y times 2): read so, 6" in refusal(
        tmp_path, entries, truth(tmp_path, sized=False)
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: [320 - b[0] - b[2], 240 - b[1] - b[3], b[2], b[3]], "turned by 180 degrees"),
        (lambda b: [240 - b[1] - b[3], b[0], b[3], b[2]], "turned by 90 degrees to the right"),
        (lambda b: [b[1], 320 - b[0] - b[2], b[3], b[2]], "turned by 90 degrees to the left"),
        (lambda b: [320 - b[0] - b[2], *b[1:]], "mirrored"),
        (
            lambda b: [b[0] * 2, b[1] * 2 + 80, b[2] * 2, b[3] * 2],
            "of a network's input of 640x640 px with borders",
        ),
        (
            lambda b: [b[0] - 20, b[1] - 16, b[2], b[3]],
            "of a part of them that lies +20, +16 px from their corner",
        ),
    ],
)
def test_boxes_in_px_of_other_images(tmp_path: Path, change: Any, told: str) -> None:
    entries = found(bbox=lambda i, box: change(box))
    assert f"these seem to be {told}: read so, 6 people are met" in refusal(
        tmp_path, entries, truth(tmp_path)
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (lambda i: NAMES[i], "file names with their folders"),
        (lambda i: NAMES[i][5:], "file names"),
        (lambda i: NAMES[i][5:-4], "file names without their suffix"),
        (lambda i: NAMES[i][:-4], "paths without their suffix"),
        (lambda i: int(NAMES[i][5:-4]), "the numbers of their files"),
        (lambda i: 100 + i, "their frame numbers"),
    ],
)
def test_ids_that_name_images_in_another_way(tmp_path: Path, name: Any, told: str) -> None:
    entries = found(image_id=lambda i, box: name(i))
    message = refusal(tmp_path, entries, truth(tmp_path))
    assert message == (
        "p.json: none of the 6 predictions is of an image of gt.json; expected ids such as 3, "
        f"got {name(3)!r}: these are {told}, not ids"
    )


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ({3: 0, 7: 1, 9: 2}, "counted from 0"),
        ({3: 2, 7: 0, 9: 1}, "counted from 0 in the order of the file names"),
        ({3: 12, 7: 10, 9: 11}, "the numbers of their files"),
    ],
)
def test_ids_counted_or_of_names_of_which_some_are_known_by_chance(
    tmp_path: Path, ids: dict[int, int], told: str
) -> None:
    known = truth(
        tmp_path,
        images=[
            {"id": i, "file_name": NAMES[i]} if i in PEOPLE else {"id": i} for i in range(3, 13)
        ]
        if told.startswith("the")
        else [{"id": i, "file_name": NAMES[j]} for i, j in ((1, 3), (2, 7), (3, 9))],
        annotations=[
            {"image_id": i, "category_id": 1, "bbox": box}
            for k, i in enumerate(PEOPLE)
            for box in PEOPLE[i]
            for i in [i if told.startswith("the") else k + 1]
        ],
    )
    message = refusal(tmp_path, found(image_id=lambda i, box: ids[i]), known)
    assert message == (
        f"p.json: with gt.json image_id must be an id of its images, these seem to be {told}: "
        "read so, 6 people are met, as written 0"
    )


def test_processed_images_by_name(tmp_path: Path) -> None:
    known = truth(tmp_path)
    (tmp_path / "p.run.json").write_text(json.dumps({"image_ids": [n[5:] for n in NAMES.values()]}))
    assert refusal(tmp_path, [], known) == (
        "p.json: none of the 3 processed images is in gt.json: these are file names, not ids"
    )


def test_one_who_waits_beside_a_pole_is_no_shift(tmp_path: Path) -> None:
    """A false detection that stays at one distance of one person all the time tells nothing."""
    known = truth(
        tmp_path,
        annotations=[{"image_id": i, "category_id": 1, "bbox": [90, 60, 20, 60]} for i in PEOPLE],
    )
    pole = [
        {"image_id": i, "category_id": 1, "bbox": [150, 50, 20, 60], "score": 0.9} for i in PEOPLE
    ]
    assert read(tmp_path, pole, known) == {"prediction_and_none_on_a_person": 3}


def test_another_class_beside_people_who_are_met_is_left_out(tmp_path: Path) -> None:
    """A rider is a person too for some detectors: both classes are on the same people."""
    both = [*found(), *found(category_id=lambda i, box: 3)]
    assert read(tmp_path, both, truth(tmp_path)) == {"other_category": 6}


@pytest.mark.parametrize("categories", [[], [{"id": 1}]])
def test_several_categories_of_which_none_is_named_are_refused(
    tmp_path: Path, categories: list[Entry]
) -> None:
    """Cars would count as people."""
    known = truth(tmp_path, categories=categories)
    car = {"image_id": 3, "category_id": 3, "bbox": [5, 200, 30, 20], "score": 0.9}
    assert refusal(tmp_path, [*found(), car], known) == (
        "p.json: its predictions are of category_id 1 or 3, and gt.json does not say which is "
        "people: expected categories with names there, or one category here"
    )
    assert read(tmp_path, found(category_id=lambda i, box: 3), known) == {}
    unlabelled = {key: car[key] for key in ("image_id", "bbox", "score")}
    assert read(tmp_path, [*found(), unlabelled], known) == {}


def test_two_people_tell_nothing(tmp_path: Path) -> None:
    entries = found(bbox=lambda i, box: [v / 2 for v in box])[:2]
    assert read(tmp_path, entries, truth(tmp_path)) == {}
