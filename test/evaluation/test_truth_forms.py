"""Ground truth and predictions in the forms that tools write: ids, categories, flags, sizes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.predictions import read_predictions

BOX = [100.5, 50.25, 20, 60]


def truth(folder: Path, ids: tuple[Any, Any] = (1, 2), category: Any = 1, **more: Any) -> Path:
    """Two images of 320x240 px with a person each."""
    images = [{"id": i, "file_name": "a.png", "width": 320, "height": 240} for i in ids]
    people = [{"image_id": i, "category_id": category, "bbox": BOX} for i in ids]
    content = {"images": images, "annotations": people, **more}
    content.setdefault("categories", [{"id": 1, "name": "person"}])
    (folder / "gt.json").write_text(json.dumps(content))
    return folder / "gt.json"


def predictions(
    folder: Path, ids: tuple[Any, Any], category: Any = 1, bbox: list[float] = BOX
) -> Path:
    found = [{"image_id": i, "category_id": category, "bbox": bbox, "score": 0.9} for i in ids]
    (folder / "p.json").write_text(json.dumps(found))
    return folder / "p.json"


@pytest.mark.parametrize("ids", [(1, 2), (1.0, 2.0), ("1", "2"), (1, "2")])
@pytest.mark.parametrize("found", [(1, 2), (1.0, 2.0), ("1", "2"), ("1", 2)])
def test_whole_numbers_and_their_texts_are_one_id(
    tmp_path: Path, ids: tuple[Any, Any], found: tuple[Any, Any]
) -> None:
    known = read_ground_truth(truth(tmp_path, ids))
    assert known.image_ids == [1, 2]
    assert known.image.tolist() == [0, 1]
    got = read_predictions(predictions(tmp_path, found), known)
    assert (got.image.tolist(), got.problems) == ([0, 1], {})


def test_a_number_and_its_text_in_one_list_are_the_same_image(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="image id 1 stands there more than once"):
        read_ground_truth(truth(tmp_path, (1, "1")))


def test_padded_numbers_are_texts(tmp_path: Path) -> None:
    known = read_ground_truth(truth(tmp_path, ("01", "1")))
    assert known.image_ids == ["01", 1]
    assert read_predictions(predictions(tmp_path, ("01", 1)), known).image.tolist() == [0, 1]


@pytest.mark.parametrize("listed", [1, "1", 1.0])
@pytest.mark.parametrize("used", [1, "1", 1.0])
@pytest.mark.parametrize("found", [1, "1"])
def test_category_ids_as_texts(tmp_path: Path, listed: Any, used: Any, found: Any) -> None:
    categories = [{"id": listed, "name": "person"}, {"id": 2, "name": "car"}]
    known = read_ground_truth(truth(tmp_path, category=used, categories=categories))
    assert (len(known.image), known.problems) == (2, {})
    got = read_predictions(predictions(tmp_path, (1, 2), found), known)
    assert (len(got.image), got.problems) == (2, {})


@pytest.mark.parametrize("name", ["Person", "PEDESTRIAN", " Person ", "pedestrians"])
def test_words_for_pedestrians(tmp_path: Path, name: str) -> None:
    categories = [{"id": 1, "name": name}, {"id": 2, "name": "car"}]
    assert read_ground_truth(truth(tmp_path, categories=categories)).pedestrian_ids == {1}


@pytest.mark.parametrize("name", ["car", "people", "Cars"])
def test_the_only_category_must_be_the_one_asked_for(tmp_path: Path, name: str) -> None:
    path = truth(tmp_path, categories=[{"id": 1, "name": name}])
    message = f"expected a category named pedestrian or person, got {name} .--category"
    with pytest.raises(EvaluationError, match=message):
        read_ground_truth(path)
    assert len(read_ground_truth(path, name).image) == 2


@pytest.mark.parametrize("categories", [[], None, [{"id": 1}], [{"id": 1, "name": ""}]])
def test_one_category_without_a_name_is_that_of_pedestrians(
    tmp_path: Path, categories: Any
) -> None:
    known = read_ground_truth(truth(tmp_path, categories=categories))
    assert (len(known.image), known.pedestrian_ids) == (2, None)


def test_a_category_of_two_names_is_refused(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "person"}, {"id": "1", "name": "car"}]
    with pytest.raises(EvaluationError, match="category id 1 must have one name, got person and"):
        read_ground_truth(truth(tmp_path, categories=categories))


def test_an_annotation_without_a_category_is_a_pedestrian_as_in_training(tmp_path: Path) -> None:
    assert len(read_ground_truth(truth(tmp_path, category=None)).image) == 2


@pytest.mark.parametrize(
    ("flag", "ignored"), [("0", False), ("false", False), ("0.0", False), ("1", True), (1, True)]
)
@pytest.mark.parametrize("name", ["iscrowd", "ignore"])
def test_flags_as_words(tmp_path: Path, name: str, flag: object, ignored: bool) -> None:
    people = [{"image_id": 1, "category_id": 1, "bbox": BOX, name: flag}]
    known = read_ground_truth(truth(tmp_path, annotations=people))
    assert known.ignore.tolist() == [ignored]


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = truth(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_ground_truth(path).image_ids == [1, 2]


def test_boxes_outside_their_images_are_counted(tmp_path: Path) -> None:
    """As of predictions in the px of larger images."""
    people = [
        {"image_id": 1, "category_id": 1, "bbox": [320, 0, 20, 60]},
        {"image_id": 1, "category_id": 1, "bbox": [319, 0, 20, 60]},
        {"image_id": 2, "category_id": 1, "bbox": [-20, 0, 20, 60]},
    ]
    known = read_ground_truth(truth(tmp_path, annotations=people))
    assert (len(known.image), known.problems) == (3, {"box_outside_image": 2})
    got = read_predictions(predictions(tmp_path, (1, 2), bbox=[0, 240, 9, 9]), known)
    assert (len(got.image), got.problems) == (2, {"box_outside_image": 2})


def frames(folder: Path, sizes: dict[Any, tuple[Any, Any]]) -> None:
    """What a replay says of the frames it saw, beside the predictions."""
    seen = [{"image_id": i, "width": w, "height": h} for i, (w, h) in sizes.items()]
    (folder / "p.run.json").write_text(json.dumps({"frames": seen}))


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    known = read_ground_truth(truth(tmp_path))
    path = predictions(tmp_path, (1, 2))
    frames(tmp_path, {"1": (320, 240), "2": (160, 120)})
    message = "got 160x120 px for image 2, which has 320x240 px there .1 images differ"
    with pytest.raises(EvaluationError, match=message):
        read_predictions(path, known)


@pytest.mark.parametrize("size", [(320, 240), (320.0, "240"), (0, 0), (None, None)])
def test_frames_of_the_same_size_or_of_none_are_taken(
    tmp_path: Path, size: tuple[Any, Any]
) -> None:
    path = predictions(tmp_path, (1, 2))
    frames(tmp_path, {1: size, 7: (5, 5)})
    assert Counter(read_predictions(path, read_ground_truth(truth(tmp_path))).image) == {0: 1, 1: 1}


def test_images_whose_size_is_not_stated_are_not_compared(tmp_path: Path) -> None:
    images = [{"id": 1, "width": -1, "height": -1}, {"id": 2}]
    path = predictions(tmp_path, (1, 2))
    frames(tmp_path, {1: (160, 120), 2: (160, 120)})
    known = read_ground_truth(truth(tmp_path, images=images))
    assert len(read_predictions(path, known).image) == 2


@pytest.mark.parametrize("categories", [{"1": "person"}, "person", ["person"]])
def test_categories_in_another_form_are_refused(tmp_path: Path, categories: Any) -> None:
    """Not taken for a file without categories, all of whose boxes are pedestrians."""
    with pytest.raises(EvaluationError, match=r"gt\.json: categories"):
        read_ground_truth(truth(tmp_path, categories=categories))


@pytest.mark.parametrize("category", [None, 7, "person"])
def test_boxes_of_no_named_category_are_left_open(tmp_path: Path, category: Any) -> None:
    """They are neither missed nor blamed; with one name, what has none is of that name."""
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}]
    known = read_ground_truth(truth(tmp_path, category=category, categories=categories))
    assert (known.ignore.tolist(), known.problems) == ([True, True], {"unknown_category": 2})


def test_a_box_that_stands_there_twice_is_counted(tmp_path: Path) -> None:
    """As where two exports were joined; the same box ignored as well is no other person."""
    person = {"image_id": 1, "category_id": 1, "bbox": BOX}
    people = [person, person, {**person, "ignore": 1}, {**person, "image_id": 2}]
    known = read_ground_truth(truth(tmp_path, annotations=people))
    assert (len(known.image), known.problems) == (4, {"repeated_box": 1})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vis_ratio", 80, "vis_ratio must be 0 to 1, got 80"),
        ("vis_ratio", -0.5, "vis_ratio must be 0 to 1, got -0.5"),
        ("truncation", 50, "truncation must be -1 to 1, got 50"),
        ("occlusion", 4, "occlusion must be -1 to 3, got 4"),
    ],
)
def test_values_in_another_unit_are_refused(
    tmp_path: Path, name: str, value: float, message: str
) -> None:
    people = [{"image_id": 1, "category_id": 1, "bbox": BOX, name: value}]
    with pytest.raises(EvaluationError, match=rf"annotations\[0\]\.{message}$"):
        read_ground_truth(truth(tmp_path, annotations=people))


@pytest.mark.parametrize("distance", [-1, 0, -1000.0])
def test_a_distance_that_is_none_is_unknown(tmp_path: Path, distance: float) -> None:
    people = [{"image_id": 1, "category_id": 1, "bbox": BOX, "distance_m": distance}]
    (got,) = read_ground_truth(truth(tmp_path, annotations=people)).distance
    assert got != got
