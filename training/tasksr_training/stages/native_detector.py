"""The detector on native images: taught by labels, kept by what it knew."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasksr_ros.networks.detectors.levels import LevelOutput
from tasksr_ros.networks.detectors.picodet import PicoDet
from tasksr_training.batch_norm import normalise
from tasksr_training.checkpoints import load_network
from tasksr_training.coco import LabelledImage
from tasksr_training.datasets import PEDESTRIAN, Batch, check_size
from tasksr_training.degradations import CorruptionConfig, corrupt
from tasksr_training.errors import TrainingError
from tasksr_training.loop import Validation
from tasksr_training.losses import DetectionLossConfig, detection_loss, inside, quality_focal
from tasksr_training.native_crops import NativeSourceConfig, read_held_out
from tasksr_training.native_measure import SIZE_MULTIPLE, detect_native, figures, in_torch
from tasksr_training.published_weights import load_onnx_weights
from tasksr_training.stages.detector import DetectorOnly

SOMEBODY = 0.1
"""Least score with which a teacher says that somebody may be there."""


@dataclass(frozen=True)
class NativeDetectorConfig:
    """What the stage trains.

    Attributes:
        start: what the network begins with: the ONNX file with the published COCO weights of
            PicoDet-S, or an earlier run of this stage; empty: from scratch.
        teacher: ONNX file with the published weights that teach; empty: ``start``.
        distillation_weight: of the teacher's scores as targets, where no labelled pedestrian is;
            0: no teacher.
        normalised: whether batch normalisation, which the published weights have folded in, is put
            behind the convolutions while they learn.
        backbone_rate: factor of the learning rate of the backbone.
        corruption: faults added to the crops; the teacher sees them without.
        loss: how boxes become targets.
        validate_every: while training, every n-th held-out image of each set is measured; 0: none.
    """

    start: str = ""
    teacher: str = ""
    distillation_weight: float = 1.0
    normalised: bool = True
    backbone_rate: float = 0.3
    corruption: CorruptionConfig = field(default_factory=lambda: CorruptionConfig(probability=0.3))
    loss: DetectionLossConfig = field(
        default_factory=lambda: DetectionLossConfig(assignment="task-aligned")
    )
    validate_every: int = 8


class NativeDetectorStage:
    """Task-aligned detection loss on crops of native images, beside the teacher's scores."""

    def __init__(
        self, config: NativeDetectorConfig, data: Path, sources: Sequence[NativeSourceConfig]
    ) -> None:
        check_options(config)
        self.networks: dict[str, dict[str, Any]] = {
            "detector": {"name": "picodet-s", "num_classes": 1}
        }
        detector = beginning(config.start)
        self.module: nn.Module = DetectorOnly(detector)
        self.learning_rates = {"detector": 1.0, "detector.backbone": config.backbone_rate}
        self._config = config
        self._teacher: nn.Module | None = None
        if config.distillation_weight:
            teacher = beginning(config.teacher) if config.teacher else copy.deepcopy(detector)
            self._teacher = teacher.requires_grad_(False).eval()
            self._teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._held_out: dict[str, list[LabelledImage]] = {}
        if config.validate_every:
            found = {s.path: read_held_out(data, s)[:: config.validate_every] for s in sources}
            self._held_out = {name: images for name, images in found.items() if images}

    def normalise(self, images: Iterable[Tensor]) -> None:
        """Put batch normalisation into the detector; see `NativeDetectorConfig.normalised`.

        Args:
            images: (N, 3, H, W) RGB in [0, 1], batches like those to learn from.
        """
        detector = self.module.get_submodule("detector")
        heads = detector.get_submodule("head")
        last = [level.get_submodule("2") for level in heads.children()]
        normalise(detector.eval(), images, keep=last)
        detector.train()

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Detection loss, and the distance to the teacher's scores; see `Stage`."""
        check_patch_size(self._config, batch.hr.shape[-1])
        images = corrupt(batch.hr, self._config.corruption, batch.seed)
        levels = module(images.contiguous(memory_format=torch.channels_last))
        losses = detection_loss(
            levels, batch.boxes, batch.kind, self._config.loss, batch.open_below
        )
        total = losses["detection"]
        if self._teacher is not None:
            taught = self._teacher.to(batch.hr.device)
            with torch.no_grad():
                wanted: list[LevelOutput] = taught.levels(  # type: ignore[operator]
                    batch.hr.contiguous(memory_format=torch.channels_last)
                )
            losses["distillation"] = distillation_loss(levels, wanted, batch.boxes, batch.kind)
            total = total + self._config.distillation_weight * losses["distillation"]
        return {"total": total, **losses}

    def validate(self, module: nn.Module) -> Validation:
        """AP at IoU .5 on held-out native images, by height, as they are."""
        detect = in_torch(module.get_submodule("detector"))
        found: dict[str, float] = {}
        for name, images in self._held_out.items():
            boxes = [detect_native(detect, image.image, 1) for image in images]
            values = figures(boxes, images)
            found.update({f"ap50 {height}/{name}": ap for height, ap in values.items()})
        return Validation(found, {})


def beginning(path: str) -> PicoDet:
    """PicoDet-S with the weights of a file or run; see `NativeDetectorConfig.start`.

    Raises:
        TrainingDataError: for an ONNX file that does not fit.
        CheckpointError: for a run that cannot be read.
        TrainingError: for a run of another detector.
    """
    detector = PicoDet(1)
    if path.endswith(".onnx"):
        load_onnx_weights(detector, Path(path))
    elif path:
        earlier, description = load_network(Path(path), "detector")
        if not isinstance(earlier, PicoDet) or earlier.num_classes != 1:
            raise TrainingError(f"{path}: expected a run of native-detector, got {description}")
        detector = earlier
    return detector


def distillation_loss(
    levels: Sequence[LevelOutput], wanted: Sequence[LevelOutput], boxes: Tensor, kind: Tensor
) -> Tensor:
    """Quality focal loss to the teacher's scores, over the sum of its scores that say somebody.

    Cells in labelled pedestrians are left to the labels.
    """
    losses, weights = [], []
    for level, teacher in zip(levels, wanted, strict=True):
        score = teacher.logits.sigmoid()
        free = ~inside(level, boxes, kind == PEDESTRIAN)[:, None]
        losses.append((quality_focal(level.logits, score) * free).sum())
        weights.append((score * (score >= SOMEBODY) * free).sum())
    return torch.stack(losses).sum() / torch.stack(weights).sum().clamp(min=1)


def check_options(config: NativeDetectorConfig) -> None:
    """Refuse options that the stage cannot be trained with.

    Raises:
        TrainingError: saying which.
    """
    if config.distillation_weight and not (config.teacher or config.start):
        raise TrainingError(
            "stage.distillation_weight: expected 0 without stage.start, whose weights teach, "
            f"got {config.distillation_weight}"
        )
    if config.teacher and not config.teacher.endswith(".onnx"):
        raise TrainingError(f"stage.teacher: expected an ONNX file, got {config.teacher}")
    if config.loss.assignment != "task-aligned":
        raise TrainingError(
            f"stage.loss.assignment: expected task-aligned, got {config.loss.assignment}"
        )
    for name in ("distillation_weight", "backbone_rate", "validate_every"):
        if not getattr(config, name) >= 0:
            raise TrainingError(f"stage.{name}: expected at least 0, got {getattr(config, name)}")


def check_patch_size(config: NativeDetectorConfig, size: int) -> None:
    """Refuse a size of crops, px, that the detector cannot take.

    Raises:
        TrainingError: saying which multiple is needed.
    """
    del config
    check_size(size, SIZE_MULTIPLE, "a detector on native images")
