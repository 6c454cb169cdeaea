"""Protocols by hand, and against a matching written differently: loops over single boxes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.matching import IGNORED, Rule
from tasksr_ros.evaluation.metrics import log_average_miss_rate
from tasksr_ros.evaluation.predictions import read_predictions
from tasksr_ros.evaluation.protocols import PROTOCOLS, Case, get_protocol, with_aspect

CATEGORIES = [{"id": 1, "name": "pedestrian"}, {"id": 2, "name": "rider"}]


def case(folder: Path, protocol: str, images: int, people: list[dict], found: list[dict]) -> Case:
    """``people`` and ``found`` lack their category, and the image where it is the first."""
    truth = {
        "images": [{"id": k} for k in range(images)],
        "annotations": [{"image_id": 0, "category_id": 1, **p} for p in people],
        "categories": CATEGORIES,
    }
    predictions = [{"image_id": 0, "category_id": 1, "score": 0.5, **d} for d in found]
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "found.json").write_text(json.dumps(predictions))
    read = read_ground_truth(folder / "truth.json")
    return Case.of(get_protocol(protocol), read, read_predictions(folder / "found.json", read))


def counting(folder: Path, protocol: str, subset: str, **person: Any) -> bool:
    one = case(folder, protocol, 1, [{"bbox": [0, 0, 20, 50], **person}], [])
    return len(one.matches(PROTOCOLS[protocol].subsets[subset]).found_at) == 1


@pytest.mark.parametrize(
    ("protocol", "subset", "height", "visibility", "expected"),
    [
        ("citypersons", "reasonable", 50, 0.65, True),
        ("citypersons", "reasonable", 49.9, 1, False),
        ("citypersons", "reasonable", 50, 0.64, False),
        ("citypersons", "small", 75, 1, True),
        ("citypersons", "small", 75.1, 1, False),
        ("citypersons", "heavy", 50, 0.65, True),
        ("citypersons", "heavy", 50, 0.2, True),
        ("citypersons", "heavy", 50, 1, False),
        ("citypersons", "all", 20, 0.2, True),
        ("citypersons", "all", 20, 0.19, False),
        ("caltech", "reasonable", 50, 0.65, True),
        ("caltech", "medium", 30, 0.1, True),
        ("caltech", "medium", 80, 1, False),
        ("caltech", "medium_unoccluded", 79.9, 1, True),
        ("caltech", "medium_unoccluded", 79.9, 0.99, False),
        ("caltech", "far", 20, 1, True),
        ("caltech", "far", 30, 1, False),
        ("ecp", "reasonable", 40, 0.61, True),
        ("ecp", "reasonable", 40, 0.6, False),
        ("ecp", "small", 60, 1, True),
        ("ecp", "occluded", 40, 0.6, True),
        ("ecp", "occluded", 40, 0.2, False),
        ("kitti", "easy", 39.9, 1, False),
        ("kitti", "moderate", 25, 1, True),
        ("far", "far", 15, 0.1, True),
        ("far", "far", 30, 1, False),
    ],
)
def test_who_counts(
    tmp_path: Path, protocol: str, subset: str, height: float, visibility: float, expected: bool
) -> None:
    given = {"height": height, "vis_ratio": visibility}
    assert counting(tmp_path, protocol, subset, **given) is expected


def test_kitti_limits_occlusion_and_truncation(tmp_path: Path) -> None:
    assert counting(tmp_path, "kitti", "easy", occlusion=0, truncation=0.15)
    assert not counting(tmp_path, "kitti", "easy", occlusion=1, truncation=0)
    assert counting(tmp_path, "kitti", "moderate", occlusion=1, truncation=0.3)
    assert not counting(tmp_path, "kitti", "hard", occlusion=2, truncation=0.51)


def test_the_height_is_the_stated_one_else_the_box_s(tmp_path: Path) -> None:
    assert not counting(tmp_path, "citypersons", "reasonable", bbox=[0, 0, 20, 49])
    assert counting(tmp_path, "citypersons", "reasonable", bbox=[0, 0, 20, 49], height=60)
    assert not counting(tmp_path, "citypersons", "reasonable", ignore=1)
    assert not counting(tmp_path, "citypersons", "reasonable", iscrowd=1)


@pytest.mark.parametrize(
    ("protocol", "subset", "height", "kept"),
    [
        ("citypersons", "small", 40, True),  # 50 / 1.25
        ("citypersons", "small", 39.9, False),
        ("citypersons", "small", 93.7, True),  # 75 · 1.25 = 93.75, exclusive
        ("citypersons", "small", 93.75, False),
        ("ecp", "reasonable", 32, False),  # 40 / 1.25, exclusive
        ("ecp", "reasonable", 32.1, True),
        ("kitti", "moderate", 24.9, False),  # 24 whole px
        ("kitti", "moderate", 25, True),
        ("far", "all", 1, True),
    ],
)
def test_which_detections_are_kept(
    tmp_path: Path, protocol: str, subset: str, height: float, kept: bool
) -> None:
    one = case(tmp_path, protocol, 1, [], [{"bbox": [0, 0, 10, height]}])
    assert len(one.matches(PROTOCOLS[protocol].subsets[subset]).score) == int(kept)


def test_caltech_compares_boxes_of_one_aspect(tmp_path: Path) -> None:
    assert with_aspect(np.array([[0.0, 0, 10, 100]]), 0.41).tolist() == [[-15.5, 0, 41, 100]]
    person, found = {"bbox": [100, 0, 80, 100]}, {"bbox": [125, 0, 30, 100]}  # IoU 30 / 80
    reasonable = PROTOCOLS["caltech"].subsets["reasonable"]
    caltech = case(tmp_path, "caltech", 1, [person], [found])
    citypersons = case(tmp_path, "citypersons", 1, [person], [found])
    assert caltech.matches(reasonable).outcome.tolist() == [1]
    assert citypersons.matches(reasonable).outcome.tolist() == [0]


def test_caltech_leaves_ignored_boxes_their_width(tmp_path: Path) -> None:
    crowd, found = {"bbox": [0, 0, 300, 60], "ignore": 1}, {"bbox": [10, 0, 24.6, 60]}
    one = case(tmp_path, "caltech", 1, [crowd], [found])
    assert one.matches(PROTOCOLS["caltech"].subsets["reasonable"]).outcome.tolist() == [IGNORED]


def test_ecp_meets_people_outside_of_the_limits_by_iou(tmp_path: Path) -> None:
    # 30 px: too small to count. The detection covers a third of its area: the share of the
    # detection inside is 1, the IoU 1/3.
    small, found = {"bbox": [0, 0, 60, 39]}, {"bbox": [0, 0, 20, 39]}
    for protocol, expected in (("citypersons", IGNORED), ("ecp", 0)):
        one = case(tmp_path, protocol, 1, [small], [found])
        subset = PROTOCOLS["ecp"].subsets["reasonable"]
        assert one.matches(subset).outcome.tolist() == [expected]


def test_riders_are_ignored_by_ecp_and_nothing_to_others(tmp_path: Path) -> None:
    rider, found = {"bbox": [0, 0, 20, 60], "category_id": 2}, {"bbox": [0, 0, 20, 60]}
    for protocol, expected in (("ecp", IGNORED), ("citypersons", 0)):
        one = case(tmp_path, protocol, 1, [rider], [found])
        headline = PROTOCOLS[protocol].subsets["reasonable"]
        assert one.matches(headline).outcome.tolist() == [expected]


def test_another_rule_for_the_same_case(tmp_path: Path) -> None:
    person, found = {"bbox": [0, 0, 20, 60]}, {"bbox": [0, 0, 20, 24]}  # IoU .4
    one = case(tmp_path, "far", 1, [person], [found])
    everyone = PROTOCOLS["far"].everyone
    assert one.matches(everyone).outcome.tolist() == [1]
    assert one.matches(everyone, Rule(0.5)).outcome.tolist() == [0]
    assert one.matches(everyone, Rule(None)).outcome.tolist() == [1]


def test_an_unknown_protocol() -> None:
    with pytest.raises(EvaluationError, match=r"one of caltech, citypersons.*got 'coco'"):
        get_protocol("coco")


def crowded(seed: int) -> tuple[int, list[dict], list[dict]]:
    """Images with overlapping people of heights at the limits, and detections with equal scores."""
    rng = np.random.default_rng(seed)
    people, found = [], []
    for image in range(50):
        for _ in range(rng.integers(0, 6)):
            height = float(rng.choice([rng.integers(15, 130), 20, 30, 50, 75, 80]))
            width = float(round(0.41 * height))
            x, y = float(rng.integers(0, 150)), float(rng.integers(0, 80))
            ignore = bool(rng.random() < 0.15)
            if ignore and rng.random() < 0.5:
                width, height = 90.0, 60.0
            visibility = float(rng.choice([1, 0.65, 0.2, 0.1, 0.4, 0.8]))
            box = [x, y, width, height]
            people.append(
                {"image_id": image, "bbox": box, "ignore": ignore, "vis_ratio": visibility}
            )
            for _ in range(rng.integers(0, 4)):
                dx, dy, dw, dh = rng.integers(-6, 7, 4).tolist()
                near = [x + dx, y + dy, max(1.0, width + dw), max(1.0, height + dh)]
                found.append(
                    {"image_id": image, "bbox": near, "score": round(float(rng.beta(3, 2)), 2)}
                )
        for _ in range(rng.integers(0, 3)):
            height = float(rng.integers(10, 150))
            box = [float(rng.integers(0, 300)), float(rng.integers(0, 200)), 0.41 * height, height]
            found.append({"image_id": image, "bbox": box, "score": round(float(rng.beta(1, 2)), 2)})
    return 50, people, found


def shared(a: list[float], b: list[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def miss_rate_by_definition(
    images: int, people: list[dict], found: list[dict], limits: tuple[float, ...], aspect: bool
) -> float:
    """MR⁻² with everything written out; ``limits`` of height and visibility, both inclusive."""
    low, high, least, most = limits

    def narrow(box: list[float]) -> list[float]:
        x, y, w, h = box
        return [x + w / 2 - 0.205 * h, y, 0.41 * h, h] if aspect else box

    marked: list[tuple[float, bool]] = []  # score, right or wrong
    total = 0
    for image in range(images):
        count, leave = [], []
        for p in (p for p in people if p["image_id"] == image):
            inside = low <= p["bbox"][3] <= high and least <= p["vis_ratio"] <= most
            if inside and not p["ignore"]:
                count.append(narrow(p["bbox"]))
            else:
                leave.append(p["bbox"])
        total += len(count)
        here = [d for d in found if d["image_id"] == image]
        here = [d for d in here if low / 1.25 <= d["bbox"][3] < high * 1.25]
        for d in sorted(here, key=lambda d: -d["score"]):
            box = narrow(d["bbox"])
            best, best_iou = None, 0.5
            for person in count:
                s = shared(box, person)
                iou = s / (box[2] * box[3] + person[2] * person[3] - s)
                if iou >= best_iou:
                    best, best_iou = person, iou
            if best is not None:
                count = [p for p in count if p is not best]
                marked.append((d["score"], True))
            elif not any(shared(box, p) >= 0.5 * box[2] * box[3] for p in leave):
                marked.append((d["score"], False))
    marked.sort(key=lambda m: -m[0])
    if total == 0:
        return math.nan
    product = 1.0
    for k in range(9):
        allowed = 10 ** (-2 + 0.25 * k)
        rate = 1.0
        for end in range(1, len(marked) + 1):
            right = sum(m[1] for m in marked[:end])
            if (end - right) / images <= allowed:
                rate = 1 - right / total
        product *= max(rate, 1e-10)
    return product ** (1 / 9)


@pytest.mark.parametrize("seed", range(3))
def test_citypersons_against_the_definition(tmp_path: Path, seed: int) -> None:
    images, people, found = crowded(seed)
    one = case(tmp_path, "citypersons", images, people, found)
    limits = {
        "reasonable": (50, 1e10, 0.65, 1e10),
        "small": (50, 75, 0.65, 1e10),
        "heavy": (50, 1e10, 0.2, 0.65),
        "all": (20, 1e10, 0.2, 1e10),
    }
    for name, limit in limits.items():
        expected = miss_rate_by_definition(images, people, found, limit, aspect=False)
        measured = log_average_miss_rate(one.matches(one.protocol.subsets[name]))
        assert measured == pytest.approx(expected, abs=1e-9)
        assert 0.05 < measured < 0.99  # not a figure at its end


def test_caltech_against_the_definition(tmp_path: Path) -> None:
    images, people, found = crowded(7)
    one = case(tmp_path, "caltech", images, people, found)
    # Heights are whole px: below 80 is at most 79. The detections' limit stays 1.25 · 80.
    limits = {"reasonable": (50, 1e10, 0.65, 1e10), "all": (20, 1e10, 0.2, 1e10)}
    for name, limit in limits.items():
        expected = miss_rate_by_definition(images, people, found, limit, aspect=True)
        measured = log_average_miss_rate(one.matches(one.protocol.subsets[name]))
        assert measured == pytest.approx(expected, abs=1e-9)
        assert 0.05 < measured < 0.99
