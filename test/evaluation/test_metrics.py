from __future__ import annotations

import math

import numpy as np
import pytest

from tasksr_ros.evaluation.metrics import (
    FALSE_POSITIVE,
    IGNORED,
    TRUE_POSITIVE,
    Matches,
    average_precision,
    log_average_miss_rate,
    match_image,
    match_images,
    miss_rate_at,
    miss_rate_curve,
    recall,
    score_at_fppi,
)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 4)


def test_the_stronger_detection_takes_the_pedestrian() -> None:
    detections = boxes((0, 0, 10, 20), (1, 0, 11, 20))
    outcome, found_at = match_image(
        detections, np.array([0.5, 0.9]), boxes((0, 0, 10, 20)), np.array([False]), 0.5
    )
    assert outcome.tolist() == [FALSE_POSITIVE, TRUE_POSITIVE]
    assert found_at.tolist() == [0.9]


def test_iou_exactly_at_the_threshold_matches() -> None:
    half = boxes((0, 0, 10, 10))  # of a box twice as high: IoU = 100 / 200
    truth, counts = boxes((0, 0, 10, 20)), np.array([False])
    assert match_image(half, np.array([0.9]), truth, counts, 0.5)[0].tolist() == [TRUE_POSITIVE]
    assert match_image(half, np.array([0.9]), truth, counts, 0.51)[0].tolist() == [FALSE_POSITIVE]


def test_a_counting_box_is_preferred_to_an_ignored_one() -> None:
    truth = boxes((0, 0, 10, 20), (0, 0, 10, 20))
    outcome, found_at = match_image(
        boxes((0, 0, 10, 20)), np.array([0.9]), truth, np.array([True, False]), 0.5
    )
    assert outcome.tolist() == [TRUE_POSITIVE]
    assert found_at.tolist() == [-math.inf, 0.9]


def test_ignored_boxes_take_any_number_by_share_of_the_detection() -> None:
    crowd = boxes((0, 0, 100, 100))
    inside = boxes((0, 0, 10, 20), (50, 50, 60, 70), (95, 0, 115, 20))  # the last 25 % inside
    outcome, _ = match_image(inside, np.array([0.9, 0.8, 0.7]), crowd, np.array([True]), 0.5)
    assert outcome.tolist() == [IGNORED, IGNORED, FALSE_POSITIVE]


def two_images() -> Matches:
    """Falling scores: TP .9, FP .8, TP .7, FP .6; three pedestrians of 20, 20 and 40 px."""
    return match_images(
        [
            (boxes((0, 0, 10, 20), (50, 0, 60, 20)), np.array([0.9, 0.8])),
            (boxes((0, 0, 10, 40), (80, 0, 90, 20)), np.array([0.7, 0.6])),
        ],
        [
            (boxes((0, 0, 10, 20), (200, 0, 210, 20)), np.array([False, False])),
            (boxes((0, 0, 10, 40)), np.array([False])),
        ],
        0.5,
    )


def test_match_images_sorts_by_score_over_all_images() -> None:
    matches = two_images()
    assert matches.score.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert matches.outcome.tolist() == [1, 0, 1, 0]
    assert matches.found_at.tolist() == [0.9, -math.inf, 0.7]
    assert matches.height.tolist() == [20, 20, 40]


def test_average_precision_by_hand() -> None:
    # recall 1/3 at precision 1, recall 2/3 at precision 2/3
    assert average_precision(two_images()) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)


def test_average_precision_without_detections_or_pedestrians() -> None:
    none = (boxes(), np.zeros(0))
    found = (boxes((0, 0, 1, 1)), np.array([0.5]))
    person = (boxes((5, 5, 9, 9)), np.array([False]))
    nobody = (boxes(), np.zeros(0, bool))
    assert average_precision(match_images([none], [person], 0.5)) == 0
    assert math.isnan(average_precision(match_images([found], [nobody], 0.5)))


@pytest.mark.parametrize(("fppi", "kept"), [(0.0, [0.9]), (0.5, [0.9, 0.8, 0.7]), (1.0, 4)])
def test_score_at_fppi(fppi: float, kept: list[float] | int) -> None:
    matches = two_images()  # two false positives in two images
    threshold = score_at_fppi(matches, fppi)
    scores = matches.score[matches.score >= threshold].tolist()
    assert (len(scores) if isinstance(kept, int) else scores) == kept


def test_recall_by_height() -> None:
    matches = two_images()
    assert recall(matches, 0.75) == (pytest.approx(1 / 3), 3)
    assert recall(matches, 0.0, 20, 40) == (0.5, 2)
    assert recall(matches, 0.0, 40, 80) == (1.0, 1)
    assert recall(matches, -math.inf)[0] == pytest.approx(2 / 3)
    share, number = recall(matches, 0.0, 100, 200)
    assert (math.isnan(share), number) == (True, 0)


def images_with(*detections: list[tuple[float, bool]], people: int = 1) -> Matches:
    """Images of ``people`` each; detections are (score, whether it finds a person)."""
    found, truth = [], []
    for image in detections:
        free = iter(range(people))
        rows = [(100.0 * next(free) if hit else -500.0, score) for score, hit in image]
        found.append(
            (boxes(*((x, 0, x + 10, 20) for x, _ in rows)), np.array([s for _, s in rows]))
        )
        truth.append(
            (
                boxes(*((100.0 * k, 0, 100.0 * k + 10, 20) for k in range(people))),
                np.zeros(people, bool),
            )
        )
    return match_images(found, truth, 0.5)


def test_miss_rate_curve_by_hand() -> None:
    fppi, miss_rate, score = miss_rate_curve(two_images())  # TP FP TP FP; 3 people, 2 images
    assert fppi.tolist() == [0, 0.5, 0.5, 1]
    assert miss_rate == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert score.tolist() == [0.9, 0.8, 0.7, 0.6]
    points = np.array([0.0, 0.49, 0.5, 1.0, 5.0])
    assert miss_rate_at(fppi, miss_rate, points) == pytest.approx(
        [2 / 3, 2 / 3, 1 / 3, 1 / 3, 1 / 3]
    )


def test_log_average_miss_rate_by_hand() -> None:
    # Points up to 10^-0.5 = .32 lie before the first false positive (FPPI .5): 7 points of 2/3;
    # 10^-0.25 = .56 and 1 lie behind it: 2 points of 1/3.
    expected = math.exp((7 * math.log(2 / 3) + 2 * math.log(1 / 3)) / 9)
    assert log_average_miss_rate(two_images()) == pytest.approx(expected, abs=1e-12)


def test_a_leading_false_positive_misses_everybody_below_its_fppi() -> None:
    # 50 images, the strongest detection is false: FPPI 1/50 = .02 is above 10^-2 and 10^-1.75,
    # where the curve has no point: miss rate 1. After it 40 of 50 are found.
    images = [[(0.99, False), (0.9, True)]] + [[(0.8, True)]] * 39 + [[]] * 10
    expected = math.exp((2 * math.log(1) + 7 * math.log(10 / 50)) / 9)
    assert log_average_miss_rate(images_with(*images)) == pytest.approx(expected, abs=1e-12)


def test_a_curve_that_ends_early_is_continued() -> None:
    images = [[(0.9, True)]] * 3 + [[]]
    assert log_average_miss_rate(images_with(*images)) == pytest.approx(1 / 4, abs=1e-12)


def test_log_average_miss_rate_at_its_ends() -> None:
    assert log_average_miss_rate(images_with([(0.9, True)])) == pytest.approx(1e-10)
    assert log_average_miss_rate(images_with([], [])) == 1
    assert log_average_miss_rate(images_with([(0.9, False)])) == 1
    assert math.isnan(log_average_miss_rate(images_with([(0.9, False)], people=0)))


def test_an_fppi_of_exactly_a_point_counts() -> None:
    # One false positive in 10 images: FPPI .1 = 10^-1, which the point 10^-1 includes.
    images = [[(0.9, False), (0.8, True)]] + [[]] * 9
    expected = math.exp((4 * math.log(1) + 5 * math.log(9 / 10)) / 9)
    assert log_average_miss_rate(images_with(*images)) == pytest.approx(expected, abs=1e-12)


def test_equal_scores_keep_the_order_of_images() -> None:
    hit_first = images_with([(0.5, True)], [(0.5, False)])
    miss_first = images_with([(0.5, False)], [(0.5, True)])
    # FPPI .5: 7 points below, 2 from there on; one of two people found.
    assert log_average_miss_rate(hit_first) == pytest.approx(0.5)
    assert log_average_miss_rate(miss_first) == pytest.approx(math.exp(2 * math.log(0.5) / 9))


def test_match_images_wants_as_many_images_of_both() -> None:
    with pytest.raises(ValueError, match="1 images of detections, 0 of truth"):
        match_images([(boxes(), np.zeros(0))], [], 0.5)
