"""Training through the LR-space form is training of the network itself."""

from __future__ import annotations

import pytest
import torch
from tasksr_training.lr_space import super_resolve
from torch import Tensor, nn

from tasksr_ros.networks import build_sr
from tasksr_ros.networks.super_resolution.bicubic import Bicubic


def gradients(network: nn.Module, sr: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    weights = torch.linspace(-1, 1, sr.numel(), dtype=sr.dtype).view_as(sr)
    (sr * weights).sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("name", "scale_factor", "residual"),
    [("dbpn-ss", 2, False), ("dbpn-ss", 4, False), ("dbpn-m", 8, False), ("dbpn-ss-8", 2, True)],
)
def test_result_and_gradients_are_the_networks_own(
    name: str, scale_factor: int, residual: bool
) -> None:
    torch.manual_seed(0)
    network = build_sr(name, scale_factor, residual=residual).double()
    for parameter in network.parameters():  # biases and slopes that differ
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, -0.1, 0.1)
    for height, width in ((6, 9), (8, 4), (6, 9)):
        lr = torch.rand(2, 3, height, width, dtype=torch.float64)
        expected = network(lr)
        got = super_resolve(network, lr)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
        wanted, taught = gradients(network, expected), gradients(network, got)
        assert taught.keys() == wanted.keys() == dict(network.named_parameters()).keys()
        for key, gradient in wanted.items():
            scale = float(gradient.abs().max())
            torch.testing.assert_close(taught[key], gradient, rtol=0, atol=1e-10 * scale, msg=key)


def test_weights_that_change_are_used() -> None:
    network, lr = build_sr("dbpn-ss", 2), torch.rand(1, 3, 5, 5)
    super_resolve(network, lr)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
        torch.testing.assert_close(super_resolve(network, lr), network(lr), rtol=1e-4, atol=1e-6)


def test_other_networks_run_as_they_are() -> None:
    lr = torch.rand(1, 3, 5, 5)
    bicubic = Bicubic(2)
    torch.testing.assert_close(super_resolve(bicubic, lr), bicubic(lr))
