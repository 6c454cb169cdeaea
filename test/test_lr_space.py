"""Tests of tasksr_ros.networks.lr_space: the exact fast form."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tasksr_ros.networks import DBPN, build_sr
from tasksr_ros.networks.lr_space import Geometry, to_lr_space


def perturbed(scale_factor: int, **arguments: Any) -> DBPN:
    """A DBPN in float64 whose biases and slopes differ, so that a wrong one shows."""
    torch.manual_seed(0)
    network = DBPN(scale_factor, **arguments).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


FORMS: dict[str, dict[str, Any]] = {
    "two stages": {"n0": 16, "nr": 6, "num_stages": 2},
    "dense": {"n0": 8, "nr": 4, "num_stages": 5, "dense": True},
    "luminance": {"num_channels": 1, "n0": 8, "nr": 5, "reconstruction_kernel_size": 1},
    "one stage": {"n0": 8, "nr": 5, "num_stages": 1},
}


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("region_hw", [(7, 11), (1, 1), (2, 3)])
def test_output_equals_the_reference_graph(
    scale_factor: int, form: str, region_hw: tuple[int, int]
) -> None:
    network = perturbed(scale_factor, **FORMS[form])
    lr = torch.rand(2, network.num_channels, *region_hw, dtype=torch.float64)
    with torch.no_grad():
        expected, output = network(lr), to_lr_space(network, region_hw)(lr)
    assert (output - expected).abs().max() <= 1e-12 * (expected.max() - expected.min())


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_float32_stays_within_the_contract(scale_factor: int) -> None:
    network = perturbed(scale_factor).float()
    lr = torch.rand(1, 3, 12, 16)
    with torch.no_grad():
        expected, output = network(lr), to_lr_space(network, (12, 16))(lr)
    assert (output - expected).abs().max() <= 1e-4 * (expected.max() - expected.min())


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_no_transposed_or_strided_convolution_is_left(scale_factor: int) -> None:
    network = to_lr_space(perturbed(scale_factor, **FORMS["dense"]), (4, 4))
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert convs
    assert all(conv.stride == (1, 1) for conv in convs)
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in network.modules())


def test_exports_with_static_shapes() -> None:
    network = to_lr_space(build_sr("dbpn-ss", 4), (8, 12)).eval()
    lr = torch.rand(1, 3, 8, 12)
    exported = torch.export.export(network, (lr,))
    torch.testing.assert_close(exported.module()(lr), network(lr))


def test_the_original_is_not_touched() -> None:
    network = build_sr("dbpn-ss", 4)
    to_lr_space(network, (8, 8))
    assert all(p.requires_grad for p in network.parameters())


def test_inside_literal() -> None:
    """x4: u = o + 2, so the first two positions of the first block lie outside, and the last two
    of the last; x2 is aligned."""
    assert Geometry.of(4).inside(2).tolist() == [[0, 1, 1], [0, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert Geometry.of(2).inside(3).tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("shape", [(1, 3, 8, 9), (1, 1, 8, 8), (0, 3, 8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    network = to_lr_space(build_sr("dbpn-ss", 4), (8, 8))
    with pytest.raises(ValueError, match="got"):
        network(torch.zeros(shape))


def test_other_networks_are_refused() -> None:
    with pytest.raises(TypeError, match="expected a DBPN, got Bicubic"):
        to_lr_space(build_sr("bicubic", 4), (8, 8))
    with pytest.raises(ValueError, match="region_hw must be positive"):
        to_lr_space(build_sr("dbpn-ss", 4), (0, 8))
