"""Stage 1: super-resolution trained for people, by the L1 distance to the HR image."""

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

from tasksr_ros.networks import build_sr
from tasksr_training.coco import read_folder
from tasksr_training.datasets import Batch
from tasksr_training.degradations import CorruptionConfig, corrupt, downscale
from tasksr_training.detect import device_of, to_pixels, to_tensor
from tasksr_training.errors import TrainingError
from tasksr_training.loop import Validation
from tasksr_training.psnr import psnr_y


@dataclass(frozen=True)
class SuperResolutionConfig:
    """What the super-resolution stage trains.

    Attributes:
        network: name of the network, see `tasksr_ros.networks.build_sr`.
        options: arguments of the network's class in place of the named variant's.
        scale_factor: 2, 4 or 8.
        corruption: faults added to the LR image; the HR image stays clean.
        validation: folders of images to measure PSNR on, relative to the data folder.
        validation_side: of larger validation images the middle of at most this many px is used.
    """

    network: str = "dbpn-ss"
    options: dict[str, int] = field(default_factory=dict)
    scale_factor: int = 4
    corruption: CorruptionConfig = field(default_factory=lambda: CorruptionConfig(probability=0.0))
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
        return {"sr": description}, build_sr(**description)
    except ValueError as error:
        raise TrainingError(f"stage: {error}") from error


class SuperResolutionOnly(nn.Module):
    """A super-resolution network under the name ``sr``."""

    def __init__(self, sr: nn.Module) -> None:
        super().__init__()
        self.sr = sr

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, h, w) -> (N, 3, h·s, w·s), in [0, 1]."""
        sr: Tensor = self.sr(lr).float()
        return sr


class SuperResolution:
    """L1 between the super-resolved and the HR patch."""

    def __init__(self, config: SuperResolutionConfig, data: Path) -> None:
        self.networks, sr = build(config)
        self.module: nn.Module = SuperResolutionOnly(sr)
        self.learning_rates: dict[str, float] = {}
        self._config = config
        self._validation = {
            name: [centre_crop(i.image, config) for i in read_folder(data / name)]
            for name in config.validation
        }

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """L1; see `Stage`."""
        lr = downscale(batch.hr, self._config.scale_factor)
        lr = corrupt(lr, self._config.corruption, batch.seed)
        sr = module(lr.contiguous(memory_format=torch.channels_last))
        return {"total": F.l1_loss(sr, batch.hr)}

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation:
        """PSNR on luminance per folder, and the first image of each: LR, SR, HR."""
        sr = module.get_submodule("sr")
        figures: dict[str, float] = {}
        pictures: dict[str, NDArray[np.uint8]] = {}
        for name, images in self._validation.items():
            pairs = [(super_resolve(sr, i, self._config.scale_factor), i) for i in images]
            border = self._config.scale_factor
            figures[f"psnr_y/{name}"] = float(np.mean([psnr_y(a, b, border) for a, b in pairs]))
            pictures[name] = np.concatenate(pairs[0], 1)
        return Validation(figures, pictures)


def centre_crop(image: NDArray[np.uint8], config: SuperResolutionConfig) -> NDArray[np.uint8]:
    """Cut the middle of an image, to multiples of the scale factor."""
    side = [min(n, config.validation_side) for n in image.shape[:2]]
    height, width = (n - n % config.scale_factor for n in side)
    y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[y : y + height, x : x + width]


def super_resolve(sr: nn.Module, hr: NDArray[np.uint8], scale_factor: int) -> NDArray[np.uint8]:
    """Downscale an HR image bicubically and super-resolve it again; (H, W, 3) uint8 RGB."""
    lr = downscale(to_tensor(hr).to(device_of(sr)), scale_factor)
    return to_pixels(sr(lr))
