"""Detectors of others in OpenVINO: read, set to a size, and joined with what lies around them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.engines.openvino_library import openvino_core, ov
from tasksr_ros.errors import EngineError
from tasksr_ros.networks.detectors.decoders.common import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from tasksr_ros.engines.graphs import FreeAxes


@dataclass(frozen=True)
class Detector:
    """A detector's graph.

    Attributes:
        model: with static inputs.
        image: its input for the image.
        layout: nchw or nhwc.
        size: (width, height) of the image, px.
        fixed: whether the file says that size.
        signature: shapes of its outputs, and the size.
    """

    model: ov.Model
    image: ov.Output
    layout: str
    size: tuple[int, int]
    fixed: bool
    signature: Signature

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the image's tensor."""
        return _shape(self.image)

    def run(self, image: NDArray[np.float32]) -> list[NDArray[np.generic]]:
        """All outputs for an image of ``shape``."""
        properties = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino_core().compile_model(self.model, "CPU", properties)
        inputs = [
            image if value.get_node() == self.image.get_node() else _target(self.size)
            for value in self.model.inputs
        ]
        results = compiled(inputs)
        return [results[k].copy() for k in range(len(self.model.outputs))]


def check_finite(detector: Detector, path: Path) -> None:
    """Raise EngineError if a constant of the graph is not finite."""
    for operation in detector.model.get_ops():
        constant = operation.get_type_name() == "Constant"
        if constant and operation.data.dtype.kind == "f" and not np.isfinite(operation.data).all():
            name = operation.get_friendly_name()
            raise EngineError(f"{path}: weights {name} have values that are not finite")


def read_detector(
    path: Path, size: tuple[int, int] | None = None, *, default: tuple[int, int] = (640, 640)
) -> Detector:
    """Read an ONNX or OpenVINO file and give its image a size.

    Args:
        path: of the file.
        size: (width, height) px; None: the file's own, or the default where it takes any.
        default: (width, height) px.

    Raises:
        EngineError: if OpenVINO cannot read it, or not with that size; one line.
    """
    try:
        model = openvino_core().read_model(path)
        image = _image(model, path)
        shape = image.get_partial_shape()
        layout = "nhwc" if shape[3].is_static and shape[3].get_length() == 3 else "nchw"
        sides = [shape[k] for k in ((2, 1) if layout == "nhwc" else (3, 2))]
        fixed = all(side.is_static for side in sides)
        if size is None:
            size = (sides[0].get_length(), sides[1].get_length()) if fixed else default
        width, height = size
        wanted = [1, height, width, 3] if layout == "nhwc" else [1, 3, height, width]
        # What is no image is the size that boxes are wanted for.
        model.reshape({v: wanted if v == image else [1, 2] for v in model.inputs})
    except RuntimeError as error:
        raise EngineError(f"{path}: openvino cannot use it: {_reason(error)}") from None
    outputs = {_name(value, k): _shape(value) for k, value in enumerate(model.outputs)}
    return Detector(model, image, layout, size, fixed, Signature(outputs, size))


def joined(bundle: Bundle, detector: ForeignDetector) -> ov.Model:
    """Super-resolution, another's detector and its decoder as one model of uint8 regions.

    Raises:
        EngineError: if the detector cannot be used.
        BundleError: if the weights of super-resolution do not fit.
    """
    from tasksr_ros.engines.graphs import (
        decoder_inputs,
        decoder_of,
        detector_input,
        example_inputs,
    )

    theirs = read_detector(bundle.folder / detector.model, bundle.sr_size)
    decoder = decoder_of(bundle, theirs.signature)
    before = converted(detector_input(bundle), example_inputs(bundle), {})
    after = converted(decoder, *decoder_inputs(decoder, theirs.signature))
    taken = [_output(theirs, name) for name in decoder.outputs]
    image = theirs.image.get_node()
    seen = before.outputs[0].get_node().input_value(0)
    if image.get_element_type() != ov.Type.f32:
        seen = ov.opset13.convert(seen, image.get_element_type()).output(0)
    image.output(0).replace(seen)
    for value in theirs.model.inputs:
        if value.get_node() != image:
            target = ov.opset13.constant(_target(theirs.size))
            value.get_node().output(0).replace(target.output(0))
    for parameter, value in zip(after.inputs, taken, strict=True):
        source = value.get_node().input_value(0)
        wanted = parameter.get_element_type()
        if source.get_element_type() != wanted:
            source = ov.opset13.convert(source, wanted).output(0)
        parameter.get_node().output(0).replace(source)
    kernels = before.outputs[1:]  # of blind super-resolution
    model = ov.Model([*after.outputs, *kernels], before.get_parameters(), bundle.name)
    model.validate_nodes_and_infer_types()
    return model


def converted(module: nn.Module, examples: Mapping[str, Tensor], free: FreeAxes) -> ov.Model:
    """A PyTorch module as an OpenVINO model.

    Args:
        module: takes the examples in their order.
        examples: by the names of the inputs.
        free: axes that may be of any length, by input.
    """
    import torch

    from tasksr_ros.engines.graphs import AsTuple

    dynamic = [dict.fromkeys(free.get(key, {}), torch.export.Dim.AUTO) for key in examples]
    shapes = [
        [-1 if k in axes else side for k, side in enumerate(example.shape)]
        for example, axes in zip(examples.values(), dynamic, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its internals
        exported = torch.export.export(
            AsTuple(module.eval()), (tuple(examples.values()),), dynamic_shapes=(tuple(dynamic),)
        )
        return ov.convert_model(exported, input=shapes)


def _image(model: ov.Model, path: Path) -> ov.Output:
    images = [value for value in model.inputs if value.get_partial_shape().rank == ov.Dimension(4)]
    if len(images) != 1:
        shapes = ", ".join(f"{v.get_any_name()} {v.get_partial_shape()}" for v in model.inputs)
        raise EngineError(f"{path}: expected one input for an image of rank 4, got {shapes}")
    return images[0]


def _target(size: tuple[int, int]) -> NDArray[np.int64]:
    """The size that boxes are wanted for: (1, 2) width, height."""
    return np.array([size], np.int64)


def _name(value: ov.Output, index: int) -> str:
    return str(value.get_any_name()) if value.get_names() else f"output{index}"


def _shape(value: ov.Output) -> tuple[int, ...]:
    shape = value.get_partial_shape()
    return tuple(side.get_length() if side.is_static else -1 for side in shape)


def _output(detector: Detector, name: str) -> ov.Output:
    index = list(detector.signature.outputs).index(name)
    return detector.model.outputs[index]


def _reason(error: Any) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return " ".join((telling or lines or ["no reason given"])[-1].split())[:200]
