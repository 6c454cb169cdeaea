"""Views of a frame, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tasksr_training.adapt.config import TeacherConfig
from tasksr_training.adapt.frames import FOLDER, Chosen, Frames
from tasksr_training.adapt.systems import Found
from tasksr_training.adapt.teacher import SEEN, best_views, fused

PERSON = [30.0, 40.0, 40.0, 60.0]
CONFIG = TeacherConfig(scales=(2.0,), mirrored=False)


def found(boxes: list[list[float]], scores: list[float]) -> Found:
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)


def frames(folder: Path, boxes: list[list[float]], scores: list[float]) -> Frames:
    """One frame of 160x96 px, black where row 40 and column 30 meet, and what was seen in it."""
    image = np.full((96, 160, 3), 140, np.uint8)
    image[40:60, 30:40] = 0
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / FOLDER / "a.png"), image)
    chosen = Chosen("a.png", "drive", "", 0, "", 0, (160, 96), False, boxes, scores)
    return Frames(folder / FOLDER, [chosen], [])


class Dark:
    """Takes what is dark for a person, and keeps the images that it saw."""

    def __init__(self, score: float) -> None:
        self.score, self.images = score, list[NDArray[np.uint8]]()

    def __call__(self, image: NDArray[np.uint8]) -> Found:
        self.images.append(image)
        y, x = np.nonzero(image.max(2) < 60)
        if not len(y):
            return found([], [])
        return found([[x.min(), y.min(), x.max() + 1, y.max() + 1]], [self.score])


def test_people_of_several_views_are_one_with_the_two_best_scores() -> None:
    moved = [31.0, 40.0, 41.0, 60.0]
    boxes, scores = fused([found([PERSON], [0.2]), found([moved], [0.6]), found([], [])], 0.5)
    # Weights of 1 and 3.
    assert boxes[0].tolist() == pytest.approx([30.75, 40.0, 40.75, 60.0])
    assert scores.tolist() == pytest.approx([0.4])


def test_what_one_view_alone_sees_has_half_of_its_score() -> None:
    far = [100.0, 40.0, 110.0, 60.0]
    boxes, scores = fused([found([PERSON], [0.5]), found([far], [0.9])], 0.5)
    assert boxes.tolist() == [far, PERSON]
    assert scores.tolist() == pytest.approx([0.45, 0.25])


def test_boxes_of_one_view_are_no_witnesses_of_each_other() -> None:
    _, scores = fused([found([PERSON, PERSON], [0.8, 0.7]), found([], [])], 0.5)
    assert scores.tolist() == pytest.approx([0.4])


def test_one_view_stays_as_it_is_but_for_what_is_nobodys() -> None:
    boxes, scores = fused([found([PERSON, [0, 0, 9, 9]], [0.5, 0.04])], 0.5)
    assert boxes.tolist() == [PERSON] and scores.tolist() == [0.5]


def test_it_looks_closer_where_it_nearly_sees_someone(tmp_path: Path) -> None:
    look = Dark(0.9)
    seen = best_views(frames(tmp_path, [PERSON], [0.1]), look, 96, CONFIG, tmp_path)
    # Rows 40 - 32 to 60 + 32, twice as large.
    assert [i.shape for i in look.images] == [(168, 320, 3)]
    boxes, scores = seen["a.png"]
    assert boxes[0].tolist() == pytest.approx(PERSON, abs=0.6)
    assert scores.tolist() == pytest.approx([0.5])


def test_the_mirrored_frame_is_seen_from_the_other_side(tmp_path: Path) -> None:
    look, config = Dark(0.7), TeacherConfig(scales=(), mirrored=True)
    seen = best_views(frames(tmp_path, [PERSON], [0.5]), look, 96, config, tmp_path)
    assert look.images[0][50, 159 - 35].tolist() == [0, 0, 0]
    boxes, scores = seen["a.png"]
    assert boxes.tolist() == [PERSON] and scores.tolist() == pytest.approx([0.6])


@pytest.mark.parametrize(
    ("boxes", "scores"), [([], []), ([PERSON], [0.04]), ([[30.0, 40, 40, 70]], [0.9])]
)
def test_where_nobody_small_may_be_it_does_not_look(
    tmp_path: Path, boxes: list[list[float]], scores: list[float]
) -> None:
    """Nobody, somebody who is hardly likely, and somebody of more than half of 96 / 2 px."""
    look = Dark(0.9)
    best_views(frames(tmp_path, boxes, scores), look, 96, CONFIG, tmp_path)
    assert not look.images


def test_who_is_cut_where_the_look_ends_is_left_out(tmp_path: Path) -> None:
    # Far above the dark box, of which rows 40 to 47 are seen.
    look = Dark(0.9)
    seen = best_views(frames(tmp_path, [[30.0, 5, 40, 15]], [0.1]), look, 96, CONFIG, tmp_path)
    assert [i.shape for i in look.images] == [(94, 320, 3)]
    assert seen["a.png"][0].tolist() == [[30.0, 5, 40, 15]]


def test_a_run_that_goes_on_looks_at_no_frame_twice(tmp_path: Path) -> None:
    given = frames(tmp_path, [PERSON], [0.1])
    first = best_views(given, Dark(0.9), 96, CONFIG, tmp_path)
    path = tmp_path / FOLDER / SEEN
    with path.open("a") as file:
        file.write('["b.png", [[1, 2')  # stopped there
    look = Dark(0.3)
    again = best_views(given, look, 96, CONFIG, tmp_path)
    assert not look.images and again["a.png"][1].tolist() == first["a.png"][1].tolist()
    assert "b.png" not in path.read_text()
    other = TeacherConfig(scales=(2.2,), mirrored=False)
    best_views(given, look, 96, other, tmp_path)
    assert len(look.images) == 1
