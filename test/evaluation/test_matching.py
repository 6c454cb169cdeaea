from __future__ import annotations

import numpy as np
import pytest

from tasksr_ros.evaluation.matching import (
    FALSE_POSITIVE,
    IGNORED,
    NOBODY,
    TRUE_POSITIVE,
    Rule,
    match,
    overlaps,
)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 4)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_overlaps_are_of_one_image_and_of_some_area() -> None:
    detections = boxes((0, 0, 10, 20), (10, 0, 10, 20), (0, 0, 10, 20))
    truth = boxes((0, 10, 10, 20), (5, 0, 10, 40))
    pairs = overlaps(detections, ints(0, 0, 1), truth, ints(0, 2))
    assert pairs.detection.tolist() == [0]  # the second only touches; the third is elsewhere
    assert pairs.ground_truth.tolist() == [0]
    assert pairs.iou.tolist() == [100 / 300]
    assert pairs.covered.tolist() == [0.5]
    assert pairs.centred.tolist() == [True]  # the centre (5, 10) lies on the edge


def test_overlaps_of_many_images_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    detections = rng.uniform(0, 60, (300, 4))
    truth = rng.uniform(0, 60, (200, 4))
    image, truth_image = np.sort(rng.integers(0, 40, 300)), np.sort(rng.integers(0, 40, 200))
    pairs = overlaps(detections, image, truth, truth_image)
    found = {
        (d, g): (iou, covered)
        for d, g, iou, covered in zip(
            pairs.detection.tolist(),
            pairs.ground_truth.tolist(),
            pairs.iou.tolist(),
            pairs.covered.tolist(),
            strict=True,
        )
    }
    expected = {}
    for d, (x, y, w, h) in enumerate(detections.tolist()):
        for g, (u, v, s, t) in enumerate(truth.tolist()):
            width, height = min(x + w, u + s) - max(x, u), min(y + h, v + t) - max(y, v)
            if image[d] == truth_image[g] and width > 0 and height > 0:
                shared = width * height
                expected[d, g] = (shared / (w * h + s * t - shared), shared / (w * h))
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key]) for key in expected)


def outcome(
    detections: np.ndarray, score: list[float], truth: np.ndarray, rule: Rule, **options: object
) -> tuple[list[int], list[int]]:
    """Match within one image; nothing is ignored unless said so."""
    ignore = options.pop("ignore", np.zeros(len(truth), bool))
    image, truth_image = np.zeros(len(detections), np.int64), np.zeros(len(truth), np.int64)
    pairs = overlaps(detections, image, truth, truth_image)
    found, person = match(pairs, np.array(score), image, ignore, rule, **options)
    return found.tolist(), person.tolist()


def test_the_later_of_equal_overlaps_is_taken() -> None:
    twins = boxes((0, 0, 10, 20), (0, 0, 10, 20))
    assert outcome(boxes((0, 0, 10, 20)), [0.9], twins, Rule()) == ([TRUE_POSITIVE], [1])


def test_the_second_detection_takes_what_the_first_left() -> None:
    truth = boxes((0, 0, 10, 20), (2, 0, 10, 20))
    detections = boxes((1, 0, 10, 20), (1, 0, 10, 20), (1, 0, 10, 20))
    found, person = outcome(detections, [0.5, 0.9, 0.7], truth, Rule())
    assert found == [FALSE_POSITIVE, TRUE_POSITIVE, TRUE_POSITIVE]
    assert person == [NOBODY, 1, 0]


def test_greedy_is_not_optimal() -> None:
    # The stronger detection overlaps both people and takes the better one, the only one that the
    # weaker could have had.
    truth = boxes((0, 0, 10, 20), (4, 0, 10, 20))
    detections = boxes((3, 0, 10, 20), (6, 0, 10, 20))
    found, person = outcome(detections, [0.9, 0.8], truth, Rule(0.5))
    assert (found, person) == ([TRUE_POSITIVE, FALSE_POSITIVE], [1, NOBODY])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(0.5), TRUE_POSITIVE),
        (Rule(0.5, strict=True), FALSE_POSITIVE),
        (Rule(0.51), FALSE_POSITIVE),
    ],
)
def test_an_iou_of_exactly_the_limit(rule: Rule, expected: int) -> None:
    assert outcome(boxes((0, 0, 10, 10)), [1.0], boxes((0, 0, 10, 20)), rule)[0] == [expected]


def test_centre_in_box() -> None:
    person = boxes((0, 0, 10, 20))
    inside, outside = boxes((4, 4, 2, 2)), boxes((6, 0, 10, 20))  # centres (5, 5) and (11, 10)
    assert outcome(inside, [1.0], person, Rule(0.5))[0] == [FALSE_POSITIVE]
    assert outcome(inside, [1.0], person, Rule(None))[0] == [TRUE_POSITIVE]
    assert outcome(outside, [1.0], person, Rule(None))[0] == [FALSE_POSITIVE]


def test_ignored_boxes_by_share_or_by_iou() -> None:
    crowd, ignore = boxes((0, 0, 100, 100)), np.array([True])
    inside = boxes((10, 10, 10, 20))
    assert outcome(inside, [1.0], crowd, Rule(), ignore=ignore)[0] == [IGNORED]
    by_iou = np.array([True])
    assert outcome(inside, [1.0], crowd, Rule(), ignore=ignore, by_iou=by_iou)[0] == [
        FALSE_POSITIVE
    ]


def test_detections_that_take_no_part_find_nobody() -> None:
    person = boxes((0, 0, 10, 20))
    keep = np.array([False, True])
    both = boxes((0, 0, 10, 20), (1, 0, 10, 20))
    assert outcome(both, [0.9, 0.1], person, Rule(), keep=keep) == (
        [IGNORED, TRUE_POSITIVE],
        [NOBODY, 0],
    )


def test_a_box_without_area_is_a_false_positive() -> None:
    assert outcome(boxes((5, 5, 0, 10)), [0.9], boxes((0, 0, 10, 20)), Rule())[0] == [
        FALSE_POSITIVE
    ]


def test_nothing_at_all() -> None:
    assert outcome(boxes(), [], boxes((0, 0, 1, 1)), Rule()) == ([], [])
    assert outcome(boxes((0, 0, 1, 1)), [0.5], boxes(), Rule()) == ([FALSE_POSITIVE], [NOBODY])
