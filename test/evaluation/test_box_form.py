"""Boxes written as corners, centres or shares: told, never scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.box_form import form_by_match, form_by_size
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.predictions import read_predictions

PEOPLE = [[100.5, 50.25, 20, 60], [200, 80, 12, 40], [30, 90, 25, 70], [260, 100, 8, 30]]
"""x, y, width, height in images of 320x240 px."""
AS_CORNERS = [[x, y, x + w, y + h] for x, y, w, h in PEOPLE]
AS_CENTRES = [[x + w / 2, y + h / 2, w, h] for x, y, w, h in PEOPLE]
AS_SHARES = [[x / 320, y / 240, w / 320, h / 240] for x, y, w, h in PEOPLE]
AS_PERCENTS = [[100 * v for v in box] for box in AS_SHARES]


def truth(folder: Path, boxes: list[list[float]], *, sized: bool = True) -> Path:
    size = {"width": 320, "height": 240} if sized else {}
    content = {
        "images": [{"id": 1, "file_name": "a.png", **size}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes],
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "gt.json").write_text(json.dumps(content))
    return folder / "gt.json"


def predictions(folder: Path, boxes: list[list[float]]) -> Path:
    found = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9} for box in boxes]
    (folder / "p.json").write_text(json.dumps(found))
    return folder / "p.json"


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (AS_CORNERS, r"look like corners \(x0, y0, x1, y1\): read so, 4 of 4 lie on people of .*, "
         "as written 0"),
        (AS_CORNERS[:1], r"corners \(x0, y0, x1, y1\): read so, 1 of 1 lie on"),
        ([*AS_CORNERS, [0, 0, 9, 9]], r"corners \(x0, y0, x1, y1\): read so, 4 of 5 lie on"),
        (AS_CENTRES, r"centres \(x, y\) with width and height: read so, 4 of 4 lie on"),
        (AS_SHARES, "shares of the image's size: by the images' sizes"),
    ],
)  # fmt: skip
def test_predictions_in_another_form_are_refused(
    tmp_path: Path, boxes: list[list[float]], message: str, sized: bool
) -> None:
    known = read_ground_truth(truth(tmp_path, PEOPLE, sized=sized))
    with pytest.raises(EvaluationError, match=rf"p\.json: bbox must be \[x, y, .*{message}"):
        read_predictions(predictions(tmp_path, boxes), known)


def test_percents_are_told_where_the_sizes_are_known(tmp_path: Path) -> None:
    known = read_ground_truth(truth(tmp_path, PEOPLE))
    with pytest.raises(EvaluationError, match="look like percents of the image's size: read so, 4"):
        read_predictions(predictions(tmp_path, AS_PERCENTS), known)


def test_corners_on_nobody_are_told_by_the_images_sizes(tmp_path: Path) -> None:
    known = read_ground_truth(truth(tmp_path, []))
    with pytest.raises(EvaluationError, match=r"corners \(x0, y0, x1, y1\): by the images' sizes"):
        read_predictions(predictions(tmp_path, [[200, 150, 220, 200]] * 3), known)


@pytest.mark.parametrize(
    ("boxes", "form"),
    [
        ([[200, 150, 220, 200]] * 3, r"corners \(x0, y0, x1, y1\)"),
        (AS_SHARES, "shares of the image's size"),
    ],
)
def test_ground_truth_in_another_form_is_refused(
    tmp_path: Path, boxes: list[list[float]], form: str
) -> None:
    with pytest.raises(EvaluationError, match=rf"gt\.json: bbox must be .* look like {form}, by"):
        read_ground_truth(truth(tmp_path, boxes))


@pytest.mark.parametrize(
    "boxes",
    [
        PEOPLE,
        [[0, 0, 20, 60]],  # in the corner both forms are one
        [[5, 10, 20, 60], [1, 2, 30, 90]],  # each wider than it is far from the edge
        [[400, 300, 20, 60]],  # nobody
        [[2, 3, 310, 300]] * 3,  # near, and reaching out of the image
        [],
    ],
)
def test_the_right_form_is_read_as_it_is(tmp_path: Path, boxes: list[list[float]]) -> None:
    known = read_ground_truth(truth(tmp_path, PEOPLE))
    assert read_predictions(predictions(tmp_path, boxes), known).xywh.tolist() == boxes


def test_several_predictions_of_which_none_is_on_a_person_are_told(tmp_path: Path) -> None:
    """Whatever the reason: no other reading meets them."""
    known = read_ground_truth(truth(tmp_path, PEOPLE))
    poles = [[5, 5, 9, 30], [140, 150, 9, 60], [230, 20, 14, 14], [60, 170, 30, 50]]
    assert read_predictions(predictions(tmp_path, poles), known).problems == {
        "prediction_and_none_on_a_person": 4
    }
    assert read_predictions(predictions(tmp_path, poles[:2]), known).problems == {}
    assert read_predictions(predictions(tmp_path, [*poles, PEOPLE[0]]), known).problems == {}


def test_one_box_of_a_centre_that_fits_by_chance_is_none() -> None:
    people = np.zeros(4, np.int64), np.array(PEOPLE, float)
    found = np.zeros(2, np.int64), np.array([AS_CENTRES[0], [5, 90, 9, 9]], float)
    sizes = np.full((2, 2), np.nan)
    assert form_by_match(found, np.ones(2), people, sizes) == ("", 0, 0)


def test_weak_boxes_of_centres_that_fit_by_chance_are_none() -> None:
    """Of a detector that finds nobody: as many of the strongest as there are people are read."""
    people = np.zeros(4, np.int64), np.array(PEOPLE, float)
    boxes = np.concatenate((np.tile([[300.0, 200, 9, 9]], (4, 1)), np.array(AS_CENTRES)))
    scores = np.concatenate((np.full(4, 0.9), np.full(len(AS_CENTRES), 0.1)))
    found = np.zeros(len(boxes), np.int64), boxes
    sizes = np.full((len(boxes), 2), np.nan)
    assert form_by_match(found, scores, people, sizes) == ("", 0, 0)
    assert form_by_match(found, 1 - scores, people, sizes)[1:] == (4, 0)


def test_of_many_boxes_the_strongest_are_looked_at() -> None:
    people = np.zeros(4, np.int64), np.array(PEOPLE, float)
    boxes = np.concatenate((np.tile([[300.0, 200, 9, 9]], (3000, 1)), np.array(AS_CENTRES)))
    found = np.zeros(len(boxes), np.int64), boxes
    scores = np.concatenate((np.full(3000, 0.1), np.full(4, 0.9)))
    form, so, as_written = form_by_match(found, scores, people, np.full((len(boxes), 2), np.nan))
    assert (form, so, as_written) == ("centres (x, y) with width and height", 4, 0)


def test_whole_boxes_of_a_pixel_are_no_shares() -> None:
    assert form_by_size(np.array([[0.0, 0, 1, 1]]), np.array([[320.0, 240]])) == ""
    assert form_by_size(np.array([[0.5, 0.5, 0, 0]]), np.array([[320.0, 240]])) == ""


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (AS_CORNERS, r"corners \(x0, y0, x1, y1\): read so, 4 of 4 people are where"),
        (AS_CENTRES, r"centres \(x, y\) with width and height: read so, 4 of 4 people are where"),
    ],
)
def test_ground_truth_in_another_form_is_told_by_predictions(
    tmp_path: Path, boxes: list[list[float]], message: str
) -> None:
    """Within the image, as sizes could be: what is found there says that they are none."""
    known = read_ground_truth(truth(tmp_path, boxes))
    with pytest.raises(EvaluationError, match=rf"gt\.json: bbox must be .* look like {message}"):
        read_predictions(predictions(tmp_path, PEOPLE), known)
