"""Batch normalisation that is put in and folded in again: the function stays the same."""

from __future__ import annotations

import copy

import torch
from tasksr_training.batch_norm import NormalisedConv2d, folded, normalise
from torch import nn

from tasksr_ros.networks.detectors.picodet import PicoDet


def images() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))


def test_by_hand() -> None:
    """Outputs 1 and 3: mean 2, variance 1. Normalised, then times 2 and 10 more."""
    layer = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(1.0)  # type: ignore[union-attr]
    network = nn.Sequential(layer)
    seen = torch.tensor([[[[0.0, 1.0]]]])
    normalise(network, [seen], keep=[])
    norm = layer.get_submodule("norm")
    assert norm.get_buffer("running_mean").tolist() == [2.0]
    assert norm.get_buffer("running_var").tolist() == [1.0]
    torch.testing.assert_close(network.eval()(seen).flatten(), torch.tensor([1.0, 3.0]))
    with torch.no_grad():
        norm.get_parameter("weight").fill_(2.0)
        norm.get_parameter("bias").fill_(10.0)
    torch.testing.assert_close(
        network(seen).flatten(), torch.tensor([8.0, 12.0]), rtol=1e-4, atol=0
    )
    weights = folded(network.state_dict())
    assert list(weights) == ["0.weight", "0.bias"]
    torch.testing.assert_close(
        weights["0.weight"].flatten(), torch.tensor([4.0]), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(weights["0.bias"], torch.tensor([8.0]), rtol=1e-4, atol=0)


def test_a_detector_computes_the_same_with_it_and_after_learning_without_it() -> None:
    torch.manual_seed(2)
    plain = PicoDet(1).eval()
    network = copy.deepcopy(plain)
    last = [level.get_submodule("2") for level in network.head]
    normalise(network, [images(), images()], keep=last)
    normalised = [n for n, m in network.named_modules() if isinstance(m, NormalisedConv2d)]
    assert len(normalised) == 103
    assert not any("squeeze" in name or "excite" in name for name in normalised)
    for one, other in zip(network(images()), plain(images()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)

    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.01)
    network.train()
    sum(level.logits.mean() for level in network.levels(images())).backward()  # type: ignore
    optimizer.step()
    fresh = PicoDet(1).eval()
    fresh.load_state_dict(folded(network.state_dict()))
    for one, other in zip(fresh(images()), network.eval()(images()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_weights_without_it_stay() -> None:
    weights = nn.Conv2d(1, 1, 1).state_dict()
    assert folded(weights) == dict(weights)
