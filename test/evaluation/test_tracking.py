"""Tests of tasksr_ros.evaluation.tracking: every expected number is counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.evaluation.tracking import People, TrackScores, score_sequence

IOU = 0.5


def people(**places: float) -> People:
    """Persons by name at columns; a name beginning with i is ignored."""
    boxes = np.array([(x, 0, x + 10, 30) for x in places.values()], float).reshape(-1, 4)
    return People(boxes, tuple(places), np.array([n[0] == "i" for n in places], bool))


def seen(*places: tuple[float, int]) -> Detections:
    """Detections at columns, each with its track id."""
    boxes = np.array([(x, 0, x + 10, 30) for x, _ in places], float).reshape(-1, 4)
    found = Detections.from_arrays(boxes, np.full(len(places), 0.9))
    ids = np.array([track for _, track in places], np.int32)
    return Detections(found.xyxy, found.score, found.class_id, ids)


def test_ids_that_last_have_no_switch() -> None:
    frames = [(people(a=k, b=100 - k), seen((k, 0), (100 - k, 1))) for k in range(5)]
    assert score_sequence(frames, IOU) == TrackScores(5, 10, 10, 10, 0, 0, 0)


def test_a_swap_is_two_switches() -> None:
    first = (people(a=0, b=100), seen((0, 0), (100, 1)))
    swapped = (people(a=0, b=100), seen((0, 1), (100, 0)))
    assert score_sequence([first, swapped, swapped], IOU) == TrackScores(3, 6, 6, 6, 0, 2, 0)


def test_a_miss_is_a_fragment_and_a_new_id_after_it_a_switch() -> None:
    here = people(a=0)
    frames = [(here, seen((0, 0))), (here, seen()), (here, seen()), (here, seen((0, 5)))]
    assert score_sequence(frames, IOU) == TrackScores(4, 4, 2, 2, 0, 1, 1)


def test_who_was_missed_before_the_first_find_is_no_fragment() -> None:
    here = people(a=0)
    assert score_sequence([(here, seen()), (here, seen((0, 0)))], IOU).fragments == 0


def test_a_person_keeps_the_track_of_before_though_another_box_fits_better() -> None:
    # IoU with the box at 2 is 8/12 = 0.67, with the one at 1 it is 9/11 = 0.82.
    frames = [(people(a=0), seen((0, 0))), (people(a=0), seen((2, 0), (1, 7)))]
    assert score_sequence(frames, IOU) == TrackScores(2, 2, 2, 2, 1, 0, 0)


def test_detections_without_track_count_as_found_only() -> None:
    frames = [(people(a=0), seen((0, 3))), (people(a=0), seen((0, NO_TRACK)))]
    assert score_sequence(frames, IOU) == TrackScores(2, 2, 2, 1, 0, 0, 0)


def test_ignored_people_are_neither_missed_nor_false() -> None:
    frames = [(people(a=0, i=50), seen((50, 0), (80, 1)))]
    scores = score_sequence(frames, IOU)
    assert scores == TrackScores(1, 1, 0, 0, 1, 0, 0)
    assert (scores.recall, scores.fppi) == (0.0, 1.0)


def test_sums_and_empty_sequences() -> None:
    assert TrackScores(1, 2, 1, 1, 3, 0, 0) + TrackScores(1, 2, 2, 0, 0, 4, 5) == TrackScores(
        2, 4, 3, 1, 3, 4, 5
    )
    nothing = score_sequence([], IOU)
    assert nothing == TrackScores()
    assert math.isnan(nothing.recall)
    assert math.isnan(nothing.fppi)
    assert score_sequence([(people(), seen())], IOU) == TrackScores(frames=1)
    assert TrackScores(frames=2, people=4, found=3).recall == pytest.approx(0.75)
