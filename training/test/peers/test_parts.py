"""Filters of a pixel's own, TensorFlow's order of channels."""

from __future__ import annotations

import pytest
import torch
from tasksr_training.peers.parts import (
    check_clip,
    convolution_weight,
    depth_to_space,
    filter_locally,
    with_sum_of_one,
)


def test_depth_to_space_by_hand() -> None:
    channels = torch.arange(8.0).view(1, 8, 1, 1)  # sub-pixels of two channels each
    assert depth_to_space(channels, 2).tolist() == [[[[0, 2], [4, 6]], [[1, 3], [5, 7]]]]


def test_a_filter_of_one_tap_moves_the_image() -> None:
    image = torch.arange(1.0, 7.0).view(1, 1, 2, 3)
    right_and_below = torch.zeros(1, 9, 1, 2, 3)
    right_and_below[:, 5] = 1  # row by row: the tap (0, 1)
    assert filter_locally(image, right_and_below)[0, 0, 0].tolist() == [[2, 3, 0], [5, 6, 0]]
    right_and_below[:, 5], right_and_below[:, 7] = 0, 1  # (1, 0)
    assert filter_locally(image, right_and_below)[0, 0, 0].tolist() == [[4, 5, 6], [0, 0, 0]]


def test_every_pixel_has_its_own_filters() -> None:
    image = torch.ones(1, 2, 1, 2)
    filters = torch.zeros(1, 9, 2, 1, 2)
    filters[0, 4, :, 0, 0] = torch.tensor([2.0, 3.0])
    result = filter_locally(image, filters)
    assert result.shape == (1, 2, 2, 1, 2)
    assert result[0, :, :, 0, 0].tolist() == [[2, 2], [3, 3]] and result[..., 1].abs().max() == 0


def test_filters_get_a_sum_of_one() -> None:
    filters = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 4, 1, 1)
    assert with_sum_of_one(filters).flatten().tolist() == [-1.75, -0.75, 0.25, 3.25]


def test_layouts_of_tensorflow() -> None:
    assert convolution_weight(torch.zeros(1, 3, 5, 7, 9)).shape == (9, 7, 1, 3, 5)
    kernel = torch.arange(24.0).view(2, 2, 3, 2)
    assert convolution_weight(kernel)[1, 2].tolist() == [[5, 11], [17, 23]]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 3, 3, 4, 4), r"shape \(N, 5, 3, H, W\), got \(1, 3, 3, 4, 4\)"),
        ((1, 5, 4, 4), r"shape \(N, 5, 3, H, W\)"),
        ((1, 5, 1, 4, 4), r"shape \(N, 3, H, W\)"),
    ],
)
def test_other_clips_are_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_clip(torch.zeros(shape), 5, torch.zeros(1))
