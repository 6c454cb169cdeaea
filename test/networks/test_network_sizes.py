"""Other sizes of the networks than the published ones: constructor arguments drawn at random.

Each is checked for its shapes, exactness in LR space, export, and loading of a checkpoint file.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.dbpn import DBPN
from tasksr_ros.networks.super_resolution.kbpn import KBPN
from tasksr_ros.networks.super_resolution.lr_space import to_lr_space
from tasksr_ros.networks.super_resolution.rbpn import RBPN

Case = tuple[type[nn.Module], dict[str, Any], tuple[int, int]]


def draw(seed: int) -> Case:
    """Family, constructor arguments and LR size (height, width)."""
    rng = random.Random(seed)
    family = (DBPN, RBPN, KBPN)[seed % 3]
    hw = rng.randint(1, 7), rng.randint(1, 9)
    scale = rng.choice((2, 4, 8))
    if family is DBPN:
        arguments: dict[str, Any] = {
            "scale_factor": scale,
            "num_channels": rng.choice((1, 3, 4)),
            "n0": rng.randint(1, 9),
            "nr": rng.randint(1, 7),
            "num_stages": rng.randint(1, 5),
            "dense": rng.random() < 0.5,
            "reconstruction_kernel_size": rng.choice((1, 3)),
        }
    elif family is RBPN:
        arguments = {
            "scale_factor": scale,
            "num_channels": rng.choice((1, 3)),
            "base_filter": rng.randint(1, 8),
            "feat": rng.randint(1, 6),
            "num_stages": rng.randint(1, 4),
            "n_resblock": rng.randint(0, 2),
            "num_frames": rng.randint(2, 5),
        }
    else:
        arguments = {
            "scale": scale,
            "ks": rng.randint(1, 5),
            "kout": rng.choice((1, 3, 5, 9)),
            "num_stage": rng.randint(1, 4),
            "md_ch": rng.randint(2, 7),
            "reduction_ch": rng.randint(1, 6),
        }
    return family, arguments, hw


CASES = [pytest.param(*draw(seed), id=f"{draw(seed)[0].__name__}-{seed}") for seed in range(15)]
MORE = [pytest.param(*draw(seed), id=f"{draw(seed)[0].__name__}-{seed}") for seed in range(15, 150)]


def inputs(
    family: type, arguments: dict[str, Any], hw: tuple[int, int], dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """A batch of two for the network."""
    channels = arguments.get("num_channels", 3)
    shapes = [(2, channels, *hw)]
    if family is RBPN:
        neighbours = arguments["num_frames"] - 1
        shapes += [(2, neighbours, channels, *hw), (2, neighbours, 2, *hw)]
    return tuple(torch.rand(shape, dtype=dtype) for shape in shapes)


def perturbed(family: type[nn.Module], arguments: dict[str, Any]) -> nn.Module:
    """A network whose biases and slopes all differ, so that a wrong one shows."""
    torch.manual_seed(0)
    network = family(**arguments).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


def outputs(result: Tensor | tuple[Tensor, Tensor]) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def check_exactness(family: type[nn.Module], arguments: Any, hw: tuple[int, int]) -> None:
    network = perturbed(family, arguments).double()
    batch = inputs(family, arguments, hw, torch.float64)
    with torch.no_grad():
        expected = outputs(network(*batch))
        found = outputs(to_lr_space(network, hw)(*batch))
    scale = arguments.get("scale_factor", arguments.get("scale"))
    assert expected[0].shape == (*batch[0].shape[:2], hw[0] * scale, hw[1] * scale)
    if family is KBPN:
        assert expected[1].shape == (2, arguments["kout"], arguments["kout"])
    for one, other in zip(expected, found, strict=True):
        assert (one - other).abs().max() <= 1e-12 * max(1.0, float(one.max() - one.min()))


@pytest.mark.parametrize(("family", "arguments", "hw"), CASES)
def test_shapes_and_exactness(family: type[nn.Module], arguments: Any, hw: tuple[int, int]) -> None:
    check_exactness(family, arguments, hw)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "arguments", "hw"), MORE)
def test_many_more(family: type[nn.Module], arguments: Any, hw: tuple[int, int]) -> None:
    check_exactness(family, arguments, hw)


@pytest.mark.parametrize(("family", "arguments", "hw"), CASES[:3])
def test_export(family: type[nn.Module], arguments: Any, hw: tuple[int, int]) -> None:
    network = perturbed(family, arguments)
    batch = inputs(family, arguments, hw, torch.float32)
    for form in (network, to_lr_space(network, hw)):
        exported = torch.export.export(form, batch)
        with torch.no_grad():
            torch.testing.assert_close(exported.module()(*batch), form(*batch))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(("family", "arguments", "hw"), CASES[:9])
def test_checkpoint_files(
    family: type[nn.Module], arguments: Any, hw: tuple[int, int], prefix: str, tmp_path: Path
) -> None:
    """As published: a pickled state dict, in KBPN's case with the reference's own names."""
    network = perturbed(family, arguments)
    state = {
        prefix + (as_in_the_reference(k) if family is KBPN else k): v
        for k, v in network.state_dict().items()
    }
    torch.save(state, tmp_path / "published.pth")
    loaded = family(**arguments).eval()
    loaded.load_reference_state_dict(torch.load(tmp_path / "published.pth", weights_only=True))
    batch = inputs(family, arguments, hw, torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(*batch), network(*batch), rtol=0, atol=0)


def as_in_the_reference(key: str) -> str:
    return re.sub(r"\.(conv|deconv)\.(weight|bias)$", r".layer.\2", key)


@pytest.mark.parametrize(("family", "arguments", "hw"), CASES[:9])
def test_a_wrong_file_is_one_line_that_names_the_first_keys(
    family: type[nn.Module], arguments: Any, hw: tuple[int, int]
) -> None:
    network = family(**arguments)
    state = dict(network.state_dict())
    first, second = list(state)[:2]
    del state[first]
    state[second] = torch.zeros(9, 9)
    state["head.weight"] = torch.zeros(1)
    with pytest.raises(
        ValueError, match=rf"missing: {re.escape(first)}; unexpected: head"
    ) as error:
        network.load_reference_state_dict(state)
    assert f"of another shape: {second} (expected" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family", [DBPN, RBPN, KBPN])
def test_something_else_than_weights_is_one_line_too(family: type[nn.Module]) -> None:
    small = {"num_stage": 1} if family is KBPN else {"num_stages": 1}
    with torch.device("meta"):
        network = family(**small)
    for wrong in ([1, 2], {"state_dict": {"feat0.conv.weight": torch.zeros(1)}}, {"epoch": 3}):
        with pytest.raises(
            ValueError, match=r"these weights are not|expected a state dict"
        ) as error:
            network.load_reference_state_dict(wrong)
        assert "\n" not in str(error.value)
