"""Stage 3: super-resolution for the detector's benefit.

Both networks in series, after each has been trained alone. The recipes are weights of one sum:

- plain (Haris, Shakhnarovich, Ukita, arXiv 1803.11316): alpha · distance to the HR image + beta ·
  detection loss, whose gradient goes through the super-resolution network.
- alternate (SR4IR: Kim, Kim, Lee, CVPR 2024, arXiv 2404.01692): the super-resolution network learns
  from the distance to the HR image and the distance of the detector's features, the detector from
  SR, HR and mixed patches, and neither from the other's loss (``detection_to_sr`` 0). The paper
  takes the two steps in turn; here one backward pass holds both, from the same weights.
- hybrid: ours, a sum of all terms.

With ``upscaling`` other than ``sr`` the same code trains the baselines: the detector retrained on
bicubic or on LR images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.networks import SR_NAMES, VIDEO_SR_NAMES
from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_ros.networks.detectors.levels import LevelOutput
from tasksr_ros.networks.super_resolution.blocks import KERNEL_STRIDE_PADDING
from tasksr_training.checkpoints import build_network, load_network
from tasksr_training.clips import ClipBatch
from tasksr_training.datasets import PEDESTRIAN, Batch, check_size
from tasksr_training.degradations import CorruptionConfig, corrupt, corrupt_frames, downscale
from tasksr_training.errors import CheckpointError, TrainingError
from tasksr_training.loop import Validation
from tasksr_training.losses import DetectionLossConfig, detection_loss, quality_focal
from tasksr_training.lr_space import super_resolve
from tasksr_training.stages.detector import (
    ValidationConfig,
    check_validation,
    read_validation,
    validate_detection,
)
from tasksr_training.widening import widened


@dataclass(frozen=True)
class TaskDrivenConfig:
    """What the task-driven stage trains.

    Attributes:
        sr_checkpoint: run of the super-resolution stage to start from; for ``upscaling`` sr.
        detector_checkpoint: run of the detector stage to start from.
        hr_detector_checkpoint: run of the detector stage that stays as it is and says what the
            HR image looks like to a detector; empty: ``detector_checkpoint``.
        detector_width: width to which the detector is widened before it learns, see `widened`;
            0: as it is.
        upscaling: sr, or a baseline: bicubic, or none (the detector sees the LR image).
        scale_factor: 2, 4 or 8; a super-resolution checkpoint must have the same. 1 with
            ``upscaling`` none: the detector sees the HR image, the baselines' bound.
        alpha: weight of the distance to the HR image (L1).
        max_hr_scale: a patch of an image enlarged by more is no HR image, and has no such distance.
        pedestrian_weight: weight of pixels inside pedestrians' boxes in that distance, in
            addition to the 1 of every pixel.
        feature_weight: weight of the distance of the detector's features (L1) of SR and HR.
        features_of: whose features: those of the HR detector, or the detector as it is now.
        beta: weight of the detection loss.
        detection_to_sr: factor of the gradient from the detector's scores and boxes, of the
            detection loss and of distillation, on its way into the super-resolution network; 0:
            none.
        distill_weight: weight of the distance of the scores from what the HR detector says of
            the HR image.
        train: which networks learn.
        frozen_fraction: share of the budget at the start in which only the detector learns, to
            get used to super-resolved images.
        hr_fraction: HR patches that the detector sees beside each SR patch, 0 to 1; above 0 at
            least one per batch.
        mixed_fraction: patches of random 8x8 blocks of SR and HR that it sees beside each,
            likewise.
        sr_learning_rate: learning rate of the super-resolution network, as a factor of the
            loop's.
        corruption: faults added to the LR image; the HR image stays clean.
        loss: how boxes become targets.
        validation: images to measure on while training.
    """

    sr_checkpoint: str = ""
    detector_checkpoint: str = ""
    hr_detector_checkpoint: str = ""
    detector_width: float = 0.0
    upscaling: Literal["sr", "bicubic", "none"] = "sr"
    scale_factor: int = 4
    alpha: float = 1.0
    max_hr_scale: float = 1.5
    pedestrian_weight: float = 0.0
    feature_weight: float = 0.0
    features_of: Literal["hr", "current"] = "hr"
    beta: float = 1.0
    detection_to_sr: float = 1.0
    distill_weight: float = 0.0
    train: Literal["both", "sr", "detector"] = "both"
    frozen_fraction: float = 0.3
    hr_fraction: float = 0.25
    mixed_fraction: float = 0.0
    sr_learning_rate: float = 0.3
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    loss: DetectionLossConfig = field(default_factory=DetectionLossConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)


MIXING = 10**6
"""Of the random stream that mixes, so that it is none of those that draw an image's faults."""


class Series(nn.Module):
    """Super-resolution and detector in series, for training.

    Args:
        sr: (N, 3, h, w) -> (N, 3, h·s, w·s); a baseline without upscaling gives LR back.
        detector: as `tasksr_ros.networks.detectors.fcos.Detector`.
        detection_to_sr: factor of the gradient that goes back from the detector into ``sr``.
    """

    def __init__(self, sr: nn.Module, detector: nn.Module, detection_to_sr: float) -> None:
        super().__init__()
        self.sr = sr
        self.detector = detector
        self._detection_to_sr = detection_to_sr

    def forward(
        self,
        seen: Sequence[Tensor],
        hr: Tensor,
        mixed: Tensor | None,
        mask: Tensor | None,
        sr_learns: bool,
    ) -> tuple[Tensor, list[LevelOutput]]:
        """Super-resolve and detect.

        Args:
            seen: LR images (N, 3, h, w) in [0, 1]; for a video network neighbours and flows, too.
            hr: (K, 3, h·s, w·s) further images for the detector, K may be 0.
            mixed: (M, 3, h·s, w·s) HR images of the first M samples, to be mixed with their SR.
            mask: (M, 1, h·s, w·s) bool, where the mixture is SR.
            sr_learns: whether gradients go to the super-resolution network.

        Returns:
            SR (N, 3, h·s, w·s) and the detector's levels for the N + K + M images.
        """
        with nullcontext() if sr_learns else torch.no_grad():
            sr = super_resolve(self.sr, *seen).float()
        shown = [scale_gradient(sr, self._detection_to_sr)]
        if len(hr):
            shown.append(hr)
        if mixed is not None and mask is not None:
            shown.append(torch.where(mask, sr[: len(mixed)].detach(), mixed))
        levels: list[LevelOutput] = self.detector.levels(torch.cat(shown))  # type: ignore[operator]
        return sr, levels


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """X itself, whose gradient is multiplied by ``factor`` on its way back."""
    still = x.detach()
    return still if factor == 0 else still + factor * (x - still)


class TaskDriven:
    """The weighted sum of the recipe."""

    def __init__(self, config: TaskDrivenConfig, data: Path) -> None:
        check_options(config)
        sr, sr_description = _sr(config)
        self.offsets: tuple[int, ...] = getattr(sr, "offsets", ())
        detector, detector_description = _detector(config)
        self.networks: dict[str, dict[str, Any]] = {
            "sr": sr_description,
            "detector": detector_description,
        }
        sr.requires_grad_(config.train != "detector" and config.upscaling == "sr")
        detector.requires_grad_(config.train != "sr")
        self.module: nn.Module = Series(sr, detector, config.detection_to_sr)
        self.learning_rates = {"sr": config.sr_learning_rate}
        self._config = config
        self._hr_detector: nn.Module | None = None
        if config.distill_weight or (config.feature_weight and config.features_of == "hr"):
            path = Path(config.hr_detector_checkpoint or config.detector_checkpoint)
            self._hr_detector = load_network(path, "detector")[0].requires_grad_(False)
        self._validation = read_validation(config.validation, data)

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Weighted sum; see `Stage`."""
        config = self._config
        sr_learns = self._sr_learns(progress)
        if config.train == "sr":
            module.get_submodule("detector").eval()  # its running statistics stay as they are
        check_patch_size(config, batch.hr.shape[-1])
        seen = camera_images(batch, config)[: 3 if self.offsets else 1]
        extra, mixed = (
            self._further(f, len(batch.hr)) for f in (config.hr_fraction, config.mixed_fraction)
        )
        mask = random_blocks(batch.hr[:mixed], batch.seed) if mixed else None
        sr, levels = module(
            seen, batch.hr[:extra], batch.hr[:mixed] if mixed else None, mask, sr_learns
        )
        losses = self._detection(levels, batch, extra, mixed)
        total = config.beta * losses["detection"]
        if self._config.upscaling != "none":
            losses["l1"] = weighted_l1(sr, batch, config.pedestrian_weight, config.max_hr_scale)
        for name, weight, loss in self._taught(module, sr, levels, batch, sr_learns):
            losses[name] = loss
            total = total + weight * loss
        if sr_learns:
            total = total + config.alpha * losses["l1"]
        return {"total": total, **losses}

    def _further(self, fraction: float, samples: int) -> int:
        """Number of HR or mixed patches; none where the detector sees LR."""
        if fraction == 0 or self._config.upscaling == "none":
            return 0
        return max(1, round(fraction * samples))

    def _detection(
        self, levels: list[LevelOutput], batch: Batch, extra: int, mixed: int
    ) -> dict[str, Tensor]:
        boxes = torch.cat([batch.boxes, batch.boxes[:extra], batch.boxes[:mixed]])
        kind = torch.cat([batch.kind, batch.kind[:extra], batch.kind[:mixed]])
        if self._config.upscaling == "none":
            boxes = boxes / self._config.scale_factor
        open_below = batch.open_below
        if open_below is not None:
            open_below = torch.cat([open_below, open_below[:extra], open_below[:mixed]])
            if self._config.upscaling == "none":
                open_below = open_below / self._config.scale_factor
        return detection_loss(levels, boxes, kind, self._config.loss, open_below)

    def _taught(
        self,
        module: nn.Module,
        sr: Tensor,
        levels: list[LevelOutput],
        batch: Batch,
        sr_learns: bool,
    ) -> Iterator[tuple[str, float, Tensor]]:
        """Name, weight and value of the losses that a detector's view of the HR image gives."""
        config, hr_detector = self._config, self._hr_detector
        by_features = sr_learns and config.feature_weight > 0
        wanted: list[Tensor] = []
        if hr_detector is not None and (config.distill_weight or by_features):
            wanted = still_features(hr_detector.to(sr.device), batch.hr)
        if hr_detector is not None and config.distill_weight:
            taught = hr_detector.predict(wanted)  # type: ignore[operator]
            pedestrians = (batch.kind == PEDESTRIAN).sum().clamp(min=1)
            loss = distillation(levels, taught, len(batch.hr)) / pedestrians
            yield "distill", config.distill_weight, loss
        if by_features and config.features_of == "hr":
            assert hr_detector is not None
            yield "features", config.feature_weight, feature_distance(hr_detector, sr, wanted)
        elif by_features:
            detector = module.get_submodule("detector")
            wanted = still_features(detector, batch.hr)
            yield "features", config.feature_weight, feature_distance(detector, sr, wanted)

    def _sr_learns(self, progress: float) -> bool:
        if self._config.upscaling != "sr" or self._config.train == "detector":
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


def camera_images(batch: Batch, config: TaskDrivenConfig) -> tuple[Tensor, ...]:
    """LR images with a camera's faults; of clips the neighbours with the same, and the flows.

    The flows are those of the frames without faults.
    """
    if not isinstance(batch, ClipBatch):
        lr = downscale(batch.hr, config.scale_factor)
        return (corrupt(lr, config.corruption, batch.seed),)
    frames = torch.cat([batch.lr[:, None], batch.neighbours], 1)
    frames = corrupt_frames(frames, config.corruption, batch.seed)
    return frames[:, 0], frames[:, 1:], batch.flows


def weighted_l1(
    sr: Tensor, batch: Batch, pedestrian_weight: float, max_hr_scale: float = math.inf
) -> Tensor:
    """Mean absolute distance to HR; pixels of pedestrians count 1 + ``pedestrian_weight`` times.

    The distance of a patch of an image enlarged by more than ``max_hr_scale`` is 0.
    """
    distance = (sr - batch.hr).abs().mean(1)
    if batch.scale is not None:
        distance = distance * (batch.scale <= max_hr_scale)[:, None, None]
    if not pedestrian_weight:
        return distance.mean()
    height, width = distance.shape[1:]
    y = torch.arange(height, device=sr.device)[:, None] + 0.5
    x = torch.arange(width, device=sr.device)[None] + 0.5
    x0, y0, x1, y1 = (batch.boxes[..., i, None, None] for i in range(4))
    inside = (
        (x >= x0) & (x < x1) & (y >= y0) & (y < y1) & (batch.kind == PEDESTRIAN)[..., None, None]
    )
    weight = 1 + pedestrian_weight * inside.any(1)
    return (weight * distance).sum() / weight.sum()


@contextmanager
def still(detector: nn.Module) -> Iterator[None]:
    """Keep a detector's weights and running statistics as they are."""
    learns = [(p, p.requires_grad) for p in detector.parameters()]
    trains = detector.training
    detector.eval().requires_grad_(False)
    try:
        yield
    finally:
        detector.train(trains)
        for parameter, learnt in learns:
            parameter.requires_grad_(learnt)


def still_features(detector: nn.Module, images: Tensor) -> list[Tensor]:
    """A detector's features without gradient; its running statistics stay as they are."""
    with still(detector), torch.no_grad():
        features: list[Tensor] = detector.features(images)  # type: ignore[operator]
    return features


def feature_distance(detector: nn.Module, sr: Tensor, wanted: Sequence[Tensor]) -> Tensor:
    """Mean absolute distance of a frozen detector's features from those wanted, over its levels.

    The gradient goes to ``sr`` alone; the detector's running statistics stay as they are.
    """
    with still(detector):
        got = detector.features(sr)  # type: ignore[operator]
    return torch.stack([F.l1_loss(g, w) for g, w in zip(got, wanted, strict=True)]).mean()


def distillation(
    levels: Sequence[LevelOutput], taught: Sequence[LevelOutput], samples: int
) -> Tensor:
    """Sum over all cells of the cross-entropy to the taught scores, weighted by the error squared.

    The form of the quality focal loss (Li et al., NeurIPS 2020, arXiv 2006.04388) with the HR
    detector's scores in place of the quality.

    Args:
        levels: of the detector that learns, the first ``samples`` images of each are compared.
        taught: of the HR detector.
        samples: number of images.
    """
    total = levels[0].logits.new_zeros(())
    for own, other in zip(levels, taught, strict=True):
        total = total + quality_focal(own.logits[:samples], other.logits.sigmoid()).sum()
    return total


def random_blocks(images: Tensor, seed: int, block: int = 8) -> Tensor:
    """(N, 1, H, W) bool in blocks of ``block`` px, each true with probability .5."""
    rng = np.random.default_rng([seed, MIXING])
    n, _, height, width = images.shape
    small = rng.random((n, 1, -(-height // block), -(-width // block))) < 0.5
    mask = torch.from_numpy(small).to(images.device)
    return mask.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :height, :width]


def check_patch_size(config: TaskDrivenConfig, size: int) -> None:
    """Refuse a size of patches, HR px, that the detector cannot take.

    Raises:
        TrainingError: saying which multiple is needed.
    """
    sees_lr = config.upscaling == "none"
    multiple = SIZE_MULTIPLE * (config.scale_factor if sees_lr else 1)
    check_size(size, multiple, f"a detector on {'LR' if sees_lr else 'upscaled'} images")


def check_options(config: TaskDrivenConfig) -> None:
    """Refuse options that do not go together.

    Raises:
        TrainingError: saying which.
    """
    sees_hr = config.upscaling == "none" and config.scale_factor == 1
    if config.scale_factor not in KERNEL_STRIDE_PADDING and not sees_hr:
        raise TrainingError(
            f"stage.scale_factor: expected one of {tuple(KERNEL_STRIDE_PADDING)}, or 1 with "
            f"upscaling none, got {config.scale_factor} with upscaling {config.upscaling}"
        )
    for name in ("hr_fraction", "mixed_fraction"):
        fraction = getattr(config, name)
        if not 0 <= fraction <= 1:
            raise TrainingError(f"stage.{name}: expected 0 to 1, got {fraction}")
    if not 0 <= config.detector_width < math.inf:
        raise TrainingError(
            f"stage.detector_width: expected 0 or more, got {config.detector_width}"
        )
    check_validation(config.validation)
    if config.train == "sr" and config.upscaling != "sr":
        raise TrainingError(f"stage.train sr: expected upscaling sr, got {config.upscaling}")
    if config.distill_weight and config.upscaling == "none" and not sees_hr:
        raise TrainingError(
            "stage.distill_weight: expected 0 for a detector on LR images, whose cells are not "
            f"those of the HR image, got {config.distill_weight}"
        )
    for part in ("detector", *(["sr"] if config.upscaling == "sr" else [])):
        if not getattr(config, f"{part}_checkpoint"):
            raise CheckpointError(f"expected stage.{part}_checkpoint, the run to start from")


def _detector(config: TaskDrivenConfig) -> tuple[nn.Module, dict[str, Any]]:
    network, description = load_network(Path(config.detector_checkpoint), "detector")
    if not config.detector_width:
        return network, description
    if not isinstance(network, Detector):
        raise TrainingError(
            f"stage.detector_width: expected 0 for a detector {description['name']}, "
            f"got {config.detector_width:g}"
        )
    return widened(network, config.detector_width), {**description, "width": config.detector_width}


def _sr(config: TaskDrivenConfig) -> tuple[nn.Module, dict[str, Any]]:
    if config.upscaling != "sr":
        description = {"name": config.upscaling, "scale_factor": config.scale_factor}
        return build_network("sr", description), description
    network, description = load_network(Path(config.sr_checkpoint), "sr")
    if description["scale_factor"] != config.scale_factor:
        raise CheckpointError(
            f"{config.sr_checkpoint}: expected scale factor {config.scale_factor}, "
            f"got {description['scale_factor']}"
        )
    if description["name"] not in (*SR_NAMES, *VIDEO_SR_NAMES):
        raise CheckpointError(
            f"{config.sr_checkpoint}: expected super-resolution of still images or video, one of "
            f"{(*SR_NAMES, *VIDEO_SR_NAMES)}, got {description['name']}"
        )
    if description["name"] in VIDEO_SR_NAMES and config.validation.sets:
        raise TrainingError(
            f"stage.validation.sets: expected none for {description['name']}, which takes more "
            f"than single images, got {list(config.validation.sets)}"
        )
    return network, description
