from __future__ import annotations

import torch

from tasksr_ros.networks.detectors.levels import LevelOutput, decode


def test_a_cell_is_of_its_likeliest_class_with_that_ones_score() -> None:
    logits = torch.tensor([[[[0.0, -100.0]], [[-100.0, 100.0]], [[-1.0, 0.0]]]])
    distances = torch.tensor([1.0, 2.0, 3.0, 5.0]).view(1, 4, 1, 1).expand(1, 4, 1, 2)
    boxes, scores, class_ids = decode([LevelOutput(8, logits, distances)])
    assert scores.tolist() == [[0.5, 1.0]]
    assert class_ids.tolist() == [[0, 1]]
    assert class_ids.dtype == torch.int32
    assert boxes.tolist() == [[[3, 2, 7, 9], [11, 2, 15, 9]]]
