"""Tests of tasksr_ros.networks.super_resolution.lr_space: the exact fast form."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn

from tasksr_ros.networks import build_sr
from tasksr_ros.networks.super_resolution.bicubic import Bicubic
from tasksr_ros.networks.super_resolution.blocks import KERNEL_STRIDE_PADDING
from tasksr_ros.networks.super_resolution.dbpn import DBPN
from tasksr_ros.networks.super_resolution.kbpn import KBPN
from tasksr_ros.networks.super_resolution.lr_space import to_lr_space
from tasksr_ros.networks.super_resolution.parts import (
    Run,
    from_parts,
    pack,
    parts_of,
    runs_of,
    to_parts,
    unpack,
)
from tasksr_ros.networks.super_resolution.rbpn import RBPN

Network = TypeVar("Network", bound=nn.Module)


def perturbed(scale_factor: int, family: type[Network] = DBPN, **arguments: Any) -> Network:
    """A network in float64 whose biases and slopes differ, so that a wrong one shows."""
    torch.manual_seed(0)
    network = family(scale_factor, **arguments).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


FORMS: dict[str, dict[str, Any]] = {
    "two stages": {"n0": 16, "nr": 6, "num_stages": 2},
    "dense": {"n0": 8, "nr": 4, "num_stages": 5, "dense": True},
    "luminance": {"num_channels": 1, "n0": 8, "nr": 5, "reconstruction_kernel_size": 1},
    "one stage": {"n0": 8, "nr": 5, "num_stages": 1},
    "residual": {"n0": 8, "nr": 5, "residual": True},
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


def test_a_residual_of_nothing_is_bicubic_enlargement() -> None:
    network = DBPN(2, n0=8, nr=5, residual=True)
    assert network.state_dict().keys() == DBPN(2, n0=8, nr=5).state_dict().keys()
    for parameter in network.output_conv.parameters():
        nn.init.zeros_(parameter)
    lr = torch.rand(1, 3, 5, 7)
    torch.testing.assert_close(network(lr), Bicubic(2)(lr), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="residual needs 3 image channels, got 1"):
        DBPN(2, num_channels=1, residual=True)


VIDEO = {"base_filter": 7, "feat": 5, "num_stages": 3, "n_resblock": 1, "num_frames": 3}
BLIND = {"ks": 3, "kout": 7, "num_stage": 3, "md_ch": 6, "reduction_ch": 4}


def video(n: int, hw: tuple[int, int], dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Target, two neighbours and flows."""
    shapes = [(n, 3, *hw), (n, 2, 3, *hw), (n, 2, 2, *hw)]
    return tuple(torch.rand(shape, dtype=dtype) for shape in shapes)


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
@pytest.mark.parametrize("region_hw", [(7, 11), (1, 1), (2, 3)])
def test_video_output_equals_the_reference_graph(
    scale_factor: int, region_hw: tuple[int, int]
) -> None:
    network = perturbed(scale_factor, RBPN, **VIDEO)
    frames = video(2, region_hw)
    with torch.no_grad():
        expected, output = network(*frames), to_lr_space(network, region_hw)(*frames)
    assert (output - expected).abs().max() <= 1e-12 * (expected.max() - expected.min())


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
@pytest.mark.parametrize("region_hw", [(7, 11), (1, 1), (2, 3)])
def test_blind_output_equals_the_reference_graph(
    scale_factor: int, region_hw: tuple[int, int]
) -> None:
    network = perturbed(scale_factor, KBPN, **BLIND)
    lr = torch.rand(2, 3, *region_hw, dtype=torch.float64)
    with torch.no_grad():
        pairs = zip(to_lr_space(network, region_hw)(lr), network(lr), strict=True)
    for output, expected in pairs:
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


@pytest.mark.parametrize(("family", "arguments"), [(RBPN, VIDEO), (KBPN, BLIND)])
def test_no_projection_is_left_in_video_and_blind_networks(
    family: type[nn.Module], arguments: dict[str, int]
) -> None:
    network = to_lr_space(perturbed(4, family, **arguments), (4, 4))
    assert all(m.stride == (1, 1) for m in network.modules() if isinstance(m, nn.Conv2d))
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in network.modules())


def test_exports_with_static_shapes() -> None:
    network = to_lr_space(build_sr("dbpn-ss", 4), (8, 12)).eval()
    lr = torch.rand(1, 3, 8, 12)
    exported = torch.export.export(network, (lr,))
    torch.testing.assert_close(exported.module()(lr), network(lr))


def test_video_and_blind_networks_export_with_static_shapes() -> None:
    frames = video(1, (6, 8), torch.float32)
    for network, inputs in (
        (to_lr_space(RBPN(4, **VIDEO), (6, 8)), frames),
        (to_lr_space(KBPN(4, **BLIND), (6, 8)), frames[:1]),
    ):
        exported = torch.export.export(network.eval(), inputs)
        torch.testing.assert_close(exported.module()(*inputs), network(*inputs))


def test_the_original_is_not_touched() -> None:
    network = build_sr("dbpn-ss", 4)
    to_lr_space(network, (8, 8))
    assert all(p.requires_grad for p in network.parameters())


def test_runs_literal() -> None:
    """Offsets of an axis, and the LR pixels that a transposed convolution makes them from."""
    assert runs_of(2) == [Run(range(0, 2), range(-1, 2))]
    assert runs_of(4) == [Run(range(0, 2), range(-1, 1)), Run(range(2, 4), range(0, 2))]
    assert runs_of(8) == [
        Run(range(0, 2), range(-1, 1)),
        Run(range(2, 6), range(0, 1)),
        Run(range(6, 8), range(0, 2)),
    ]


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_parts_and_back(scale_factor: int) -> None:
    h = torch.rand(2, 3, 3 * scale_factor, 5 * scale_factor)
    parts = to_parts(h, scale_factor)
    assert [part.shape[1] for part in parts] == [3 * p.num_offsets for p in parts_of(scale_factor)]
    # The first part's second channel block: the pixels at row 0, column 1 of each LR pixel.
    torch.testing.assert_close(parts[0][:, 3:6], h[:, :, ::scale_factor, 1::scale_factor])
    torch.testing.assert_close(from_parts(parts, scale_factor), h)
    packed = unpack(pack(parts), scale_factor)
    assert all(torch.equal(a, b) for a, b in zip(packed, parts, strict=True))


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
def test_projections_multiply_as_often_as_the_reference(scale_factor: int) -> None:
    """No zeros are multiplied: the parts' kernels have the reference's numbers, each once."""
    weight = torch.arange(1.0, 1 + 2 * 3 * 144).reshape(2, 3, 12, 12)[
        :, :, : KERNEL_STRIDE_PADDING[scale_factor][0], : KERNEL_STRIDE_PADDING[scale_factor][0]
    ]
    for kernels in ("deconv_kernels", "conv_kernels"):
        taken = [getattr(part, kernels)(weight)[0].flatten() for part in parts_of(scale_factor)]
        assert torch.equal(torch.cat(taken).sort().values, weight.flatten().sort().values)


@pytest.mark.parametrize("shape", [(1, 3, 8, 9), (1, 1, 8, 8), (0, 3, 8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    network = to_lr_space(build_sr("dbpn-ss", 4), (8, 8))
    with pytest.raises(ValueError, match="got"):
        network(torch.zeros(shape))


def test_other_shapes_are_refused_by_video_and_blind_networks() -> None:
    with pytest.raises(ValueError, match=r"regions of \(6, 8\) px .*got \(6, 9\)"):
        to_lr_space(RBPN(4, **VIDEO), (6, 8))(*video(1, (6, 9), torch.float32))
    with pytest.raises(ValueError, match=r"regions of \(6, 8\) px .*got \(6, 9\)"):
        to_lr_space(KBPN(4, **BLIND), (6, 8))(torch.zeros(1, 3, 6, 9))


def test_other_networks_are_refused() -> None:
    with pytest.raises(TypeError, match="expected a DBPN, RBPN or KBPN, got Bicubic"):
        to_lr_space(build_sr("bicubic", 4), (8, 8))
    with pytest.raises(ValueError, match="region_hw must be positive"):
        to_lr_space(build_sr("dbpn-ss", 4), (0, 8))
