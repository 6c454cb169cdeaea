"""Training through the LR-space form: the same network and gradients, in half the time on a CPU."""

from __future__ import annotations

import copy
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.func import functional_call

from tasksr_ros.networks.super_resolution.dbpn import DBPN
from tasksr_ros.networks.super_resolution.lr_space import LRSpaceDBPN, to_lr_space


def super_resolve(network: nn.Module, lr: Tensor, *clip: Tensor) -> Tensor:
    """What the network makes of LR images, by the fastest way that has its gradients.

    Args:
        network: (N, 3, h, w) -> (N, 3, h·s, w·s). A DBPN on the CPU runs in its LR-space form,
            which is made once.
        lr: (N, 3, h, w) in [0, 1].
        clip: of a video network, neighbours and flows as `RBPN.forward` takes them.
    """
    lr = lr.contiguous(memory_format=torch.channels_last)
    if not isinstance(network, DBPN) or lr.device.type != "cpu":
        sr: Tensor = network(lr, *clip)
        return sr
    if network not in _FORMS:
        _FORMS[network] = LRSpaceForm(network)
    return _FORMS[network](network, lr)


class LRSpaceForm:
    """A DBPN's LR-space form that computes with the DBPN's own parameters.

    Every number in the form's kernels is zero or one of the network's parameters. Which one is
    read off a copy of the network whose parameters are their own positions.
    """

    def __init__(self, network: DBPN) -> None:
        numbered = copy.deepcopy(network).cpu().double()
        with torch.no_grad():
            first = 1  # position 0 holds the zero
            for parameter in numbered.parameters():
                count = parameter.numel()
                parameter.copy_(torch.arange(first, first + count).view_as(parameter))
                first += count
        form = to_lr_space(numbered, (1, 1))
        assert isinstance(form, LRSpaceDBPN)
        _learn_slopes(form)
        self._positions = {name: p.detach().long() for name, p in form.named_parameters()}
        form.base = network.base  # it has nothing to learn, and lies where the network does
        self._form = form

    def __call__(self, network: DBPN, lr: Tensor) -> Tensor:
        """The network's result for (N, C, H, W), its gradients go to the network's parameters."""
        own = [parameter.flatten() for parameter in network.parameters()]
        values = torch.cat([own[0].new_zeros(1), *own])
        parameters = {
            name: values.index_select(0, at.flatten()).view(at.shape)
            for name, at in self._positions.items()
        }
        self._form.region_hw = (lr.shape[2], lr.shape[3])  # its kernels fit any
        sr: Tensor = functional_call(self._form, parameters, (lr,))
        return sr


_FORMS: WeakKeyDictionary[nn.Module, LRSpaceForm] = WeakKeyDictionary()


class OneSlope(nn.Module):
    """A PReLU with one slope, by the kernels of a LeakyReLU: backwards several times as fast."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([slope], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Negative values of any shape are multiplied by the slope."""
        y: Tensor = _LeakyReLU.apply(x, self.weight)  # type: ignore[no-untyped-call]
        return y


class _LeakyReLU(torch.autograd.Function):
    """LeakyReLU whose slope (1,) has a gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, slope.item())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        below = torch.sum(gradient * x.clamp(max=0), dtype=slope.dtype).view(1)
        return torch.ops.aten.leaky_relu_backward(gradient, x, slope.item(), False), below


def _learn_slopes(module: nn.Module) -> None:
    """Fixed slopes become parameters again."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.LeakyReLU):
            setattr(module, name, OneSlope(child.negative_slope))
        else:
            _learn_slopes(child)
