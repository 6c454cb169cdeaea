from __future__ import annotations

import pytest
import torch
from tasksr_training.adapt.frozen import Seen
from tasksr_training.adapt.targets import person_weights, raised, targets
from torch import Tensor

A, B = [0.0, 0, 10, 20], [30.0, 0, 40, 20]
BOXES = torch.tensor([[A, [0.0, 0, 10, 18], B, [60.0, 0, 70, 20]]])


def seen(scores: list[float], ranked: bool = False) -> Seen:
    return Seen(BOXES, torch.tensor([scores]), ranked=ranked)


def people(*rows: list[float]) -> Tensor:
    return torch.tensor([rows])


NOBODY = [0.0] * 5


def test_a_persons_boxes_are_raised_until_the_best_has_the_persons_score() -> None:
    wanted = raised(seen([0.2, 0.1, 0.7, 0.3]), people([*A, 0.6], [*B, 0.5], NOBODY), 0.5)
    # The first person threefold; the second is seen better than that already.
    assert wanted.scores[0].tolist() == pytest.approx([0.6, 0.3, 0.7, 0.3])
    assert wanted.boxes[0].tolist() == [A, A, B, BOXES[0, 3].tolist()]


def test_where_no_box_agrees_nothing_is_wanted() -> None:
    wanted = raised(seen([0.2, 0.1, 0.7, 0.3]), people([100.0, 0, 110, 20, 0.9]), 0.5)
    assert wanted.scores[0].tolist() == pytest.approx([0.2, 0.1, 0.7, 0.3])
    assert torch.equal(wanted.boxes, BOXES)


def test_a_score_of_zero_is_not_raised() -> None:
    wanted = raised(seen([0.0, 0.0, 0.7, 0.3]), people([*A, 0.6]), 0.5)
    assert wanted.scores[0].tolist() == pytest.approx([0.0, 0.0, 0.7, 0.3])


def test_people_count_alike_with_many_boxes_or_few() -> None:
    wanted = seen([2.0, 1.0, 1.0, 0.4])
    weights = person_weights(wanted, people([*A, 0.9], [*B, 0.9], NOBODY), 0.5)
    # Shares of 3 and 1, 2 on average.
    assert weights[0].tolist() == pytest.approx([2 / 3, 2 / 3, 2.0, 1.0])
    shares = (weights * wanted.scores)[0]
    assert float(shares[:2].sum()) == pytest.approx(float(shares[2]))


def test_without_anybody_all_boxes_count_alike() -> None:
    assert person_weights(seen([0.1] * 4), people(NOBODY), 0.5).tolist() == [[1.0] * 4]


def test_who_is_not_sure_is_no_person() -> None:
    doubtful = people([*A, 0.19])
    wanted, weights = targets(seen([0.1] * 4), seen([0.1] * 4), doubtful, 0.2, 0.5)
    assert wanted.scores[0].tolist() == pytest.approx([0.1] * 4)
    assert weights.tolist() == [[1.0] * 4]


def test_boxes_of_a_sorted_list_get_their_partners_targets() -> None:
    got = Seen(BOXES.flip(1), torch.tensor([[0.1, 0.1, 0.1, 0.1]]), ranked=True)
    on_hr = seen([0.2, 0.02, 0.1, 0.3], ranked=True)
    wanted, _ = targets(got, on_hr, people([*A, 0.8]), 0.2, 0.5)
    assert wanted.scores[0].tolist() == pytest.approx([0.3, 0.1, 0.08, 0.8])
