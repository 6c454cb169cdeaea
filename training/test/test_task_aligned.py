from __future__ import annotations

import math

import pytest
import torch
from tasksr_training.datasets import IGNORE, NO_BOX, PEDESTRIAN
from tasksr_training.losses import (
    DetectionLossConfig,
    LevelTargets,
    detection_loss,
    quality_focal_sum,
    task_aligned_targets,
)
from tasksr_training.task_aligned import assign
from torch import Tensor

from tasksr_ros.networks.detectors.levels import LevelOutput, cell_centres

CONFIG = DetectionLossConfig(assignment="task-aligned", cells_per_box=3)
BOX = (16.0, 8.0, 32.0, 56.0)


def level(box: tuple[float, ...] = BOX, stride: int = 4, side: int = 64) -> LevelOutput:
    """One whose every cell predicts the same box, with a score of 1/2."""
    cells = side // stride
    logits = torch.zeros(1, 1, cells, cells)
    x, y = cell_centres(LevelOutput(stride, logits, logits))
    distances = torch.stack((x - box[0], y - box[1], box[2] - x, box[3] - y))
    return LevelOutput(stride, logits, distances.view(1, 4, cells, cells))


def score_of(output: LevelOutput, *boxes: tuple[float, ...], cells: int = 3) -> Tensor:
    chosen = torch.ones(1, len(boxes), dtype=torch.bool)
    return assign([output], torch.tensor([boxes]), chosen, cells).score.view(16, 16)


def test_the_cells_that_agree_best_learn_the_box_by_the_iou_of_the_best() -> None:
    output = level((16.0, 8.0, 32.0, 44.0))  # IoU 3/4 everywhere
    output.logits[0, 0, 6, 5] = 3.0
    output.logits[0, 0, 7, 5] = 2.0
    output.logits[0, 0, 8, 5] = 1.0
    output.logits[0, 0, 0, 0] = 5.0  # outside the box
    score = score_of(output, BOX)
    assert int((score > 0).sum()) == 3
    best = 1 / (1 + math.exp(-3))
    for row, logit in ((6, 3), (7, 2), (8, 1)):
        expected = 0.75 / (1 + math.exp(-logit)) / best
        assert float(score[row, 5]) == pytest.approx(expected)


def test_a_better_box_counts_more_than_a_better_score() -> None:
    output = level()
    output.distances[0, :, 6, 5] += 4  # IoU 768 / (24 · 56)
    output.logits[0, 0, 6, 5] = 2.0
    assert float(score_of(output, BOX, cells=1)[6, 5]) == 0


def test_a_cell_that_two_boxes_want_learns_the_one_it_covers_better() -> None:
    output, other = level(), (18.0, 8.0, 34.0, 56.0)
    boxes = torch.tensor([[other, BOX]])
    assigned = assign([output], boxes, torch.ones(1, 2, dtype=torch.bool), 500)
    learnt = assigned.score.view(16, 16) > 0
    owner = assigned.owner.view(16, 16)
    assert (owner[2:14, 4:8] == 1).all() and learnt[2:14, 4:8].all()
    assert (owner[2:14, 8] == 0).all() and learnt[2:14, 8].all()  # centres at 34: in other alone
    assert not learnt[:2].any() and not learnt[:, 9:].any()


@pytest.mark.parametrize("stride", [4, 8])
def test_a_person_smaller_than_a_cell_is_learnt_all_the_same(stride: int) -> None:
    box = (23.0, 22.0, 25.0, 26.0)  # between the centres at 22 and 26, 20 and 28
    both = [level(box), level(box, stride=8)]
    assigned = assign(both, torch.tensor([[box]]), torch.tensor([[True]]), 500)
    fine, coarse = assigned.score.split([256, 64], 1)
    assert float((fine if stride == 4 else coarse).max()) == pytest.approx(1.0)


def test_cells_of_all_levels_are_compared() -> None:
    fine, coarse = level((16.0, 8.0, 32.0, 44.0)), level(stride=8)
    targets = task_aligned_targets(
        [fine, coarse], torch.tensor([[BOX]]), torch.tensor([[PEDESTRIAN]]), CONFIG
    )
    assert float(targets[0].score.max()) == 0
    assert float(targets[1].score.max()) == pytest.approx(1.0)
    chosen = targets[1].score > 0
    assert targets[1].boxes[chosen].tolist() == [list(BOX)] * int(chosen.sum())
    assert torch.equal(targets[1].weight, targets[1].score)


def test_quality_focal_sum_by_hand() -> None:
    score = torch.tensor([[[1.0, 0.5, 0.0, 0.0]]])
    counted = torch.tensor([[[True, True, True, False]]])
    targets = LevelTargets(score, counted, torch.zeros(1, 1, 4, 4), score)
    expected = (0.25 + 0.0 + 0.25) * math.log(2)  # p = 1/2 everywhere; the last does not count
    assert float(quality_focal_sum(torch.zeros(1, 1, 4), targets)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [IGNORE, NO_BOX])
def test_ignored_boxes_teach_nothing_and_rows_without_box_are_background(kind: int) -> None:
    output = level()
    logits = output.logits.clone().requires_grad_()
    losses = detection_loss(
        [LevelOutput(4, logits, output.distances)],
        torch.tensor([[BOX]]),
        torch.tensor([[kind]]),
        CONFIG,
    )
    losses["detection"].backward()
    assert logits.grad is not None
    inside = logits.grad[0, 0, 2:14, 4:8]
    assert (inside == 0).all() if kind == IGNORE else (inside > 0).all()
    assert (logits.grad[0, 0, :2] > 0).all()


def test_training_finds_the_box() -> None:
    torch.manual_seed(1)
    logits = torch.full((1, 1, 16, 16), -4.0, requires_grad=True)
    logs = torch.full((1, 4, 16, 16), math.log(12.0), requires_grad=True)
    optimizer = torch.optim.Adam([logits, logs], lr=0.1)
    boxes, kind = torch.tensor([[BOX]]), torch.tensor([[PEDESTRIAN]])
    for _ in range(200):
        loss = detection_loss([LevelOutput(4, logits, logs.exp())], boxes, kind, CONFIG)
        optimizer.zero_grad()
        loss["detection"].backward()
        optimizer.step()
    score = logits.detach().sigmoid()[0, 0]
    row, column = divmod(int(score.argmax()), 16)
    assert float(score.max()) > 0.8 and float(score[:2].max()) < 0.1
    left, top, right, bottom = logs.detach().exp()[0, :, row, column].tolist()
    x, y = 4 * column + 2, 4 * row + 2
    assert [x - left, y - top, x + right, y + bottom] == pytest.approx(BOX, abs=1.0)
