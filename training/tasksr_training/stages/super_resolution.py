"""Stage 1: super-resolution of still images trained for people, by the L1 distance to HR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.bicubic import Bicubic
from tasksr_ros.networks.super_resolution.kbpn import KBPN
from tasksr_training.blur_kernels import BlurConfig, draw_kernels
from tasksr_training.coco import read_folder
from tasksr_training.datasets import Batch, check_size
from tasksr_training.degradations import CorruptionConfig, corrupt, degrade, downscale
from tasksr_training.detect import device_of, to_pixels, to_tensor
from tasksr_training.errors import TrainingError
from tasksr_training.image_quality import psnr
from tasksr_training.loop import Validation
from tasksr_training.lr_space import super_resolve
from tasksr_training.networks import build_any_sr
from tasksr_training.peers.koalanet import MULTIPLE
from tasksr_training.peers.systems import IKCSystem, KOALAnetSystem


@dataclass(frozen=True)
class BlindConfig:
    """Loss and schedule of a blind network (KBPN, arXiv 2302.08478, section 3.3).

    Attributes:
        first_fraction: share of the budget, at its beginning, in which only the features and the
            first kernel are learnt, without making an image: a small part of the work per step.
        sr_fraction: share after that in which the image is learnt from the true kernels.
        kernel_fraction: share after that in which only the kernels are learnt; then both are.
        hr_weight: of the L1 distance to the HR image.
        lr_weight: of the L1 distance between the input and the result blurred again.
        kernel_weight: of the kernels' squared errors, summed over a kernel.
        motion_weight: of the squared errors of what length and angle of a blur are made of.
    """

    first_fraction: float = 0.0
    sr_fraction: float = 0.4
    kernel_fraction: float = 0.2
    hr_weight: float = 0.4
    lr_weight: float = 0.4
    kernel_weight: float = 1.0
    motion_weight: float = 0.4


@dataclass(frozen=True)
class SuperResolutionConfig:
    """What the super-resolution stage trains.

    Attributes:
        network: name of the network, see `tasksr_ros.networks.build_sr`, or of a peer, see
            `tasksr_training.peers.systems`.
        options: arguments of the network's class in place of the named variant's.
        scale_factor: 2, 4 or 8.
        blur: blurs of the HR image before it is downscaled; None: none. A blind network has to
            have them, a still network trained on them is its honest baseline.
        corruption: faults added to the LR image; the HR image stays clean.
        blind: loss and schedule of a blind network.
        validation: folders of images to measure PSNR on, relative to the data folder.
        validation_side: of larger validation images the middle of at most this many px is used.
    """

    network: str = "dbpn-ss"
    options: dict[str, int] = field(default_factory=dict)
    scale_factor: int = 4
    blur: BlurConfig | None = None
    corruption: CorruptionConfig = field(default_factory=lambda: CorruptionConfig(probability=0.0))
    blind: BlindConfig = field(default_factory=BlindConfig)
    validation: Sequence[str] = ("sr/set5", "sr/set14")
    validation_side: int = 512


def build(config: SuperResolutionConfig) -> tuple[dict[str, dict[str, Any]], nn.Module]:
    """What a checkpoint says of the network, and the network.

    Raises:
        TrainingError: for a name, scale factor or option that does not exist.
    """
    description = {
        "name": config.network,
        "scale_factor": config.scale_factor,
        **config.options,
    }
    try:
        return {"sr": description}, build_any_sr(**description)
    except ValueError as error:
        raise TrainingError(f"stage: {error}") from error


def check_options(config: SuperResolutionConfig) -> None:
    """Refuse options that do not go together, and a network that does not exist.

    Raises:
        TrainingError: saying which.
    """
    with torch.device("meta"):  # without its weights
        network = build(config)[1]
    if not isinstance(network, (KBPN, IKCSystem, KOALAnetSystem)):
        return
    if config.blur is None:
        raise TrainingError(f"expected stage.blur for the blind network {config.network}")
    if isinstance(network, IKCSystem) and config.blur.kernel_size != network.basis.kernel_size:
        raise TrainingError(
            f"expected stage.options.kernel_size {config.blur.kernel_size}, that of stage.blur, "
            f"got {network.basis.kernel_size}"
        )
    if isinstance(network, KBPN) and config.blur.kernel_size > network.kout:
        raise TrainingError(
            f"expected blur.kernel_size of at most {network.kout}, the network's kout, "
            f"got {config.blur.kernel_size}"
        )


def check_patch_size(config: SuperResolutionConfig, size: int) -> None:
    """Refuse a size of patches, HR px, that cannot be downscaled by the scale factor.

    Raises:
        TrainingError: saying which multiple is needed.
    """
    multiple = MULTIPLE if config.network.startswith("koalanet") else 1
    what = f"super-resolution by {config.scale_factor}"
    check_size(size, multiple * config.scale_factor, what)


class SuperResolutionOnly(nn.Module):
    """A super-resolution network under the name ``sr``."""

    def __init__(self, sr: nn.Module) -> None:
        super().__init__()
        self.sr = sr

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, h, w) -> (N, 3, h·s, w·s), in [0, 1]."""
        return super_resolve(self.sr, lr).float()


class SuperResolution:
    """L1 between the super-resolved and the HR patch."""

    def __init__(self, config: SuperResolutionConfig, data: Path) -> None:
        self.networks, sr = build(config)
        self.module: nn.Module = SuperResolutionOnly(sr)
        self.learning_rates: dict[str, float] = {}
        self._config = config
        self._validation = read_validation(config, data)

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """L1; see `Stage`."""
        del progress
        check_patch_size(self._config, batch.hr.shape[-1])
        lr = low_resolution(batch, self._config)[0]
        return {"total": F.l1_loss(module(lr), batch.hr)}

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation:
        """PSNR on luminance per folder, and the first image of each: bicubic, SR, HR."""
        sr = module.get_submodule("sr")
        figures: dict[str, float] = {}
        pictures: dict[str, NDArray[np.uint8]] = {}
        scale_factor = self._config.scale_factor
        for name, samples in self._validation.items():
            results = [to_pixels(super_resolve(sr, s.lr.to(device_of(sr)))) for s in samples]
            figures[f"psnr_y/{name}"] = mean_psnr(results, samples, scale_factor)
            pictures[name] = side_by_side(samples[0], results[0], scale_factor)
        return Validation(figures, pictures)


def low_resolution(batch: Batch, config: SuperResolutionConfig) -> tuple[Tensor, Tensor | None]:
    """LR images (N, 3, h, w) of a batch and the kernels (N, k, k) that blurred them, if any."""
    kernels = None
    if config.blur is None:
        lr = downscale(batch.hr, config.scale_factor)
    else:
        kernels = draw_kernels(config.blur, len(batch.hr), batch.seed)[0].to(batch.hr)
        lr = degrade(batch.hr, kernels, config.scale_factor)
    lr = corrupt(lr, config.corruption, batch.seed)
    return lr.contiguous(memory_format=torch.channels_last), kernels


@dataclass(frozen=True, eq=False)
class Sample:
    """A validation image.

    Attributes:
        hr: (H, W, 3) uint8 RGB.
        lr: (1, 3, H / s, W / s) in [0, 1].
        kernel: (k, k), the blur; None: none.
    """

    hr: NDArray[np.uint8]
    lr: Tensor
    kernel: Tensor | None


def read_validation(config: SuperResolutionConfig, data: Path) -> dict[str, list[Sample]]:
    """Samples by folder; each image is blurred by a kernel of its own, always the same."""
    return {
        name: [
            sample(centre_crop(image.image, config), index, config)
            for index, image in enumerate(read_folder(data / name))
        ]
        for name in config.validation
    }


def sample(hr: NDArray[np.uint8], seed: int, config: SuperResolutionConfig) -> Sample:
    """Make the LR image of an HR image whose sides are multiples of the scale factor."""
    image = to_tensor(hr)
    if config.blur is None:
        return Sample(hr, downscale(image, config.scale_factor), None)
    kernels = draw_kernels(config.blur, 1, seed)[0]
    return Sample(hr, degrade(image, kernels, config.scale_factor), kernels[0])


def mean_psnr(
    results: Sequence[NDArray[np.uint8]], samples: Sequence[Sample], border: int
) -> float:
    """PSNR on luminance, dB, the mean over images."""
    pairs = zip(results, samples, strict=True)
    return float(np.mean([psnr(result, s.hr, border) for result, s in pairs]))


def side_by_side(one: Sample, result: NDArray[np.uint8], scale_factor: int) -> NDArray[np.uint8]:
    """Bicubic, SR, HR: (H, 3 W, 3) uint8 RGB."""
    enlarged = to_pixels(Bicubic(scale_factor)(one.lr))
    return np.concatenate([enlarged, result, one.hr], 1)


def centre_crop(image: NDArray[np.uint8], config: SuperResolutionConfig) -> NDArray[np.uint8]:
    """Cut the middle of an image, to multiples of the scale factor."""
    side = [min(n, config.validation_side) for n in image.shape[:2]]
    height, width = (n - n % config.scale_factor for n in side)
    y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[y : y + height, x : x + width]
