"""Batch normalisation put behind convolutions whose own was folded in, and folded in again.

Published weights come folded. A network without normalisation bears only low learning rates, at
which it learns slowly. Each convolution gets a normalisation whose
statistics are those of its outputs on some images, and whose scale and shift undo it: what the
network computes in eval mode stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils.hooks import RemovableHandle

NORM = "norm"
"""Name of the normalisation in its convolution."""
MOMENTUM, EPS = 0.03, 1e-5


class NormalisedConv2d(nn.Conv2d):
    """A convolution whose output is normalised; see `normalise`."""

    def forward(self, input: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        y: Tensor = self.get_submodule(NORM)(super().forward(input))
        return y


class _Moments:
    """Mean and variance of the outputs of a convolution, by channel, over batches."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer, self.count = layer, 0
        self.sums = torch.zeros(2, layer.out_channels, dtype=torch.float64)
        self.of_whole_maps = True
        self.hook: RemovableHandle = layer.register_forward_hook(self._look)

    def _look(self, layer: nn.Module, inputs: object, output: Tensor) -> None:
        values = output.detach().double()
        self.count += values[:, 0].numel()
        self.sums += torch.stack([values.sum((0, 2, 3)), (values * values).sum((0, 2, 3))]).cpu()
        self.of_whole_maps &= output.shape[2] * output.shape[3] > 1

    def norm(self) -> nn.BatchNorm2d:
        """One that leaves as they are outputs with this mean and variance."""
        mean, square = self.sums / self.count
        variance = (square - mean * mean).clamp(min=0)
        norm = nn.BatchNorm2d(self.layer.out_channels, EPS, MOMENTUM)
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(variance)  # type: ignore[union-attr]
        with torch.no_grad():
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)
        return norm.to(self.layer.weight.device)


@torch.no_grad()
def normalise(network: nn.Module, images: Iterable[Tensor], keep: Iterable[nn.Module]) -> None:
    """Put batch normalisation behind the convolutions of a network.

    Those that see one value for an image, as in squeeze-and-excitation, stay as they are.

    Args:
        network: changed in place; its parameters keep their names.
        images: batches of what it takes, from which the statistics come.
        keep: convolutions that stay as they are, as the last of a head.
    """
    kept = {id(layer) for layer in keep}
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and id(m) not in kept]
    moments = [_Moments(layer) for layer in layers]
    for batch in images:
        network(batch)
    for of in moments:
        of.hook.remove()
        if of.count and of.of_whole_maps:
            of.layer.__class__ = NormalisedConv2d
            of.layer.add_module(NORM, of.norm())
            if of.layer.bias is not None:
                of.layer.bias.requires_grad_(False)  # the normalisation takes it out again


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without the normalisations of `normalise`, which compute the same in eval mode."""
    mark = f".{NORM}.running_var"
    layers = [name.removesuffix(mark) for name in weights if name.endswith(mark)]
    result = {
        name: value
        for name, value in weights.items()
        if not any(name.startswith(f"{layer}.{NORM}.") for layer in layers)
    }
    for layer in layers:
        weight, bias, mean, variance = (
            weights[f"{layer}.{NORM}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        convolution = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        fused = fuse_conv_bn_weights(*convolution, mean, variance, EPS, weight, bias)
        result[f"{layer}.weight"], result[f"{layer}.bias"] = (value.detach() for value in fused)
    return result
