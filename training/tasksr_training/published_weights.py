"""Weights that others published, onto our networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from tasksr_ros.networks.detectors.picodet import PicoDet
from tasksr_training.errors import TrainingDataError

COCO_CLASSES = 80
COCO_PERSON = 0


def load_onnx_weights(model: PicoDet, path: Path) -> None:
    """Put the convolutions of PicoDet-S's published ONNX file, in their order, onto the model.

    A model of one class keeps ``person`` of COCO's 80; one of 80 classes keeps them all.

    Args:
        model: changed in place.
        path: ONNX file with batch normalisation folded.

    Raises:
        TrainingDataError: for a file that cannot be read or has other layers, and for a model of
            another number of classes.
    """
    if model.num_classes not in (1, COCO_CLASSES):
        raise TrainingDataError(
            f"{path}: expected a model of 1 or {COCO_CLASSES} classes, got {model.num_classes}"
        )
    published = convolutions(path)
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    if len(layers) != len(published):
        raise TrainingDataError(
            f"{path}: expected {len(layers)} convolutions, got {len(published)}"
        )
    heads = {id(level[-1]) for level in model.head if isinstance(level, nn.Sequential)}
    for (name, layer), parameters in zip(layers, published, strict=True):
        if id(layer) in heads and model.num_classes == 1:
            parameters = [_person_only(p) for p in parameters]
        _copy(layer, parameters, f"{path}: {name}")


def convolutions(path: Path) -> list[list[NDArray[np.float32]]]:
    """Weight and bias of each convolution of an ONNX file, in the order of its graph.

    Raises:
        TrainingDataError: for a file that cannot be read, or a convolution without constants.
    """
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf's errors have no common class
        raise TrainingDataError(f"{path}: expected an ONNX file, got {error}") from error
    constants = {i.name: i for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = node.attribute[0].t
    found = []
    for node in graph.node:
        if node.op_type == "Conv":
            missing = [name for name in node.input[1:] if name not in constants]
            if missing or len(node.input) != 3:
                raise TrainingDataError(
                    f"{path}: expected constant weight and bias of {node.output[0]}, "
                    f"got {list(node.input[1:])}"
                )
            found.append([numpy_helper.to_array(constants[name]) for name in node.input[1:]])
    return found


def _person_only(parameter: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows of ``person`` and of the distances."""
    return np.concatenate([parameter[COCO_PERSON : COCO_PERSON + 1], parameter[COCO_CLASSES:]])


@torch.no_grad()
def _copy(layer: nn.Conv2d, parameters: list[NDArray[np.float32]], where: str) -> None:
    own: list[Tensor] = [layer.get_parameter("weight"), layer.get_parameter("bias")]
    for mine, given in zip(own, parameters, strict=True):
        if tuple(mine.shape) != given.shape:
            raise TrainingDataError(
                f"{where}: expected shape {tuple(mine.shape)}, got {given.shape}"
            )
        mine.copy_(torch.tensor(given))
