"""Tests of tasksr_ros.networks.super_resolution.rbpn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tasksr_ros.networks import VIDEO_SR_NAMES, build_sr
from tasksr_ros.networks.super_resolution.rbpn import RBPN, neighbour_offsets

TINY: dict[str, Any] = {"base_filter": 6, "feat": 4, "n_resblock": 1}

# At x2, x4 and x8; the first two are the published networks at x4.
PARAMETERS = {
    "rbpn": (10_134_119, 12_771_943, 20_308_583),
    "rbpn-4": (10_128_935, 12_766_759, 20_303_399),
    "rbpn-small": (212_651, 348_843, 737_963),
    "rbpn-small-4": (211_355, 347_547, 736_667),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def video(n: int = 2, num_frames: int = 3, height: int = 5, width: int = 7) -> list[Tensor]:
    """Target, neighbours and flows."""
    k = num_frames - 1
    return [
        torch.rand(n, 3, height, width),
        torch.rand(n, k, 3, height, width),
        torch.randn(n, k, 2, height, width),
    ]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_output_equals_the_reference(shared: Path, tmp_path: Path, prefix: str) -> None:
    with safe_open(shared / "parity" / "RBPN_F4_x4_narrow.safetensors", "pt") as file:
        arguments = json.loads(file.metadata()["constructor"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    state = {prefix + k[6:]: v for k, v in tensors.items() if k.startswith("state.")}
    torch.save(state, tmp_path / "checkpoint.pth")
    network = RBPN(num_frames=arguments.pop("nFrames"), **arguments)
    network.load_reference_state_dict(torch.load(tmp_path / "checkpoint.pth", weights_only=True))
    with torch.no_grad():
        output = network(
            tensors["input.x"],
            torch.stack([tensors[f"input.neigbor.{i}"] for i in range(3)], 1),
            torch.stack([tensors[f"input.flow.{i}"] for i in range(3)], 1),
        )
    expected = tensors["output"]
    assert (output - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


@pytest.mark.parametrize(("name", "counts"), PARAMETERS.items())
def test_parameter_counts(name: str, counts: tuple[int, ...]) -> None:
    with torch.device("meta"):
        built = [build_sr(name, scale_factor) for scale_factor in (2, 4, 8)]
    assert tuple(sum(p.numel() for p in net.parameters()) for net in built) == counts


def test_every_name_is_counted() -> None:
    assert set(PARAMETERS) == set(VIDEO_SR_NAMES)


@pytest.mark.parametrize("scale_factor", [2, 4, 8])
@pytest.mark.parametrize(("num_stages", "num_frames"), [(1, 2), (2, 3), (4, 4)])
def test_other_sizes_scale_odd_images(scale_factor: int, num_stages: int, num_frames: int) -> None:
    network = RBPN(scale_factor, num_stages=num_stages, num_frames=num_frames, **TINY)
    with torch.no_grad():
        sr = network(*video(num_frames=num_frames))
    assert sr.shape == (2, 3, 5 * scale_factor, 7 * scale_factor)


def test_images_of_a_batch_do_not_mix() -> None:
    network = RBPN(4, num_frames=3, **TINY)
    batch = video(n=2)
    with torch.no_grad():
        together = network(*batch)
        alone = network(*(part[1:] for part in batch))
    torch.testing.assert_close(together[1:], alone)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_neighbour_and_flow_counts(which: int) -> None:
    network = RBPN(4, num_frames=4, **TINY)
    target, neighbours, flows = video(num_frames=4)
    other_neighbours, other_flows = neighbours.clone(), flows.clone()
    other_neighbours[:, which] += 0.5
    other_flows[:, which] += 1
    with torch.no_grad():
        sr = network(target, neighbours, flows)
        assert (network(target, other_neighbours, flows) - sr).abs().max() > 1e-4
        assert (network(target, neighbours, other_flows) - sr).abs().max() > 1e-4


def test_gradients_reach_every_parameter() -> None:
    network = RBPN(2, num_frames=3, **TINY)
    network(*video()).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_foreign_weights_are_refused_with_the_first_keys() -> None:
    state = RBPN(4, num_frames=4, **TINY).state_dict()
    with pytest.raises(ValueError, match=r"output\.conv\.weight \(expected \(3, 8, 3, 3\), got"):
        RBPN(4, num_frames=3, **TINY).load_reference_state_dict(state)
    del state["DBPN.up2.up_conv1.deconv.weight"]
    with pytest.raises(ValueError, match=r"missing: DBPN\.up2\.up_conv1\.deconv\.weight"):
        RBPN(4, num_frames=4, **TINY).load_reference_state_dict(state)


def test_wrong_frames_are_refused() -> None:
    network = RBPN(4, num_frames=7, **TINY)
    target, neighbours, flows = video(num_frames=7)
    with pytest.raises(
        ValueError,
        match=r"expected neighbours of shape \(2, 6, 3, 5, 7\).* for 7 frames .*got .*\(2, 1, 3, 5",
    ):
        network(target, neighbours[:, :1], flows[:, :1])
    with pytest.raises(ValueError, match=r"expected flows of shape \(2, 6, 2, 5, 7\).*got"):
        network(target, neighbours, flows[:, :5])
    with pytest.raises(ValueError, match=r"expected neighbours of shape .*got torch.float64"):
        network(target, neighbours.double(), flows)
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\), got .*\(2, 1, 5, 7\)"):
        network(target[:, :1], neighbours, flows)
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\), got .*\(0, 3, 5, 7\)"):
        network(target[:0], neighbours[:0], flows[:0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale_factor": 3}, "scale_factor must be one of 2, 4, 8, got 3"),
        ({"num_stages": 0}, "num_stages must be at least 1, got 0"),
        ({"num_frames": 1}, "num_frames must be at least 2, got 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RBPN(**arguments)


def test_neighbour_offsets_literal() -> None:
    assert neighbour_offsets(7) == (-3, -2, -1, 1, 2, 3)
    assert neighbour_offsets(4) == (-2, -1, 1)
    assert neighbour_offsets(4, past_only=True) == (-1, -2, -3)
    with pytest.raises(ValueError, match="num_frames must be at least 2, got 1"):
        neighbour_offsets(1)
