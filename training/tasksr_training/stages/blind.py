"""Stage 1 for blind networks: the image and the kernel that blurred it.

Yoshida, Kondo, Maeda, Akita, Ukita, arXiv 2302.08478: first the image from the true kernel, then
the kernel alone, then both. The released code's weight of the kernel loss is 0 by a typing error;
here it is `BlindConfig.kernel_weight`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.kbpn import KBPN, blur
from tasksr_training.datasets import Batch
from tasksr_training.detect import device_of, to_pixels
from tasksr_training.loop import Validation
from tasksr_training.stages.super_resolution import (
    BlindConfig,
    Sample,
    SuperResolutionConfig,
    build,
    check_options,
    check_patch_size,
    low_resolution,
    mean_psnr,
    read_validation,
    side_by_side,
)

Step = Literal["sr", "kernel", "joint"]


def whole_kernels(kernels: Tensor, scale_factor: int, size: int) -> Tensor:
    """The whole way from HR to LR as one kernel, as `kbpn.blur` wants it.

    The blur, the antialiasing of the bicubic downscaling (a = -0.5), and the place of the LR
    pixels: the downscaling centres LR pixel i at HR coordinate s·i + (s - 1) / 2, `kbpn.blur` at
    s·i. So inside the image ``kbpn.blur(hr, whole_kernels(...), s)`` is
    `tasksr_training.degradations.degrade` of it, but for what ``size`` cuts off.

    Args:
        kernels: (N, k, k) as `tasksr_training.blur_kernels` gives them.
        scale_factor: s.
        size: side of the result, odd.

    Returns:
        (N, size, size), each with a sum of 1.
    """
    offset = torch.arange(-2 * scale_factor, 3 * scale_factor, dtype=torch.float64)
    t = (offset - (scale_factor - 1) / 2).abs() / scale_factor
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weight = torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))
    weight = weight / weight.sum()
    grid = torch.outer(weight, weight).to(kernels)
    # the grid's middle (offset 0) is its element 2·s; room for the blur, and for ``size``
    room = kernels.shape[-1] // 2 + size // 2
    wide = F.pad(grid[None, None], [room] * 4)
    whole = F.conv2d(wide, kernels[:, None])[0]  # this convolves with the turned kernels
    first = 2 * scale_factor
    cropped = whole[:, first : first + size, first : first + size]
    return cropped / cropped.sum((1, 2), keepdim=True)


class BlindOnly(nn.Module):
    """A blind super-resolution network under the name ``sr``."""

    def __init__(self, sr: KBPN) -> None:
        super().__init__()
        self.sr = sr

    def forward(self, lr: Tensor, kernel: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `KBPN.forward`, in float32."""
        sr, used = self.sr(lr, kernel)
        return sr.float(), used.float()


class BlindSuperResolution:
    """The three steps."""

    def __init__(self, config: SuperResolutionConfig, data: Path) -> None:
        check_options(config)
        self.networks, sr = build(config)
        assert isinstance(sr, KBPN)
        self.module: nn.Module = BlindOnly(sr)
        self.learning_rates: dict[str, float] = {}
        self._config = config
        self._validation = read_validation(config, data)

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Weighted sum of what the step learns by; see `Stage`."""
        sr_network = _network(module)
        step = step_of(progress, self._config.blind)
        choose_parameters(sr_network, step)
        check_patch_size(self._config, batch.hr.shape[-1])
        lr, kernels = low_resolution(batch, self._config)
        assert kernels is not None
        true = whole_kernels(kernels, self._config.scale_factor, sr_network.kout)
        sr, kernel = module(lr, true if step == "sr" else None)
        return blind_losses(step, sr, kernel, lr, batch.hr, true, self._config.blind)

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation:
        """PSNR on luminance and the kernels' error per folder; pictures with both kernels.

        The pictures show bicubic, SR and HR; over them the estimated and the true kernel.
        """
        sr = _network(module)
        figures: dict[str, float] = {}
        pictures: dict[str, NDArray[np.uint8]] = {}
        s = self._config.scale_factor
        for name, samples in self._validation.items():
            outputs = [sr(one.lr.to(device_of(sr))) for one in samples]
            true = [_true(one, s, sr.kout) for one in samples]
            results = [to_pixels(image) for image, _ in outputs]
            errors = [
                float((k[0].cpu() - t).square().sum())
                for (_, k), t in zip(outputs, true, strict=True)
            ]
            figures[f"psnr_y/{name}"] = mean_psnr(results, samples, s)
            figures[f"kernel_error/{name}"] = float(np.mean(errors))
            picture = side_by_side(samples[0], results[0], s)
            pictures[name] = with_kernels(picture, outputs[0][1][0].cpu(), true[0])
        return Validation(figures, pictures)


def blind_losses(
    step: Step,
    sr: Tensor,
    kernel: Tensor,
    lr: Tensor,
    hr: Tensor,
    true: Tensor,
    config: BlindConfig,
) -> dict[str, Tensor]:
    """Losses by name; ``total`` is what the step minimises.

    Args:
        step: the image from the true kernel, the kernel alone, or both.
        sr: (N, 3, H·s, W·s).
        kernel: (N, k, k), what the network used.
        lr: (N, 3, H, W).
        hr: the true image.
        true: the true kernel, see `whole_kernels`.
        config: weights.
    """
    s = hr.shape[-1] // lr.shape[-1]
    edge = -(-true.shape[-1] // (2 * s))  # there the blur sees zeros
    inner = (..., slice(edge, -edge), slice(edge, -edge))
    losses = {
        "hr": F.l1_loss(sr, hr),
        "lr": F.l1_loss(blur(sr, kernel, s)[inner], lr[inner]),
        "kernel": (kernel - true).square().sum((1, 2)).mean(),
    }
    image = config.hr_weight * losses["hr"] + config.lr_weight * losses["lr"]
    by_kernel = config.kernel_weight * losses["kernel"]
    totals = {"sr": image, "kernel": by_kernel, "joint": image + by_kernel}
    return {"total": totals[step], **losses}


def step_of(progress: float, config: BlindConfig) -> Step:
    """Which of the three steps it is."""
    if progress < config.sr_fraction:
        return "sr"
    return "kernel" if progress < config.sr_fraction + config.kernel_fraction else "joint"


def choose_parameters(sr: KBPN, step: Step) -> None:
    """Let only those parameters learn that the step is about."""
    sr.requires_grad_(step != "kernel")
    for parameter in sr.kernel_parameters():
        parameter.requires_grad_(step != "sr")


def with_kernels(
    picture: NDArray[np.uint8], estimated: Tensor, true: Tensor, side: int = 52
) -> NDArray[np.uint8]:
    """The estimated kernel, then the true one, enlarged in the upper left corner."""
    picture = picture.copy()
    for position, kernel in enumerate((estimated, true)):
        values = kernel.clamp(min=0).numpy() / max(float(true.max()), 1e-9)
        grey = (values.clip(0, 1) * 255).round().astype(np.uint8)
        large = cv2.resize(grey, (side, side), interpolation=cv2.INTER_NEAREST)
        x = 4 + position * (side + 4)
        fitting = picture[4 : 4 + side, x : x + side]
        fitting[:] = large[: fitting.shape[0], : fitting.shape[1], None]
    return picture


def _true(one: Sample, scale_factor: int, size: int) -> Tensor:
    assert one.kernel is not None
    return whole_kernels(one.kernel[None], scale_factor, size)[0]


def _network(module: nn.Module) -> KBPN:
    sr = module.get_submodule("sr")
    assert isinstance(sr, KBPN)
    return sr
