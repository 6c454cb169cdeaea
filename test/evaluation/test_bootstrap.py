"""Resampled figures against those of image sets that really hold the images several times."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasksr_ros.evaluation.bootstrap import interval, sample, units
from tasksr_ros.evaluation.metrics import (
    Matches,
    log_average_miss_rate,
    match_images,
    recall,
    score_at_fppi,
)
from tasksr_ros.evaluation.samplers import MissRateSampler, OperatingSampler, ReachSampler

Images = list[tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]


def image_set(seed: int, number: int = 30) -> Images:
    """Images of 0 to 3 people at x = 0, 100, 200, each found or not, and false positives."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(number):
        people = [[100.0 * k, 0, 100.0 * k + 20, 60 - 10 * k] for k in range(rng.integers(0, 4))]
        hits = [p for p in people if rng.random() < 0.6]
        wrong = [[500.0 + 50 * k, 0, 520 + 50 * k, 40] for k in range(rng.integers(0, 3))]
        score = np.concatenate([rng.beta(3, 2, len(hits)), rng.beta(1, 3, len(wrong))])
        found = np.array(hits + wrong, float).reshape(-1, 4)
        truth = np.array(people, float).reshape(-1, 4)
        images.append(((found, score), (truth, np.zeros(len(people), bool))))
    return images


def matched(images: Images) -> Matches:
    return match_images([d for d, _ in images], [t for _, t in images], 0.5)


def repeated(images: Images, draws: np.ndarray) -> Images:
    return [image for image, times in zip(images, draws, strict=True) for _ in range(times)]


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_s_miss_rate_is_that_of_the_repeated_images(seed: int) -> None:
    images = image_set(seed)
    draws = np.random.default_rng(seed).integers(0, 4, len(images)).astype(np.int32)
    expected = log_average_miss_rate(matched(repeated(images, draws)))
    assert MissRateSampler(matched(images))(draws) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_s_recall_is_that_of_the_repeated_images(seed: int) -> None:
    images, fppi = image_set(seed), 0.3
    draws = np.random.default_rng(seed).integers(0, 4, len(images)).astype(np.int32)
    matches, again = matched(images), matched(repeated(images, draws))
    distance = np.full(len(matches.height), np.nan)
    tall = (matches.height >= 60).astype(np.int64)  # two bins: below 60 px, and the others
    sampler = OperatingSampler(matches, fppi, 0.5, distance, [(tall, 2)])
    share, false, _, _, bins = sampler(draws)
    threshold = score_at_fppi(again, fppi)
    assert share == pytest.approx(recall(again, threshold)[0])
    assert bins[0] == pytest.approx(
        [recall(again, threshold, 0, 60)[0], recall(again, threshold, 60)[0]]
    )
    assert false <= fppi * len(again.height)


def isotonic(value: np.ndarray, found: np.ndarray) -> list[float]:
    """Non-increasing least-squares fit by pooling of neighbours, per person by rising value."""
    blocks: list[list[float]] = []  # sum, number
    for hit in found[np.argsort(value)].astype(float).tolist():
        blocks.append([hit, 1])
        while len(blocks) > 1 and blocks[-1][0] * blocks[-2][1] >= blocks[-2][0] * blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + number]
    return [total / number for total, number in blocks for _ in range(int(number))]


@pytest.mark.parametrize("seed", range(20))
def test_reach_is_where_the_isotonic_fit_falls_below_the_recall(seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = rng.permutation(60) + 1.0
    found = rng.random(60) < 1.1 - value / 60
    wanted = (0.3, 0.5, 0.8)[seed % 3]
    fitted = isotonic(value, found)
    expected = max(
        (v for v, f in zip(np.sort(value), fitted, strict=True) if f >= wanted - 1e-12),
        default=math.nan,
    )
    image = np.zeros(60, np.int64)
    reach = ReachSampler(value, image, wanted)(found, np.ones(1, np.int32))
    assert reach.value == pytest.approx(expected, nan_ok=True)


def reach(value: list[float], found: list[int], wanted: float = 0.5) -> tuple[float, bool]:
    image = np.arange(len(value))
    result = ReachSampler(np.array(value), image, wanted)(
        np.array(found, bool), np.ones(len(value), np.int32)
    )
    return result.value, result.is_limit


def test_reach_by_hand() -> None:
    assert reach([10, 20, 30, 40], [1, 1, 0, 0]) == (20, False)
    assert reach([10, 20, 30, 40], [1, 1, 1, 1]) == (40, True)
    assert reach([40, 10, 30, 20], [1, 1, 0, 1]) == (40, True)  # the last stretch 30-40: half
    assert reach([10, 20, 30, 40, 50], [1, 1, 0, 0, 1]) == (20, False)  # 30-50: a third
    assert reach([10, 20, 30, 40, 50], [1, 1, 0, 0, 1], 0.3) == (50, True)
    assert reach([10, 20, 20, 20], [1, 1, 0, 0]) == (10, False)  # at 20 m a third
    assert reach([10, 20, 30, 40, 50], [1, 1, 1, 1, 0], 0.8) == (40, False)  # at 50 m nobody
    assert reach([10, 20, 30, 40, 50], [0, 1, 1, 1, 1], 0.8) == (50, True)  # exactly .8
    value, is_limit = reach([10, 20], [0, 0])
    assert math.isnan(value)
    assert not is_limit
    assert math.isnan(reach([math.nan], [1])[0])


def test_who_was_not_drawn_does_not_extend_the_reach() -> None:
    sampler = ReachSampler(np.array([10.0, 20, 30]), np.arange(3), 0.5)
    assert sampler(np.array([True, True, True]), np.array([1, 1, 0], np.int32)).value == 20


def test_interval_of_a_mean_is_the_textbook_s() -> None:
    # The mean of n values has a standard error of s / sqrt(n); 95 % are ± 1.96 of these.
    values = np.random.default_rng(1).normal(10, 2, 400)
    drawn = sample(
        lambda draws: np.array([(values * draws).sum() / draws.sum()]), np.arange(400), 2000, 0
    )
    error = 1.96 * values.std() / 20
    low, high = interval(drawn[:, 0], 0.95)
    assert [low, high] == pytest.approx([values.mean() - error, values.mean() + error], abs=0.02)


def test_sequences_are_drawn_whole() -> None:
    unit = units(["a", "a", "b", None, None])
    assert unit.tolist() == [0, 0, 1, 2, 3]
    drawn = sample(lambda draws: draws.astype(float), unit, 50, 0)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 1] != drawn[:, 2]).any()
    assert (drawn[:, [0, 2, 3, 4]].sum(1) == 4).all()  # four units, drawn four times


def test_the_same_seed_draws_the_same_sets() -> None:
    def first(draws: np.ndarray) -> np.ndarray:
        return draws.astype(float)

    unit = np.arange(20)
    assert (sample(first, unit, 5, 3) == sample(first, unit, 5, 3)).all()
    assert (sample(first, unit, 5, 3) != sample(first, unit, 5, 4)).any()


def test_interval_of_figures_that_are_not_always_defined() -> None:
    assert interval(np.array([1.0, 2, 3, np.nan]), 0.5) is not None
    assert interval(np.array([1.0, np.nan, np.nan]), 0.5) is None
    assert interval(np.array([1.0, 2, 3, math.inf]), 0.99) is None
    assert interval(np.full(3, np.nan), 0.5) is None
