"""Tests of bicubic enlargement as a convolution: that it is the same."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tasksr_ros.networks.super_resolution.bicubic import (  # noqa: E402
    Bicubic,
    ConvolvedBicubic,
    convolved,
)


@pytest.mark.parametrize("scale_factor", [1, 1.25, 1.5, 2, 2.5, 3, 4, 8])
def test_convolution_gives_what_interpolation_gives(scale_factor: float) -> None:
    torch.manual_seed(0)
    lr = torch.rand(2, 3, 8, 12)
    expected = Bicubic(scale_factor)(lr)
    found = ConvolvedBicubic(scale_factor)(lr)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 2e-5


def test_where_there_is_no_convolution_interpolation_stays() -> None:
    odd = Bicubic(1.3)
    assert convolved(odd, (10, 20)) is odd
    half = Bicubic(1.5)
    assert convolved(half, (9, 20)) is half
    assert isinstance(convolved(half, (10, 20)), ConvolvedBicubic)
