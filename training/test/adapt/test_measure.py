from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tasksr_training.adapt.config import MeasureConfig
from tasksr_training.adapt.crops import AS_IT_IS
from tasksr_training.adapt.frames import Chosen, Frames
from tasksr_training.adapt.measure import (
    ADAPTED,
    BICUBIC,
    X1,
    Look,
    Setting,
    compared,
    helps,
    measure,
)

from tasksr_ros.evaluation.metrics import Matches, match_images

ONE = np.array([[0, 0, 10, 20]], float)
NONE = np.zeros((0, 4))
CONFIG = MeasureConfig(samples=200, least_people=5)


def matches(found_in: list[bool]) -> Matches:
    """A person in each image, found in some."""
    detections = [(ONE, np.array([0.9])) if f else (NONE, np.zeros(0)) for f in found_in]
    return match_images(detections, [(ONE, np.array([False]))] * len(found_in), 0.5)


def results(adapted: list[bool], bicubic: list[bool]) -> dict[str, object]:
    found = {X1: matches(bicubic), BICUBIC: matches(bicubic), ADAPTED: matches(adapted)}
    return compared(found, np.arange(len(adapted)), CONFIG)


def test_the_truth_is_what_the_detector_sees_at_its_best(tmp_path: Path) -> None:
    """A person whom it does not see at the frame's own size, and one of whom it is not sure."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    frame = Chosen("a.png", "drive", "", 0, "", 0, (60, 40), True)
    far, unsure = [10.0, 10, 20, 30], [40.0, 10, 50, 30]
    seen = {"a.png": (np.array([far, unsure], np.float32), np.array([0.5, 0.2], np.float32))}
    frames = Frames(tmp_path, [], [frame])
    setting = Setting(frames, seen, 2, {"drive": AS_IT_IS}, 0.3, CONFIG)

    def sees(*boxes: list[float]) -> Look:
        found = np.array(boxes, np.float32).reshape(-1, 4) / 2  # of the LR copy
        return lambda image: (found, np.full(len(found), 0.9, np.float32))

    systems = {X1: sees(), BICUBIC: sees([0.0, 0, 10, 20], far), ADAPTED: sees(unsure, far)}
    row = measure(systems, setting, None)["agreement"]["all"]
    assert row["people"] == 1
    assert row["ap"] == pytest.approx({X1: 0.0, BICUBIC: 0.5, ADAPTED: 1.0}, abs=0.01)


def test_it_helps_where_the_interval_is_above_zero() -> None:
    row = results([True] * 20, [True, False] * 10)
    assert row["ap"] == pytest.approx({X1: 0.505, BICUBIC: 0.505, ADAPTED: 1.0}, abs=0.01)
    assert row["difference"] == pytest.approx(0.495, abs=0.01)
    better, told = helps({"agreement": {"all": row}}, CONFIG)
    assert better and "adapted less bicubic +0.49" in told and "on 20 held-out frames" in told


def test_it_does_not_where_both_find_the_same() -> None:
    row = results([True, False] * 5, [True, False] * 5)
    assert row["difference"] == 0 and row["interval"] == [0.0, 0.0]
    assert not helps({"agreement": {"all": row}}, CONFIG)[0]


def test_labels_decide_where_there_are_any() -> None:
    good, bad = results([True] * 20, [True, False] * 10), results([False] * 9, [True] * 9)
    better, told = helps({"agreement": {"all": good}, "labels": {"far": bad}}, CONFIG)
    assert not better and told.startswith("AP50 on the labels up to 64 px on 9 held-out frames")


def test_nobody_to_be_found_is_no_answer() -> None:
    nobody = match_images([(ONE, np.array([0.4]))], [(NONE, np.zeros(0, bool))], 0.5)
    row = compared(dict.fromkeys((X1, BICUBIC, ADAPTED), nobody), np.zeros(1, int), CONFIG)
    assert row["difference"] is None
    better, told = helps({"agreement": {"all": row}}, CONFIG)
    assert not better and "nobody to be found" in told


def test_too_little_to_tell_is_no_yes() -> None:
    better, told = helps({"agreement": {"all": results([True] * 4, [False] * 4)}}, CONFIG)
    assert not better
    assert "too little to tell: 4 parts of 2 s with 4 people, at least 8 with 5 are needed" in told


def test_frames_that_are_alike_are_drawn_together() -> None:
    found = {X1: matches([True] * 4), BICUBIC: matches([False, True] * 2)}
    found[ADAPTED] = found[X1]
    together = compared(found, np.array([0, 0, 1, 1]), CONFIG)
    apart = compared(found, np.arange(4), CONFIG)
    assert together["interval"][0] == together["interval"][1]  # each unit has one of both
    assert apart["interval"][0] < apart["interval"][1]
