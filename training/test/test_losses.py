from __future__ import annotations

import math

import pytest
import torch
from tasksr_training.boxes import giou
from tasksr_training.datasets import IGNORE, NO_BOX, PEDESTRIAN
from tasksr_training.losses import (
    DetectionLossConfig,
    LevelTargets,
    detection_loss,
    distribution_sum,
    focal_sum,
    level_targets,
    task_aligned_targets,
)

from tasksr_ros.networks.detectors.levels import LevelOutput

CONFIG = DetectionLossConfig()


def level(stride: int, side: int = 64, logit: float = 0.0) -> LevelOutput:
    cells = side // stride
    return LevelOutput(
        stride, torch.full((1, 1, cells, cells), logit), torch.full((1, 4, cells, cells), 8.0)
    )


def targets_of(
    stride: int, index: int, box: tuple[float, ...], kind: int, side: int = 64
) -> LevelTargets:
    return level_targets(
        level(stride, side), index, torch.tensor([[box]]), torch.tensor([[kind]]), CONFIG
    )


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),  # the hull is the union
        ((0, 0, 1, 1), (2, 0, 3, 1), -1 / 3),  # apart: 0 - (3 - 2) / 3
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7 - 2 / 9),
    ],
)
def test_giou(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    result = giou(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    assert float(result) == pytest.approx(expected)


def test_focal_sum_by_hand() -> None:
    targets = LevelTargets(
        torch.tensor([[[1.0, 0.5, 0.0, 0.0]]]),
        torch.tensor([[[True, True, True, False]]]),
        torch.zeros(1, 1, 4, 4),
        torch.zeros(1, 1, 4),
    )
    # p = 1/2 everywhere; the last cell does not count
    expected = (0.25 + 0.5**4 * 0.25 + 0.25) * math.log(2)
    assert float(focal_sum(torch.zeros(1, 1, 4), targets)) == pytest.approx(expected)


def test_the_centre_cell_is_one_and_the_gaussian_follows_the_box() -> None:
    # 12 x 40 px around (30, 34): cell (8, 7) of stride 4; spread .5 cells across, 1.4 along
    score = targets_of(4, 0, (24.0, 14.0, 36.0, 54.0), PEDESTRIAN).score[0]
    assert float(score[8, 7]) == 1
    assert int((score == 1).sum()) == 1
    assert float(score[8, 8]) == pytest.approx(math.exp(-2), abs=1e-6)
    assert float(score[9, 7]) == pytest.approx(math.exp(-0.5 / 1.4**2), abs=1e-6)


@pytest.mark.parametrize(
    ("height", "levels"),
    [(30, [0]), (60, [0, 1]), (75, [0, 1]), (100, [1]), (110, [1, 2]), (200, [2])],
)
def test_levels_by_height(height: float, levels: list[int]) -> None:
    box = (100.0, 10.0, 140.0, 10.0 + height)
    found = [
        index
        for index, stride in enumerate((4, 8, 16))
        if targets_of(stride, index, box, PEDESTRIAN, side=256).score.max() == 1
    ]
    assert found == levels


def test_ignored_boxes_teach_nothing_and_rows_without_box_are_background() -> None:
    ignored = targets_of(4, 0, (16.0, 16.0, 32.0, 48.0), IGNORE)
    assert float(ignored.score.max()) == 0
    assert int((~ignored.counted).sum()) == 4 * 8
    assert not ignored.counted[0, 4:12, 4:8].any()
    empty = targets_of(4, 0, (0.0, 0.0, 0.0, 0.0), NO_BOX)
    assert float(empty.score.max()) == 0
    assert empty.counted.all()


def test_an_ignored_box_does_not_hide_a_pedestrian() -> None:
    box = [24.0, 14.0, 36.0, 54.0]
    both = torch.tensor([[box, [0.0, 0.0, 64.0, 64.0]]])
    targets = level_targets(level(4), 0, both, torch.tensor([[PEDESTRIAN, IGNORE]]), CONFIG)
    assert bool(targets.counted[0, 8, 7])
    assert targets.boxes[0, 8, 7].tolist() == box


def test_no_gradient_from_ignored_boxes() -> None:
    output = level(4)
    logits = output.logits.clone().requires_grad_()
    boxes = torch.tensor([[[16.0, 16.0, 32.0, 48.0]]])
    losses = detection_loss(
        [LevelOutput(4, logits, output.distances)], boxes, torch.tensor([[IGNORE]]), CONFIG
    )
    losses["detection"].backward()
    assert logits.grad is not None
    assert (logits.grad[0, 0, 4:12, 4:8] == 0).all()
    assert (logits.grad[0, 0, :4] > 0).all()


def test_a_perfect_prediction_costs_nothing_and_a_worse_one_more() -> None:
    box, cells = (20.0, 8.0, 40.0, 56.0), torch.arange(16) * 4.0 + 2
    boxes, kind = torch.tensor([[box]]), torch.tensor([[PEDESTRIAN]])
    score = targets_of(4, 0, box, PEDESTRIAN).score[:, None]
    x, y = cells.view(1, -1).expand(16, 16), cells.view(-1, 1).expand(16, 16)
    distances = torch.stack((x - box[0], y - box[1], box[2] - x, box[3] - y))[None]
    sharp = torch.where(score == 1, 20.0, -20.0)
    perfect = detection_loss([LevelOutput(4, sharp, distances)], boxes, kind, CONFIG)
    assert float(perfect["detection"]) == pytest.approx(0, abs=1e-5)
    moved = detection_loss([LevelOutput(4, sharp, distances + 3)], boxes, kind, CONFIG)
    assert float(moved["box"]) > 0.05
    missed = detection_loss([LevelOutput(4, -sharp, distances)], boxes, kind, CONFIG)
    assert float(missed["score"]) > 10
    assert float(missed["detection"]) == pytest.approx(float(missed["score"] + 2 * missed["box"]))


def test_distribution_focal_loss_by_hand() -> None:
    """Sides of 1.25, 0.5, 0.75 and 9 strides of a cell: the last counts as 7, of bins 0 to 7."""
    logits = torch.zeros(1, 4, 8, 1, 1)
    logits[0, 0, 1, 0, 0] = math.log(2.0)  # left: p(1) = 2/9, p(2) = 1/9
    level = LevelOutput(8, torch.zeros(1, 1, 1, 1), torch.ones(1, 4, 1, 1), logits)
    box = torch.tensor([[[[4 - 10.0, 4 - 4.0, 4 + 6.0, 4 + 72.0]]]])
    targets = LevelTargets(
        torch.ones(1, 1, 1), torch.ones(1, 1, 1).bool(), box, torch.full((1, 1, 1), 0.5)
    )
    left = 0.75 * math.log(9 / 2) + 0.25 * math.log(9)
    expected = 0.5 * (left + 3 * math.log(8)) / 4
    assert float(distribution_sum(level, targets)) == pytest.approx(expected, rel=1e-5)


def test_distributions_take_part_in_the_loss_where_there_are_some() -> None:
    logits = torch.zeros(1, 4, 8, 8, 8, requires_grad=True)
    distances = (logits.softmax(2) * torch.arange(8.0).view(1, 1, 8, 1, 1)).sum(2) * 8
    level = LevelOutput(8, torch.zeros(1, 1, 8, 8), distances, logits)
    config = DetectionLossConfig(assignment="task-aligned")
    boxes = torch.tensor([[[10.0, 10, 40, 60]]])
    losses = detection_loss([level], boxes, torch.full((1, 1), PEDESTRIAN), config)
    expected = losses["score"] + 2 * losses["box"] + 0.25 * losses["distribution"]
    assert float(losses["detection"]) == pytest.approx(float(expected))
    assert float(losses["distribution"]) == pytest.approx(math.log(8), rel=1e-5)


def test_no_background_is_learnt_where_a_lower_box_is_predicted_than_is_labelled() -> None:
    level = LevelOutput(8, torch.zeros(2, 1, 1, 2), torch.full((2, 4, 1, 2), 8.0))
    level.distances[:, :, 0, 1] = 16.0  # boxes of 16 and 32 px
    config = DetectionLossConfig(assignment="task-aligned")
    boxes, kind = torch.zeros(2, 1, 4), torch.full((2, 1), NO_BOX)
    (targets,) = task_aligned_targets([level], boxes, kind, config, torch.tensor([25.0, 0.0]))
    assert targets.counted.tolist() == [[[False, True]], [[True, True]]]
