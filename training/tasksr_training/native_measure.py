"""Detection in whole native images: by the height of the people, image px."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_ros.detections import Detections
from tasksr_ros.evaluation.matching import Rule, match, overlaps
from tasksr_ros.evaluation.metrics import Matches, average_precision, build_matches
from tasksr_ros.merge import merge
from tasksr_training.coco import LabelledImage

SIZE_MULTIPLE = 32
HEIGHTS: dict[str, tuple[float, float]] = {"12-60": (12.0, 60.0), "60+": (60.0, float("inf"))}
"""Bins of the people's native height, px."""
MARGIN = 1.25
"""A detection takes part in a bin if its height is in it up to this factor (as Caltech's)."""
NMS_IOU, LEAST_SCORE, MOST = 0.6, 0.001, 100

Found = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Boxes (K, 4) xyxy in image px and scores (K,)."""
Detect = Callable[[NDArray[np.float32]], Found]
"""(1, 3, H, W) RGB in [0, 1], multiples of 32, to the boxes (A, 4) and scores (A,) of all cells."""


class Enlarging(nn.Module):
    """Super-resolution and a detector of ours, whose boxes are px of the image that goes in.

    Args:
        sr: (N, 3, H, W) -> (N, 3, H·s, W·s), with an attribute ``scale_factor``.
        detector: -> boxes (N, A, 4) and what else it says.
    """

    def __init__(self, sr: nn.Module, detector: nn.Module) -> None:
        super().__init__()
        self.sr = sr
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> boxes (N, A, 4) xyxy px of ``images``, scores (N, A)."""
        boxes, scores, _ = self.detector(self.sr(images))
        return boxes / self.sr.scale_factor, scores


def in_torch(detector: nn.Module) -> Detect:
    """Run a detector of ours in PyTorch."""
    device = next(detector.parameters()).device

    @torch.no_grad()
    def detect(pixels: NDArray[np.float32]) -> Found:
        images = torch.from_numpy(pixels).to(device, memory_format=torch.channels_last)
        boxes, scores, _ = detector(images)
        return boxes[0].cpu().numpy(), scores[0].cpu().numpy()

    return detect


def in_openvino(detector: nn.Module, threads: int = 1) -> Detect:
    """Run a detector of ours in OpenVINO, float32."""
    from tasksr_ros.engines.openvino_library import openvino_core
    from tasksr_training.teachers import openvino_model

    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_core().compile_model(openvino_model(detector), "CPU", options)

    def detect(pixels: NDArray[np.float32]) -> Found:
        result = compiled([pixels])
        return np.asarray(result[0])[0], np.asarray(result[1])[0]

    return detect


def detect_native(detect: Detect, image: NDArray[np.uint8], scale: float) -> Found:
    """People in a whole image that is enlarged bicubically and padded by its edge.

    Args:
        detect: the detector.
        image: (H, W, 3) uint8 RGB.
        scale: how much it is enlarged.
    """
    height, width = image.shape[:2]
    size = (round(width * scale), round(height * scale))
    seen = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    right, below = (-n % SIZE_MULTIPLE for n in size)
    padded = cv2.copyMakeBorder(seen, 0, below, 0, right, cv2.BORDER_REPLICATE)
    pixels = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    boxes, scores = detect(pixels)
    strong = scores >= LEAST_SCORE
    xyxy = boxes[strong] * np.array([width, height] * 2, np.float32) / np.array(size * 2)
    xyxy = xyxy.clip(0, [width, height] * 2).astype(np.float32)
    found = Detections.from_arrays(xyxy, scores[strong].astype(np.float32))
    kept = merge(found, np.zeros(len(found), bool), NMS_IOU, MOST)
    return kept.xyxy, kept.score


def matches_in_bin(
    found: Sequence[Found], images: Sequence[LabelledImage], low: float, high: float, iou: float
) -> Matches:
    """Matches of the people with ``low`` <= height < ``high``; all others are ignored."""
    boxes, image = _joined([f for f, _ in found])
    truth, truth_image = _joined([i.boxes for i in images])
    score = np.concatenate([np.zeros(0), *(s for _, s in found)])
    ignore = np.concatenate([np.zeros(0, bool), *(i.ignore for i in images)])
    ignore |= (truth[:, 3] < low) | (truth[:, 3] >= high)
    keep = (boxes[:, 3] >= low / MARGIN) & (boxes[:, 3] < high * MARGIN)
    pairs = overlaps(boxes, image, truth, truth_image)
    outcome, person = match(pairs, score, image, ignore, Rule(iou), keep=keep)
    return build_matches(
        outcome, person, keep, score, image, ignore, truth[:, 3], truth_image, len(images)
    )


def _joined(boxes: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All boxes as xywh, and the index of the image of each."""
    xyxy = np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float64)
    image = np.repeat(np.arange(len(boxes)), [len(b) for b in boxes])
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], 1), image


def figures(found: Sequence[Found], images: Sequence[LabelledImage]) -> dict[str, float]:
    """AP at IoU .5 in each bin of `HEIGHTS`."""
    return {
        name: round(average_precision(matches_in_bin(found, images, low, high, 0.5)), 4)
        for name, (low, high) in HEIGHTS.items()
    }
