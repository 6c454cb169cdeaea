"""Stage 1 for the blind peers, IKC and KOALAnet, as their papers train them, in one run.

IKC: first SFTMD from the true kernels' codes (L1), then predictor and corrector by the codes (MSE),
through the loop, with SFTMD frozen. KOALAnet: first the kernels, then the baseline without them,
then both. `BlindConfig` says for which share of the budget; the other losses have weight 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_training.blur_kernels import draw_kernels
from tasksr_training.datasets import Batch
from tasksr_training.detect import device_of, to_pixels
from tasksr_training.loop import Validation
from tasksr_training.peers.koalanet import reconstructed
from tasksr_training.peers.parts import with_sum_of_one
from tasksr_training.peers.systems import IKCSystem, KOALAnetSystem
from tasksr_training.stages.super_resolution import (
    SuperResolutionConfig,
    build,
    check_options,
    check_patch_size,
    low_resolution,
    mean_psnr,
    read_validation,
    side_by_side,
)

BASIS_KERNELS = 2000
"""Drawn to find the directions of IKC's codes."""


class BlindPeer:
    """L1 of the image and the distance of the kernel, in the order of the peer's paper."""

    def __init__(self, config: SuperResolutionConfig, data: Path) -> None:
        check_options(config)
        self.networks, sr = build(config)
        if isinstance(sr, IKCSystem):
            assert config.blur is not None
            sr.basis.fit(draw_kernels(config.blur, BASIS_KERNELS, seed=0)[0])
        self.learning_rates: dict[str, float] = {}
        self.module: nn.Module = _Losses(sr, config)
        self._config = config
        self._validation = read_validation(config, data)

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """See `Stage`."""
        check_patch_size(self._config, batch.hr.shape[-1])
        lr, kernels = low_resolution(batch, self._config)
        losses: dict[str, Tensor] = module(lr, batch.hr, kernels, progress)
        return losses

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation:
        """PSNR on luminance per folder, and the first image of each: bicubic, SR, HR."""
        sr = module.get_submodule("sr")
        figures: dict[str, float] = {}
        pictures: dict[str, NDArray[np.uint8]] = {}
        s = self._config.scale_factor
        for name, samples in self._validation.items():
            results = [to_pixels(sr(one.lr.to(device_of(sr)))[0]) for one in samples]
            figures[f"psnr_y/{name}"] = mean_psnr(results, samples, s)
            pictures[name] = side_by_side(samples[0], results[0], s)
        return Validation(figures, pictures)


class _Losses(nn.Module):
    """A blind peer under the name ``sr``, and what it learns by."""

    def __init__(self, sr: nn.Module, config: SuperResolutionConfig) -> None:
        super().__init__()
        self.sr, self._config = sr, config

    def forward(
        self, lr: Tensor, hr: Tensor, kernels: Tensor, progress: float
    ) -> dict[str, Tensor]:
        """Losses by name; ``total`` is what is minimised."""
        blind = self._config.blind
        if isinstance(self.sr, IKCSystem):
            return ikc_losses(self.sr, lr, hr, kernels, progress < blind.sr_fraction)
        assert isinstance(self.sr, KOALAnetSystem)
        of_kernels = progress < blind.kernel_fraction
        of_baseline = not of_kernels and progress < blind.kernel_fraction + blind.sr_fraction
        whole = whole_kernels(kernels, self.sr.scale_factor)
        return koalanet_losses(self.sr, lr, hr, whole, not of_baseline, not of_kernels)


def ikc_losses(
    system: IKCSystem, lr: Tensor, hr: Tensor, kernels: Tensor, of_image: bool
) -> dict[str, Tensor]:
    """SFTMD's loss, or predictor's and corrector's.

    Args:
        system: the networks.
        lr: (N, 3, H, W).
        hr: (N, 3, H·s, W·s).
        kernels: (N, k, k), the blurs.
        of_image: train SFTMD, from the true codes.
    """
    network = system.network
    true = system.basis(kernels)
    if of_image:
        return {"total": F.l1_loss(network.SFTMD(lr, true), hr)}
    code = network.Predictor(lr)
    total = F.mse_loss(code, true)
    losses = {"predictor": total}
    for _ in range(network.steps):
        with torch.no_grad():
            sr = network.SFTMD(lr, code)
        code = network.Corrector(sr, code.detach())
        total = total + F.mse_loss(code, true) / network.steps
    return {"total": total, **losses, "code": F.mse_loss(code, true)}


def koalanet_losses(
    system: KOALAnetSystem, lr: Tensor, hr: Tensor, true: Tensor, of_kernels: bool, of_image: bool
) -> dict[str, Tensor]:
    """Those of the kernels, of the image, or all.

    Args:
        system: the networks.
        lr: (N, 3, H, W) in [0, 1].
        hr: (N, 3, H·s, W·s) in [0, 1].
        true: (N, k, k), see `whole_kernels`.
        of_kernels: train the estimation.
        of_image: train the image: with the kernels if they are trained, too, else without.
    """
    network, low, high = system.network, 2 * lr - 1, 2 * hr - 1
    losses = {}
    kernels = network.SISR_DDF(low) if of_kernels else None
    if kernels is not None:
        again = reconstructed(high, kernels, system.scale_factor)
        losses["lr"] = F.l1_loss(again, low)
        losses["kernel"] = F.l1_loss(with_sum_of_one(kernels).mean((2, 3)), true.flatten(1))
    if of_image:
        losses["hr"] = F.l1_loss(network.SISR_DUF(low, kernels), high)
    return {"total": torch.stack(list(losses.values())).sum(), **losses}


def whole_kernels(kernels: Tensor, scale_factor: int, size: int = 20) -> Tensor:
    """Blur and bicubic downscaling with antialiasing (a = -0.5) as one kernel about its middle.

    Args:
        kernels: (N, k, k), the blurs as they are drawn.
        scale_factor: s, even.
        size: of the result, even.

    Returns:
        (N, size, size) to correlate HR images with, each with a sum of 1.
    """
    t = (torch.arange(4 * scale_factor, dtype=torch.float64) + 0.5).to(kernels) / scale_factor - 2
    t = t.abs()
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    line = torch.where(t <= 1, near, far)
    room = kernels.shape[-1] // 2 + size // 2
    grid = F.pad(torch.outer(line, line)[None, None], [room] * 4)
    # conv2d correlates: with the kernel of a convolution it gives what a correlation needs
    whole = F.conv2d(grid, kernels[:, None])[0]
    first = (whole.shape[-1] - size) // 2
    cropped = whole[:, first : first + size, first : first + size]
    return cropped / cropped.sum((1, 2), keepdim=True)
