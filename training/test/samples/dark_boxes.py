"""Recordings of dark upright boxes, and a detector that takes dark cells for people.

The detector is one convolution in the form of YOLOX: cells of 8 px, whose score falls with their
brightness, and boxes of one size around them.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from tasksr_ros.bundle import save_bundle

SIZE = (160, 96)
STRIDE = 8
SLOPE, DARK = 0.12, 75.0
"""Of the score: sigmoid(SLOPE · (DARK - mean of the cell))."""


def picture(rng: np.random.Generator, people: int) -> NDArray[np.uint8]:
    """(96, 160, 3) grey ground with dark boxes of 10 to 18 px by 24 to 40 px."""
    image = rng.integers(130, 150, (SIZE[1], SIZE[0], 3), np.uint8)
    for _ in range(people):
        width, height = int(rng.integers(10, 18)), int(rng.integers(24, 40))
        x, y = int(rng.integers(0, SIZE[0] - width)), int(rng.integers(0, SIZE[1] - height))
        image[y : y + height, x : x + width] = (20, 30, 40)
    return image


def write_frames(folder: Path, number: int, people: int = 2, suffix: str = "png") -> Path:
    """A folder of images."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(number + people)
    for k in range(number):
        bgr = picture(rng, people)[..., ::-1]
        cv2.imwrite(str(folder / f"{k:03d}.{suffix}"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return folder


def weights(slope: float = SLOPE) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the convolution: x, y, log width, log height, objectness and score, before a sigmoid."""
    weight = np.zeros((6, 3, STRIDE, STRIDE), np.float32)
    weight[5] = -slope / (3 * STRIDE**2)
    bias = np.array([0, 0, 0, 2, 12, slope * DARK], np.float32)
    return weight, bias


def write_onnx(path: Path, extra: str = "", slope: float = SLOPE) -> Path:
    """The detector's file for images of any size.

    Args:
        path: to write.
        extra: an operator that the image goes through first.
        slope: of the score; 0: it is the same everywhere.
    """
    weight, bias = weights(slope)
    first = [helper.make_node(extra, ["image"], ["first"], name=f"the_{extra}")] if extra else []
    nodes = [
        *first,
        helper.make_node(
            "Conv",
            ["first" if extra else "image", "w", "b"],
            ["cells"],
            strides=[8, 8],
            name="conv",
        ),
        helper.make_node("Sigmoid", ["cells"], ["said"]),
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(SHAPE)),
        helper.make_node("Reshape", ["said", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["output"], perm=[0, 2, 1]),
    ]
    sides = [1, 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "dark",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, "cells", 6])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


SHAPE = np.array([1, 6, -1], np.int64)


def write_bundle(folder: Path, name: str = "person", mean: float = 0.0, **kind: object) -> Path:
    """The detector as a bundle; ``mean`` is subtracted from images of 0 to 255."""
    folder.mkdir(parents=True)
    file = write_onnx(folder / "dark.onnx", **kind)  # type: ignore[arg-type]
    taken = {"channels": "bgr", "mean": [mean] * 3, "std": [1.0, 1.0, 1.0], "layout": "nchw"}
    section = {"decoder": "yolox", "decoder_options": {"decoded": False}, "labels": [0]}
    description = {
        "name": "dark",
        "sr": "none",
        "detector": {**section, "input": {**taken, "size_multiple": 32}},
        "classes": [name],
        "region_size": list(SIZE),
        "score_threshold": 0.3,
        "recipe": {},
    }
    save_bundle(folder / "bundle", description, "# dark", detector=[file])
    return folder / "bundle"


class DarkBoxes(nn.Module):
    """The same detector as a torch module."""

    def __init__(self, bias: float = 0.0, slope: float = SLOPE) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 6, STRIDE, STRIDE)
        weight, offset = weights(slope)
        self.cells.weight.data = torch.from_numpy(weight)
        self.cells.bias.data = torch.from_numpy(offset) + bias  # type: ignore[union-attr]

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) BGR 0..255 -> (N, cells, 6)."""
        return self.cells(image).sigmoid().flatten(2).transpose(1, 2)


def constant() -> nn.Module:
    """A detector that says the same of every image."""
    return DarkBoxes(slope=0.0)


def other_weights() -> nn.Module:
    """A detector that is not that of the file."""
    return DarkBoxes(1.0)
