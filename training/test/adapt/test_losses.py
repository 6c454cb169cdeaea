from __future__ import annotations

import pytest
import torch
from tasksr_training.adapt.frozen import Seen
from tasksr_training.adapt.losses import agreement, focal_distance, partners
from torch import Tensor

BOXES = torch.tensor([[[0.0, 0, 10, 20], [30, 0, 40, 20]]])


def seen(scores: list[float], bins: Tensor | None = None, boxes: Tensor = BOXES) -> Seen:
    return Seen(boxes, torch.tensor([scores], dtype=torch.float32), bins)


def test_the_distance_of_scores_is_weighted_by_their_difference() -> None:
    found = focal_distance(torch.tensor([0.5, 0.9]), torch.tensor([1.0, 0.9]), 2.0)
    assert found.tolist() == pytest.approx([0.25 * 0.693147, 0.0], abs=1e-5)


def test_nothing_is_left_where_both_agree() -> None:
    bins = torch.randn(1, 2, 4, 8)
    losses = agreement(seen([0.8, 0.1], bins), seen([0.8, 0.1], bins), 0.2)
    assert {k: round(float(v), 6) for k, v in losses.items()} == {"scores": 0.0, "boxes": 0.0}


def test_boxes_count_where_the_wanted_score_is_high() -> None:
    moved = BOXES + torch.tensor([[[0.0, 0, 0, 0], [5, 0, 5, 0]]])
    losses = agreement(seen([0.8, 0.1], boxes=moved), seen([0.8, 0.1]), 0.2)
    assert float(losses["boxes"]) == pytest.approx(0)
    losses = agreement(seen([0.8, 0.5], boxes=moved), seen([0.8, 0.5]), 0.2)
    # IoU of boxes 10 wide and 5 apart: 1/3, and what lies around them is full: GIoU is IoU.
    assert float(losses["boxes"]) == pytest.approx(0.5 * (1 - 1 / 3) / 1.3, abs=1e-5)


def test_distributions_are_compared_where_there_are_any() -> None:
    wanted = torch.zeros(1, 2, 4, 2)
    got = wanted.clone()
    got[..., 0] = 1.0986123  # 3 to 1
    losses = agreement(seen([1.0, 0.0], got), seen([1.0, 0.0], wanted), 0.2)
    # Kullback-Leibler: .5 log(.5 / .75) + .5 log(.5 / .25)
    assert float(losses["boxes"]) == pytest.approx(0.143841, abs=1e-5)


def test_nobody_to_be_seen_leaves_no_box_distance() -> None:
    losses = agreement(seen([0.1, 0.1]), seen([0.0, 0.1]), 0.2)
    assert float(losses["boxes"]) == 0 and float(losses["scores"]) > 0


def test_boxes_count_by_their_weight() -> None:
    got, wanted = seen([0.5, 0.5]), seen([1.0, 1.0])
    one, two = (
        float(agreement(got, wanted, 0.2, 2.0, torch.tensor([[1.0, w]]))["scores"]) for w in (1, 3)
    )
    assert two == pytest.approx(2 * one) and one == pytest.approx(0.25 * 0.693147, abs=1e-5)


def test_boxes_of_sorted_lists_are_paired_by_where_they_are() -> None:
    wanted = seen([0.9, 0.6], boxes=BOXES.flip(1))
    found = partners(seen([0.5, 0.4]), wanted)
    assert found.scores[0].tolist() == pytest.approx([0.6, 0.9])
    assert found.boxes.tolist() == BOXES.tolist()


def test_features_are_compared_in_units_of_the_wanted_ones() -> None:
    got, wanted = seen([0.5, 0.1]), seen([0.5, 0.1])
    got.features.append(torch.full((2,), 3.0))
    wanted.features.append(torch.full((2,), 2.0))
    assert float(agreement(got, wanted, 0.2)["features"]) == pytest.approx(0.5)
