"""Stage 2: the detector, on HR patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.evaluation.metrics import average_precision, match_images
from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_ros.networks.detectors.levels import LevelOutput
from tasksr_training.coco import LabelledImage, read_set
from tasksr_training.datasets import Batch, check_size
from tasksr_training.degradations import CorruptionConfig, corrupt, down_up
from tasksr_training.detect import HR, DetectConfig, detect_image, pairs
from tasksr_training.errors import TrainingError
from tasksr_training.loop import Validation
from tasksr_training.losses import DetectionLossConfig, detection_loss


@dataclass(frozen=True)
class ValidationConfig:
    """Images to measure detection on while training.

    Attributes:
        sets: COCO JSON files, relative to the data folder.
        every: every n-th image of each is used.
    """

    sets: Sequence[str] = ("camvid/val.json", "bdd100k/val.json")
    every: int = 4


SOFTENING = 10**6
"""Of the random stream that softens, so that it is none of those that draw an image's faults."""


@dataclass(frozen=True)
class DetectorConfig:
    """What the detector stage trains.

    Attributes:
        width: of the detector.
        softened_fraction: share of the batches that are reduced and enlarged again, so that the
            detector is not lost on images with less detail than HR ones.
        max_softening: greatest factor of that reduction.
        corruption: faults added to the images.
        loss: how boxes become targets.
        validation: images to measure on while training.
    """

    width: float = 1.0
    softened_fraction: float = 0.25
    max_softening: float = 3.0
    corruption: CorruptionConfig = field(default_factory=lambda: CorruptionConfig(probability=0.15))
    loss: DetectionLossConfig = field(default_factory=DetectionLossConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)


class DetectorOnly(nn.Module):
    """A detector under the name ``detector``, giving its levels."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> list[LevelOutput]:
        """(N, 3, H, W) in [0, 1] -> what each level predicts."""
        levels: list[LevelOutput] = self.detector.levels(images)  # type: ignore[operator]
        return levels


class DetectorStage:
    """Focal and box loss on HR patches."""

    def __init__(self, config: DetectorConfig, data: Path) -> None:
        check_options(config)
        description = {"width": config.width}
        self.networks: dict[str, dict[str, Any]] = {"detector": description}
        self.module: nn.Module = DetectorOnly(Detector(**description))
        self.learning_rates: dict[str, float] = {}
        self._config = config
        self._validation = read_validation(config.validation, data)

    def loss(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Detection loss; see `Stage`."""
        check_patch_size(self._config, batch.hr.shape[-1])
        images = self._images(batch)
        levels = module(images.contiguous(memory_format=torch.channels_last))
        losses = detection_loss(levels, batch.boxes, batch.kind, self._config.loss)
        return {"total": losses["detection"], **losses}

    def _images(self, batch: Batch) -> Tensor:
        rng = np.random.default_rng([batch.seed, SOFTENING])
        images = batch.hr
        if rng.random() < self._config.softened_fraction:
            images = down_up(images, rng.uniform(1, self._config.max_softening))
        return corrupt(images, self._config.corruption, batch.seed)

    def validate(self, module: nn.Module) -> Validation:
        """AP at IoU .5 and .3 on HR images."""
        detector = module.get_submodule("detector")
        return validate_detection(self._validation, None, detector, HR)


def check_options(config: DetectorConfig) -> None:
    """Refuse options that no detector can be trained with.

    Raises:
        TrainingError: saying which.
    """
    if not 0 < config.width < math.inf:
        raise TrainingError(f"stage.width: expected above 0, got {config.width}")
    check_validation(config.validation)


def check_patch_size(config: DetectorConfig, size: int) -> None:
    """Refuse a size of patches, HR px, that the detector cannot take.

    Raises:
        TrainingError: saying which multiple is needed.
    """
    del config  # every width takes the same
    check_size(size, SIZE_MULTIPLE, "a detector on HR images")


def check_validation(config: ValidationConfig) -> None:
    """Refuse what does not say which images to measure on.

    Raises:
        TrainingError: in that case.
    """
    if config.every < 1:
        raise TrainingError(f"stage.validation.every: expected at least 1, got {config.every}")


def read_validation(config: ValidationConfig, data: Path) -> dict[str, list[LabelledImage]]:
    """The images of each set to validate on."""
    return {name: read_set(data, name)[:: config.every] for name in config.sets}


def validate_detection(
    sets: dict[str, list[LabelledImage]],
    sr: nn.Module | None,
    detector: nn.Module,
    scale_factor: int,
) -> Validation:
    """AP at IoU .5 and .3 and PSNR-Y per set, and one picture of each with its boxes."""
    figures: dict[str, float] = {}
    pictures: dict[str, NDArray[np.uint8]] = {}
    for name, images in sets.items():
        results = [detect_image(i, sr, detector, scale_factor, DetectConfig()) for i in images]
        truth = [(i.boxes, i.ignore) for i in images]
        for percent in (50, 30):
            matches = match_images(pairs(results), truth, percent / 100)
            figures[f"ap{percent}/{name}"] = average_precision(matches)
        psnr_y = float(np.mean([r.psnr_y for r in results]))
        if np.isfinite(psnr_y):  # else the detector saw the HR or the LR image
            figures[f"psnr_y/{name}"] = psnr_y
        most = max(range(len(images)), key=lambda i: int((~images[i].ignore).sum()))
        boxes = results[most].detections
        pictures[name] = draw(results[most].seen, boxes.xyxy[boxes.score > 0.25])
    return Validation(figures, pictures)


def draw(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Copy an RGB image with boxes drawn on it."""
    canvas = np.ascontiguousarray(image)
    for x0, y0, x1, y1 in boxes.round().astype(int).tolist():
        cv2.rectangle(canvas, (x0, y0), (x1, y1), (0, 255, 0), 1)
    return canvas
