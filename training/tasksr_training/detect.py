"""Whole images through the networks, as the validations do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_ros.detections import Detections
from tasksr_ros.merge import merge
from tasksr_training.coco import LabelledImage
from tasksr_training.degradations import downscale
from tasksr_training.image_quality import psnr
from tasksr_training.lr_space import super_resolve

HR = 1
"""Scale factor that stands for the HR image itself: no downscaling, no super-resolution."""


@dataclass(frozen=True)
class DetectConfig:
    """What becomes of the boxes of a whole image.

    Attributes:
        min_score: weaker boxes are dropped.
        nms_iou: of two boxes that overlap more, the weaker is dropped.
        max_detections: at most this many per image.
    """

    min_score: float = 0.02
    nms_iou: float = 0.5
    max_detections: int = 100


@dataclass(frozen=True, eq=False)
class System:
    """What turns an LR image into detections, or an HR image for the bound.

    Attributes:
        name: for messages and captions.
        sr: LR -> SR, in eval mode; `nn.Identity`: the detector sees LR; None: it sees HR.
        detector: as `tasksr_ros.networks.detectors.fcos.Detector`, in eval mode.
        scale_factor: how many times smaller LR is.
        image_label: of the image that the detector sees: systems of one label show it the same.
        label: of the system, for folders.
    """

    name: str
    sr: nn.Module | None
    detector: nn.Module
    scale_factor: int
    image_label: str = ""
    label: str = ""

    @property
    def reduced_by(self) -> int:
        """By how much images are reduced first."""
        return HR if self.sr is None else self.scale_factor


@dataclass(frozen=True, eq=False)
class ImageResult:
    """Detections of one image in HR px, the image that the detector saw, and its PSNR-Y in dB."""

    detections: Detections
    seen: NDArray[np.uint8]
    psnr_y: float


@torch.no_grad()
def detect_image(
    source: LabelledImage,
    sr: nn.Module | None,
    detector: nn.Module,
    scale_factor: int,
    config: DetectConfig,
) -> ImageResult:
    """Downscale an HR image bicubically, super-resolve it and detect in the result.

    The image is padded by its edge to the size the detector needs. ``sr`` None: the detector sees
    the HR image itself; ``sr`` that gives LR back: it sees that, and there is no PSNR.
    """
    height, width = source.image.shape[:2]
    padded, image = upscale(source, sr, scale_factor, device_of(detector))
    boxes, scores, _ = detector(_last(image))
    boxes = boxes * (padded.shape[-1] / image.shape[-1])
    strong = scores[0] >= config.min_score
    xyxy = boxes[0, strong].clamp(min=0)
    xyxy = torch.minimum(xyxy, xyxy.new_tensor([width, height, width, height]))
    found = Detections.from_arrays(xyxy.cpu().numpy(), scores[0, strong].cpu().numpy())
    if isinstance(sr, nn.Identity):
        enlarged = F.interpolate(image, size=padded.shape[-2:], mode="nearest")
        seen, psnr_y = to_pixels(enlarged)[:height, :width], float("nan")
    else:
        seen = to_pixels(image)[:height, :width]
        psnr_y = float("inf") if sr is None else psnr(seen, source.image, scale_factor)
    uncut = np.zeros(len(found), bool)  # one tile: the image itself
    kept = merge(found, uncut, config.nms_iou, config.max_detections)
    return ImageResult(kept, seen, psnr_y)


@torch.no_grad()
def upscale(
    source: LabelledImage, sr: nn.Module | None, scale_factor: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The HR image, padded by its edge to the size a detector needs, and what ``sr`` makes of it.

    Args:
        source: (H, W, 3) uint8 RGB.
        sr: as `detect_image` takes it.
        scale_factor: how many times smaller the LR image is.
        device: where ``sr`` is.

    Returns:
        HR (1, 3, H', W') in [0, 1], and SR of the same shape; for an ``sr`` that gives LR back
        (1, 3, H'/s, W'/s).
    """
    hr = to_tensor(source.image).to(device)
    height, width = source.image.shape[:2]
    multiple = SIZE_MULTIPLE * scale_factor if isinstance(sr, nn.Identity) else SIZE_MULTIPLE
    padded = F.pad(hr, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    if sr is None:
        return padded, padded
    return padded, super_resolve(sr, downscale(padded, scale_factor))


def to_tensor(image: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) float in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """(1, 3, H, W) float to (H, W, 3) uint8, clipped and rounded."""
    pixels = (image[0].float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return np.asarray(pixels.cpu().numpy())


def device_of(module: nn.Module) -> torch.device:
    """Where a network's parameters are; the CPU for one without."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)


def pairs(
    results: Sequence[ImageResult],
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Boxes and scores per image, as `tasksr_ros.evaluation.metrics.match_images` takes them."""
    return [(r.detections.xyxy, r.detections.score) for r in results]
