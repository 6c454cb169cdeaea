"""DBPN: Deep Back-Projection Networks for super-resolution.

Haris, Shakhnarovich, Ukita: "Deep Back-Projection Networks For Super-Resolution", CVPR 2018
(arXiv 1803.02735). Structure, names of the state dict's keys and initialisation follow the
authors' public code, alterzero/DBPN-Pytorch (dbpn.py, dbpns.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.bicubic import ConvolvedBicubic
from tasksr_ros.networks.super_resolution.blocks import (
    ConvBlock,
    DownUnit,
    UpUnit,
    check_images,
    check_scale_factor,
)

VARIANTS: dict[str, dict[str, int | bool]] = {
    "dbpn-ss-8": {"n0": 32, "nr": 8, "num_stages": 2},
    "dbpn-ss-12": {"n0": 48, "nr": 12, "num_stages": 2},
    "dbpn-ss": {"n0": 64, "nr": 18, "num_stages": 2},
    "dbpn-s": {"n0": 128, "nr": 32, "num_stages": 2},
    "dbpn-m": {"n0": 128, "nr": 32, "num_stages": 4},
    "dbpn-l": {"n0": 128, "nr": 32, "num_stages": 6},
    "d-dbpn": {"n0": 256, "nr": 64, "num_stages": 7, "dense": True},
}
"""Constructor arguments of the paper's networks, by name, and of two narrower ones."""


class DBPN(nn.Module):
    """Alternating up- and down-projections; every HR map takes part in the reconstruction.

    Args:
        scale_factor: 2, 4 or 8.
        num_channels: image channels: 3 for RGB, 1 for luminance.
        n0: channels of the first feature map.
        nr: channels of the projections.
        num_stages: number of up-projections T; there are T - 1 down-projections.
        dense: D-DBPN: from the second down- and the third up-projection on, a unit sees all
            maps before it, newest first.
        reconstruction_kernel_size: 3 as in the released code, or 1 as in the paper's luminance
            networks.
        residual: the network's result is added to bicubic enlargement (ours; of RGB images).

    Raises:
        ValueError: for a scale factor without defined projections, no stage, or a residual of
            other images than RGB.
    """

    def __init__(
        self,
        scale_factor: int = 4,
        num_channels: int = 3,
        n0: int = 64,
        nr: int = 18,
        num_stages: int = 2,
        dense: bool = False,
        reconstruction_kernel_size: int = 3,
        residual: bool = False,
    ) -> None:
        super().__init__()
        check_scale_factor(scale_factor)
        if num_stages < 1:
            raise ValueError(f"num_stages must be at least 1, got {num_stages}")
        if reconstruction_kernel_size not in (1, 3):
            raise ValueError(
                f"reconstruction_kernel_size must be 1 or 3, got {reconstruction_kernel_size}"
            )
        if residual and num_channels != 3:
            raise ValueError(f"residual needs 3 image channels, got {num_channels}")
        self.scale_factor = scale_factor
        self.num_channels = num_channels
        self.base = ConvolvedBicubic(scale_factor) if residual else None
        self.num_stages = num_stages
        self.dense = dense
        self.feat0 = ConvBlock(num_channels, n0, 3, 1, 1)
        self.feat1 = ConvBlock(n0, nr, 1)
        for stage in range(1, num_stages + 1):
            up_inputs = max(1, stage - 1) if dense else 1
            self.add_module(f"up{stage}", UpUnit(nr, scale_factor, up_inputs))
            if stage < num_stages:
                down_inputs = stage if dense else 1
                self.add_module(f"down{stage}", DownUnit(nr, scale_factor, down_inputs))
        kernel_size = reconstruction_kernel_size
        self.output_conv = ConvBlock(
            nr * num_stages, num_channels, kernel_size, 1, kernel_size // 2, activation=False
        )

    def forward(self, lr: Tensor) -> Tensor:
        """Super-resolve images.

        Args:
            lr: (N, num_channels, H, W) float in [0, 1], RGB or luminance.

        Returns:
            (N, num_channels, H·s, W·s); not clipped to [0, 1].

        Raises:
            ValueError: for a batch of another shape or type.
        """
        check_images(lr, self.num_channels, self.feat0.conv.weight)
        x = self.feat1(self.feat0(lr))
        hr_maps: list[Tensor] = []
        lr_maps: list[Tensor] = []
        for stage in range(1, self.num_stages + 1):
            hr_maps.insert(0, self.get_submodule(f"up{stage}")(x))
            if stage < self.num_stages:
                down = self.get_submodule(f"down{stage}")
                lr_maps.insert(0, down(torch.cat(hr_maps, 1) if self.dense else hr_maps[0]))
                x = torch.cat(lr_maps, 1) if self.dense else lr_maps[0]
        sr: Tensor = self.output_conv(torch.cat(hr_maps, 1))
        return sr if self.base is None else sr + self.base(lr)

    def load_reference_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of a published checkpoint, with or without ``module.`` prefixes.

        Raises:
            ValueError: if the keys or shapes are another network's; the first are named.
        """
        load_reference_state_dict(self, state_dict)


def load_reference_state_dict(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load ``state_dict`` into ``network``, ignoring ``module.`` prefixes of data parallelism.

    Raises:
        ValueError: names the first missing, unexpected and differently shaped keys.
    """
    given = without_module(state_dict)
    own = network.state_dict()
    problems = [
        ("missing", [k for k in own if k not in given]),
        ("unexpected", [k for k in given if k not in own]),
        (
            "of another shape",
            [
                f"{k} (expected {tuple(own[k].shape)}, got {_shape(given[k])})"
                for k in own
                if k in given and tuple(own[k].shape) != _shape(given[k])
            ],
        ),
    ]
    found = [f"{what}: {', '.join(keys[:3])}" for what, keys in problems if keys]
    if found:
        raise ValueError(
            f"these weights are not a {type(network).__name__}'s as constructed; "
            + "; ".join(found)
        )
    network.load_state_dict(given)


def without_module(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes of data parallelism.

    Raises:
        ValueError: if it is no mapping of names.
    """
    if not isinstance(state_dict, Mapping) or not all(isinstance(k, str) for k in state_dict):
        raise ValueError(
            f"expected a state dict (names and tensors), got {type(state_dict).__name__}"
        )
    return {key.removeprefix("module."): value for key, value in state_dict.items()}


def _shape(value: Tensor) -> tuple[int, ...] | str:
    """Of what a file holds under a weight's name."""
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
