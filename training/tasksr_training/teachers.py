"""Public detectors that teach ours: people in whole images, through OpenVINO."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tasksr_ros.detections import Detections
from tasksr_ros.engines.openvino_library import openvino_core, ov
from tasksr_ros.merge import merge
from tasksr_ros.networks.detectors.picodet import PicoDet
from tasksr_training.box_fusion import Floats
from tasksr_training.datasets import PADDING
from tasksr_training.errors import TrainingDataError
from tasksr_training.published_weights import load_onnx_weights

Image = NDArray[np.uint8]
Compiled = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
"""A network: (1, 3, H, W) to its outputs."""

SIZE_MULTIPLE = 32
STRIDES_YOLOX = (8, 16, 32)
MOST = 100
"""Boxes that a teacher may name in an image."""


@dataclass(frozen=True)
class TeacherConfig:
    """A public detector.

    Attributes:
        kind: picodet: PicoDet-S's ONNX file; yolox: YOLOX-nano's, decoded by `yolox_boxes`; boxes:
            a file of a fixed input size that gives ``boxes`` (N, 5) xyxy and score, px of it, such
            as person-detection-0203.
        file: of its weights.
        scale: how much the image is enlarged before; not of ``boxes``, which sees the image's
            height as its own.
        min_score: weaker boxes are dropped.
        nms_iou: of two boxes that overlap more, the weaker is dropped.
    """

    kind: Literal["picodet", "yolox", "boxes"]
    file: Path
    scale: float = 1.0
    min_score: float = 0.05
    nms_iou: float = 0.6

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.file.stem} x{self.scale:g}"


class Teacher:
    """A public detector, ready to run.

    Args:
        config: which.
        threads: CPU threads.

    Raises:
        TrainingDataError: when its file cannot be read.
    """

    def __init__(self, config: TeacherConfig, threads: int = 1) -> None:
        self.name = config.name
        self._config = config
        if not config.file.is_file():
            raise TrainingDataError(f"{config.file}: expected a detector's file, there is none")
        try:
            model = _READ[config.kind](config.file)
            compiled = openvino_core().compile_model(
                model, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise TrainingDataError(
                f"{config.file}: expected a {config.kind} detector, got {reason}"
            ) from None
        self._compiled = compiled
        self._size = model.inputs[0].partial_shape

    def __call__(self, image: Image) -> Floats:
        """People in an image.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (K, 5) x0, y0, x1, y1 in image px, score; by falling score.
        """
        detect = self._in_tiles if self._config.kind == "boxes" else self._in_whole
        boxes = detect(image)
        height, width = image.shape[:2]
        boxes = boxes[boxes[:, 4] >= self._config.min_score]
        boxes[:, :4] = boxes[:, :4].clip(0, [width, height, width, height])
        boxes = boxes[(boxes[:, 2:4] - boxes[:, :2] > 1).all(1)]
        found = Detections.from_arrays(
            boxes[:, :4].astype(np.float32), boxes[:, 4].astype(np.float32)
        )
        kept = merge(found, np.zeros(len(found), bool), self._config.nms_iou, MOST)
        return np.concatenate([kept.xyxy, kept.score[:, None]], 1).astype(np.float64)

    def _run(self, pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        result = self._compiled([np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]])
        return [np.asarray(result[k]) for k in range(len(result))]

    def _in_whole(self, image: Image) -> Floats:
        height, width = image.shape[:2]
        scale = self._config.scale
        size = (round(width * scale), round(height * scale))
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) if scale != 1 else image
        pad = [-n % SIZE_MULTIPLE for n in size]
        padded = cv2.copyMakeBorder(large, 0, pad[1], 0, pad[0], cv2.BORDER_REPLICATE)
        if self._config.kind == "picodet":
            boxes, scores, _ = self._run(padded.astype(np.float32) / np.float32(255))
            found = np.concatenate([boxes[0], scores[0][:, None]], 1).astype(np.float64)
        else:
            (raw,) = self._run(padded[..., ::-1].astype(np.float32))
            found = yolox_boxes(raw[0], padded.shape[:2])
        found[:, :4] *= np.array([width, height] * 2) / np.array(size * 2)
        return found

    def _in_tiles(self, image: Image) -> Floats:
        """Beside each other, as wide as the detector's input is for the image's height."""
        height, width = image.shape[:2]
        rows, columns = self._size[2].get_length(), self._size[3].get_length()
        scale = rows / height
        side = round(columns / scale)
        number = max(1, round(width / side))
        parts = [np.zeros((0, 5))]
        for left in np.linspace(0, max(width - side, 0), number).round().astype(int):
            tile = np.full((height, side, 3), PADDING, np.uint8)
            seen = image[:, left : left + side]
            tile[:, : seen.shape[1]] = seen
            small = cv2.resize(tile, (columns, rows), interpolation=cv2.INTER_AREA)
            outputs = self._run(small[..., ::-1].astype(np.float32))
            found = next(o for o in outputs if o.ndim == 2 and o.shape[1] == 5).astype(np.float64)
            found[:, :4] = found[:, :4] / scale + [left, 0, left, 0]
            parts.append(found)
        return np.concatenate(parts)


def yolox_boxes(raw: NDArray[np.float32], size: tuple[int, int]) -> Floats:
    """Decode YOLOX's output (Ge et al., arXiv 2107.08430): people of COCO's classes.

    Args:
        raw: (cells, 85) centre and log size in strides relative to the cell, objectness, scores.
        size: height and width of the input, px.

    Returns:
        (cells, 5) x0, y0, x1, y1 in px of the input, objectness times the score of ``person``.
    """
    corners, strides = [], []
    for stride in STRIDES_YOLOX:
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        corners.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full(x.size, stride))
    of_cell = np.concatenate(strides)[:, None]
    centre = (raw[:, :2] + np.concatenate(corners)) * of_cell
    half = np.exp(raw[:, 2:4]) * of_cell / 2
    score = raw[:, 4:5] * raw[:, 5:6]
    return np.concatenate([centre - half, centre + half, score], 1).astype(np.float64)


def openvino_model(detector: torch.nn.Module) -> Any:
    """A detector of ours as an OpenVINO model for one image of any multiple of 32 px."""
    example = torch.zeros(1, 3, 64, 96)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing's, of the checks of the input's shape
        return ov.convert_model(detector.eval(), example_input=example, input=[1, 3, -1, -1])


def _read_picodet(file: Path) -> Any:
    detector = PicoDet(1)
    load_onnx_weights(detector, file)
    return openvino_model(detector)


def _read_yolox(file: Path) -> Any:
    model = openvino_core().read_model(file)
    model.reshape([1, 3, -1, -1])
    return model


def _read_boxes(file: Path) -> Any:
    return openvino_core().read_model(file)


_READ: dict[str, Callable[[Path], Any]] = {
    "picodet": _read_picodet,
    "yolox": _read_yolox,
    "boxes": _read_boxes,
}
