"""Stage 3: super-resolution for the detector's benefit.

Haris, Shakhnarovich, Ukita, arXiv 1803.11316: alpha · super-resolution loss + beta · detection
loss, both networks in series, after each has been trained alone. With ``bicubic`` in place of the
super-resolution network the same code trains the baseline: the detector retrained on bicubic
images.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.detector import LevelOutput
from tasksr_training.checkpoints import build_network, load_network
from tasksr_training.datasets import Batch
from tasksr_training.degradations import CorruptionConfig, corrupt, downscale
from tasksr_training.errors import CheckpointError
from tasksr_training.loop import Validation
from tasksr_training.losses import DetectionLossConfig, detection_loss
from tasksr_training.stages.detector import (
    ValidationConfig,
    read_validation,
    validate_detection,
)


@dataclass(frozen=True)
class TaskDrivenConfig:
    """What the task-driven stage trains.

    Attributes:
        sr_checkpoint: run of the super-resolution stage to start from; empty for ``bicubic``.
        detector_checkpoint: run of the detector stage to start from.
        bicubic: train the detector on bicubically enlarged images: the baseline.
        scale_factor: 2, 4 or 8; a super-resolution checkpoint must have the same.
        alpha: weight of the super-resolution loss.
        beta: weight of the detection loss.
        train: which networks learn.
        frozen_fraction: share of the budget at the start in which only the detector learns, to
            get used to super-resolved images.
        hr_fraction: HR patches that the detector sees beside each SR patch.
        sr_learning_rate: learning rate of the super-resolution network, as a factor of the
            loop's.
        corruption: faults added to the LR image; the HR image stays clean.
        loss: how boxes become targets.
        validation: images to measure on while training.
    """

    sr_checkpoint: str = ""
    detector_checkpoint: str = ""
    bicubic: bool = False
    scale_factor: int = 4
    alpha: float = 1.0
    beta: float = 1.0
    train: Literal["both", "sr", "detector"] = "both"
    frozen_fraction: float = 0.3
    hr_fraction: float = 0.25
    sr_learning_rate: float = 0.3
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    loss: DetectionLossConfig = field(default_factory=DetectionLossConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)


class Series(nn.Module):
    """Super-resolution and detector in series, for training.

    Args:
        sr: (N, 3, h, w) -> (N, 3, h·s, w·s).
        detector: as `tasksr_ros.networks.detector.Detector`.
    """

    def __init__(self, sr: nn.Module, detector: nn.Module) -> None:
        super().__init__()
        self.sr = sr
        self.detector = detector

    def forward(self, lr: Tensor, hr: Tensor, sr_learns: bool) -> tuple[Tensor, list[LevelOutput]]:
        """Super-resolve and detect.

        Args:
            lr: (N, 3, h, w) in [0, 1].
            hr: (K, 3, h·s, w·s) further images for the detector, K may be 0.
            sr_learns: whether gradients go to the super-resolution network.

        Returns:
            SR (N, 3, h·s, w·s) and the detector's levels for the N + K images.
        """
        with nullcontext() if sr_learns else torch.no_grad():
            sr = self.sr(lr.contiguous(memory_format=torch.channels_last)).float()
        levels: list[LevelOutput] = self.detector.levels(torch.cat([sr, hr]))  # type: ignore[operator]
        return sr, levels


class TaskDriven:
    """alpha · L1 + beta · detection loss."""

    def __init__(self, config: TaskDrivenConfig, data: Path) -> None:
        sr, sr_description = _sr(config)
        detector, detector_description = load_network(
            _given(config.detector_checkpoint, "detector"), "detector"
        )
        self.networks: dict[str, dict[str, Any]] = {
            "sr": sr_description,
            "detector": detector_description,
        }
        sr.requires_grad_(config.train != "detector" and not config.bicubic)
        detector.requires_grad_(config.train != "sr")
        self.module: nn.Module = Series(sr, detector)
        self.learning_rates = {"sr": config.sr_learning_rate}
        self._config = config
        self._validation = read_validation(config.validation, data)

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Weighted sum; see `Stage`."""
        config = self._config
        sr_learns = self._sr_learns(progress)
        if config.train == "sr":
            module.get_submodule("detector").eval()  # its running statistics stay as they are
        lr = corrupt(downscale(batch.hr, config.scale_factor), config.corruption, batch.seed)
        extra = round(config.hr_fraction * len(lr))
        sr, levels = module(lr, batch.hr[:extra], sr_learns)
        losses = detection_loss(
            levels,
            torch.cat([batch.boxes, batch.boxes[:extra]]),
            torch.cat([batch.kind, batch.kind[:extra]]),
            config.loss,
        )
        l1 = F.l1_loss(sr, batch.hr)
        total = config.beta * losses["detection"]
        return {"total": total + config.alpha * l1 if sr_learns else total, "l1": l1, **losses}

    def _sr_learns(self, progress: float) -> bool:
        if self._config.bicubic or self._config.train == "detector":
            return False
        return self._config.train == "sr" or progress >= self._config.frozen_fraction

    def validate(self, module: nn.Module) -> Validation:
        """AP and PSNR-Y of super-resolved images, SR -> detector."""
        return validate_detection(
            self._validation,
            module.get_submodule("sr"),
            module.get_submodule("detector"),
            self._config.scale_factor,
        )


def _given(path: str, what: str) -> Path:
    if not path:
        raise CheckpointError(f"expected stage.{what}_checkpoint, the run to start from")
    return Path(path)


def _sr(config: TaskDrivenConfig) -> tuple[nn.Module, dict[str, Any]]:
    if config.bicubic:
        description = {"name": "bicubic", "scale_factor": config.scale_factor}
        return build_network("sr", description), description
    network, description = load_network(_given(config.sr_checkpoint, "sr"), "sr")
    if description["scale_factor"] != config.scale_factor:
        raise CheckpointError(
            f"{config.sr_checkpoint}: expected scale factor {config.scale_factor}, "
            f"got {description['scale_factor']}"
        )
    return network, description
