"""Stage 1 for blind networks: the image and the kernel that blurred it.

Yoshida, Kondo, Maeda, Akita, Ukita, arXiv 2302.08478: first the image from the true kernel, then
the kernel alone, then both. The released code's weight of the kernel loss is 0 by a typing error;
here it is `BlindConfig.kernel_weight`.

Ours, because the kernel else becomes the same for every image (docs/BLUR.md): the first kernel, the
one from the LR image's features, has its loss in every step and may have a step of its own before
the others; the weights begin as `initialise` says.
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

_CORRECTION_RATE = 0.001
"""Of the corrections' learning rate to that of the rest. A step of the optimiser changes weights by
the learning rate, whatever the gradient: at 1 it adds corrections with a sum of 10 to kernels whose
sum is 1."""

_EDGE_GAIN = 10.0
"""Of the first filters; measured on images of roads, where their answers then have a variance of
about 1."""

Step = Literal["first", "sr", "kernel", "joint"]


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


@torch.no_grad()
def initialise(sr: KBPN) -> None:
    """Begin with kernels that depend on the image, and with the bicubic image.

    - The corrections of the kernel and the residual of the image begin at 0. Corrections of
      Kaiming's size are tens of times as large as the first kernel, whose sum is 1: it vanishes
      beside them when the sum is scaled to 1, and so does its gradient. For the same reason they
      learn slowly, see `_CORRECTION_RATE`.
    - The first filters see no brightness: of it the features, and so the kernel, would be made
      before they were made of edges. `_EDGE_GAIN` makes up for what edges are smaller.
    """
    first = sr.feat.get_submodule("0")
    assert isinstance(first, nn.Conv2d)
    first.weight -= first.weight.mean((2, 3), keepdim=True)
    first.weight *= _EDGE_GAIN
    for stage in sr.stages():
        nn.init.zeros_(stage.kb.kernel_predictor.fe_cat.get_parameter("2.conv.weight"))
    nn.init.zeros_(sr.output_conv.get_parameter("conv.weight"))


class BlindOnly(nn.Module):
    """A blind super-resolution network under the name ``sr``."""

    def __init__(self, sr: KBPN) -> None:
        super().__init__()
        self.sr = sr

    def forward(
        self, lr: Tensor, kernel: Tensor | None, only_first: bool = False
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """The image, the used and the first kernel in float32; see `KBPN.forward`.

        With ``only_first`` no image is made, and the used kernel is the first.
        """
        first = self.sr.first_kernel(lr).float()
        if only_first:
            return None, first, first
        sr, used = self.sr(lr, kernel)
        return sr.float(), used.float(), first


class BlindSuperResolution:
    """The steps of `BlindConfig`."""

    def __init__(self, config: SuperResolutionConfig, data: Path) -> None:
        check_options(config)
        self.networks, sr = build(config)
        assert isinstance(sr, KBPN)
        initialise(sr)
        self.module: nn.Module = BlindOnly(sr)
        self.learning_rates = {
            f"sr.back_projection_stages.{i}.kb.kernel_predictor": _CORRECTION_RATE
            for i in range(len(sr.stages()))
        }
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
        sr, kernel, first = module(lr, true if step == "sr" else None, step == "first")
        config = self._config.blind
        losses = kernel_losses(first, true, config)
        if sr is not None:
            rest = blind_losses(step, sr, kernel, lr, batch.hr, true, config)
            losses = {**losses, **rest, "total": losses["total"] + rest["total"]}
        return losses

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
    """Losses by name of the image and the used kernel; ``total`` is what the step minimises.

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
        "kernel": _squared_error(kernel, true),
    }
    image = config.hr_weight * losses["hr"] + config.lr_weight * losses["lr"]
    by_kernel = _by_kernel(kernel, true, config)
    totals = {"sr": image, "kernel": by_kernel, "joint": image + by_kernel}
    return {"total": totals[step], **losses}


def kernel_losses(first: Tensor, true: Tensor, config: BlindConfig) -> dict[str, Tensor]:
    """Losses by name of the first kernel (N, k, k), beside the true one; see `blind_losses`."""
    return {"total": _by_kernel(first, true, config), "first": _squared_error(first, true)}


def _squared_error(kernel: Tensor, true: Tensor) -> Tensor:
    return (kernel - true).square().sum((1, 2)).mean()


def _by_kernel(kernel: Tensor, true: Tensor, config: BlindConfig) -> Tensor:
    off = stretching(kernel) - stretching(true)
    return (
        config.kernel_weight * _squared_error(kernel, true)
        + config.motion_weight * off.square().sum(1).mean()
    )


def stretching(kernels: Tensor) -> Tensor:
    """What `tasksr_ros.blur` makes length and angle of, 1 for a line of a kernel's side.

    Kernels (N, k, k), each with a sum of 1 -> (N, 2): xx - yy and 2 xy, the second central moments,
    as a share of the k² / 12 of such a line.
    """
    size = kernels.shape[-1]
    at = torch.arange(size, device=kernels.device, dtype=kernels.dtype) - size // 2
    columns, rows = kernels.sum(1), kernels.sum(2)
    x, y = columns @ at, rows @ at
    xx, yy = columns @ at.square() - x.square(), rows @ at.square() - y.square()
    xy = (kernels @ at) @ at - x * y
    return torch.stack((xx - yy, 2 * xy), 1) * (12 / size**2)


def step_of(progress: float, config: BlindConfig) -> Step:
    """Which of the steps it is."""
    steps: list[tuple[Step, float]] = [
        ("first", config.first_fraction),
        ("sr", config.sr_fraction),
        ("kernel", config.kernel_fraction),
    ]
    end = 0.0
    for step, fraction in steps:
        end += fraction
        if progress < end:
            return step
    return "joint"


def choose_parameters(sr: KBPN, step: Step) -> None:
    """Let only those parameters learn that the step is about; the first kernel's always do."""
    sr.requires_grad_(step in ("sr", "joint"))
    for parameter in sr.kernel_parameters():
        parameter.requires_grad_(step in ("kernel", "joint"))
    sr.predictor.requires_grad_(True)
    if step == "first":
        sr.feat.requires_grad_(True)


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
