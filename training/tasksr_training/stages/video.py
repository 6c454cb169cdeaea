"""Stage 1 for video networks: L1 between the super-resolved target frame and its HR frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.flow import neighbours_and_flows
from tasksr_ros.networks.super_resolution.rbpn import RBPN
from tasksr_training.clips import ClipBatch
from tasksr_training.coco import read_folder
from tasksr_training.degradations import downscale
from tasksr_training.detect import device_of, to_pixels, to_tensor
from tasksr_training.image_quality import psnr
from tasksr_training.loop import Validation
from tasksr_training.peers.systems import VideoPeer
from tasksr_training.stages.super_resolution import (
    SuperResolutionConfig,
    build,
    centre_crop,
    check_patch_size,
)

Images = NDArray[np.uint8]


class VideoOnly(nn.Module):
    """A video super-resolution network under the name ``sr``."""

    def __init__(self, sr: nn.Module) -> None:
        super().__init__()
        self.sr = sr

    def forward(self, lr: Tensor, neighbours: Tensor, flows: Tensor) -> Tensor:
        """As `RBPN.forward`."""
        sr: Tensor = self.sr(lr, neighbours, flows).float()
        return sr


class VideoSuperResolution:
    """L1 between the super-resolved and the HR target."""

    def __init__(self, config: SuperResolutionConfig, data: Path) -> None:
        self.networks, sr = build(config)
        assert isinstance(sr, (RBPN, VideoPeer))
        self.offsets = sr.offsets
        self.module: nn.Module = VideoOnly(sr)
        self.learning_rates: dict[str, float] = {}
        self._config = config
        self._validation = {
            name: [centre_crop(i.image, config) for i in read_folder(data / name)]
            for name in config.validation
        }

    def loss(self, module: nn.Module, batch: ClipBatch, progress: float) -> dict[str, Tensor]:
        """L1; see `Stage`."""
        del progress
        check_patch_size(self._config, batch.hr.shape[-1])
        lr = batch.lr.contiguous(memory_format=torch.channels_last)
        return {"total": F.l1_loss(module(lr, batch.neighbours, batch.flows), batch.hr)}

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation:
        """PSNR on luminance per folder of consecutive frames, and its middle frame: SR, HR."""
        sr = module.get_submodule("sr")
        assert isinstance(sr, (RBPN, VideoPeer))
        figures: dict[str, float] = {}
        pictures: dict[str, Images] = {}
        for name, frames in self._validation.items():
            results = super_resolve_frames(sr, frames)
            border = self._config.scale_factor
            figures[f"psnr_y/{name}"] = float(
                np.mean([psnr(a, b, border) for a, b in zip(results, frames, strict=True)])
            )
            middle = len(frames) // 2
            pictures[name] = np.concatenate([results[middle], frames[middle]], 1)
        return Validation(figures, pictures)


def super_resolve_frames(sr: RBPN | VideoPeer, frames: list[Images]) -> list[Images]:
    """Downscale the HR frames of a recording and super-resolve them again.

    Args:
        sr: the network.
        frames: (H, W, 3) uint8 RGB of one shape, in the order of time.
    """
    lr = [to_pixels(downscale(to_tensor(f), sr.scale_factor)) for f in frames]
    return super_resolve_lr_frames(sr, lr)


@torch.no_grad()
def super_resolve_lr_frames(sr: RBPN | VideoPeer, frames: list[Images]) -> list[Images]:
    """Super-resolve all frames of a recording; at its ends neighbours are missing.

    With a network of past frames alone, that is what the running pipeline makes of them.

    Args:
        sr: the network.
        frames: (h, w, 3) uint8 RGB of one shape, in the order of time.
    """
    device = device_of(sr)
    results = []
    for index, target in enumerate(frames):
        there = (index + offset for offset in sr.offsets)
        neighbours, flows = neighbours_and_flows(
            target, [frames[i] if 0 <= i < len(frames) else None for i in there]
        )
        stacked = torch.cat([to_tensor(n) for n in neighbours])[None]
        batch = (to_tensor(target), stacked, torch.from_numpy(flows)[None])
        results.append(to_pixels(sr(*(t.to(device) for t in batch))))
    return results
