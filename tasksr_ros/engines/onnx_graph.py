"""A bundle as one ONNX graph: uint8 regions in; boxes, scores and class ids out.

For the engine onnxruntime and for ``tasksr export-onnx``. What is ours is exported by PyTorch; the
detectors of others stand between what is made of super-resolution and what is made of their
decoder.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Mapping, Sequence

import onnx
import torch
from onnx import ModelProto, compose, version_converter
from torch import Tensor, nn

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.bundle.onnx_file import image_input, read_onnx
from tasksr_ros.engines.graphs import (
    AsTuple,
    FreeAxes,
    decoder_inputs,
    decoder_of,
    detector_input,
    load_graph,
)
from tasksr_ros.engines.openvino_detector import read_detector
from tasksr_ros.errors import EngineError
from tasksr_ros.networks.tdsr import RegionDetector

OPSET = 18
INPUT, OUTPUTS = "regions", ("boxes", "scores", "class_ids")


def onnx_graph(bundle: Bundle) -> ModelProto:
    """The bundle's graph: input ``regions`` (N, height, width, 3) uint8 RGB, outputs ``OUTPUTS``.

    N is free where the detector is ours, and 1 where it is another's.

    Raises:
        EngineError: if it cannot be made of this bundle, or a package is missing; one line.
        BundleError: if the weights do not fit.
    """
    if not importlib.util.find_spec("onnxscript"):
        raise EngineError(
            "ONNX graphs need the Python package onnxscript (pip install onnxscript), which is "
            "not installed"
        )
    if bundle.sr is not None and bundle.estimates_blur:
        raise EngineError(
            f"{bundle.name}: no ONNX graph can be made of {bundle.sr.network}, which estimates the "
            "blur; the engines openvino and torch run it"
        )
    if bundle.neighbours:
        raise EngineError(
            f"ONNX graphs are of super-resolution of single images, got {bundle.name} of video"
        )
    if isinstance(bundle.detector, ForeignDetector):
        return _joined(bundle, bundle.detector)
    width, height = bundle.region_size
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    module = RegionDetector(load_graph(bundle, "lr_space"))
    return _exported(module, {INPUT: example}, OUTPUTS, {INPUT: {0: "N"}})


def _joined(bundle: Bundle, detector: ForeignDetector) -> ModelProto:
    path = bundle.folder / detector.model
    if path.suffix != ".onnx":
        raise EngineError(f"{path}: expected a detector in ONNX, got one for OpenVINO alone")
    width, height = bundle.region_size
    theirs = _of_size(read_onnx(path), bundle)
    signature = read_detector(path, bundle.sr_size).signature
    decoder = decoder_of(bundle, signature)
    examples, free = decoder_inputs(decoder, signature)
    region = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    parts = {
        "before/": _exported(detector_input(bundle), {INPUT: region}, ("image",), {}),
        "detector/": theirs,
        "after/": _exported(decoder, examples, OUTPUTS, free),
    }
    before, theirs, after = (compose.add_prefix(part, key) for key, part in parts.items())
    image = image_input(theirs).name
    links = [(f"detector/{name}", f"after/{name}") for name in decoder.outputs]
    ends = [f"after/{name}" for name in OUTPUTS]
    model = compose.merge_models(before, theirs, [("before/image", image)])
    model = compose.merge_models(model, after, links, outputs=ends)
    model = _renamed(model, {f"before/{INPUT}": INPUT, **dict(zip(ends, OUTPUTS, strict=True))})
    onnx.checker.check_model(model)
    return model


def _exported(
    module: nn.Module, examples: Mapping[str, Tensor], outputs: Sequence[str], free: FreeAxes
) -> ModelProto:
    """A PyTorch module as ONNX.

    Args:
        module: takes the examples in their order.
        examples: by the names of the inputs.
        outputs: names of the outputs.
        free: name of each axis of an input that may be of any length, by input and axis.
    """
    axes = {name: torch.export.Dim(name) for by_axis in free.values() for name in by_axis.values()}
    shapes = [{k: axes[name] for k, name in free.get(key, {}).items()} for key in examples]
    for talker in ("torch.onnx", "onnxscript", "onnx_ir"):  # of torchvision, of every step
        logging.getLogger(talker).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its internals
        program = torch.onnx.export(
            AsTuple(module.eval()),
            (tuple(examples.values()),),
            input_names=list(examples),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=(tuple(shapes),),
            verbose=False,
        )
    if program is None:
        raise EngineError("PyTorch exported no ONNX graph")
    model: ModelProto = program.model_proto
    model.producer_name, model.graph.name = "tasksr_ros", "tasksr_ros"
    for node in model.graph.node:
        del node.metadata_props[:]  # where each line of our code lies on this machine
    del model.metadata_props[:]
    return model


def _of_size(model: ModelProto, bundle: Bundle) -> ModelProto:
    """The detector for images of the bundle's size, in our version of the operators."""
    (width, height), image = bundle.sr_size, image_input(model)
    dims = image.type.tensor_type.shape.dim
    nhwc = dims[3].dim_value == 3
    sides = (1, height, width, 3) if nhwc else (1, 3, height, width)
    for dim, side in zip(dims, sides, strict=True):
        dim.dim_value = side
    del model.graph.value_info[:]
    given = {tensor.name for tensor in model.graph.initializer}
    sizes = [v for v in model.graph.input if v.name not in given and v.name != image.name]
    for value in sizes:  # what is no image is the size that boxes are wanted for
        model.graph.initializer.append(
            onnx.helper.make_tensor(value.name, onnx.TensorProto.INT64, [1, 2], [width, height])
        )
        model.graph.input.remove(value)
    try:
        converted: ModelProto = version_converter.convert_version(model, OPSET)
    except Exception as error:  # it raises bare ones for operators that it does not know
        reason = " ".join(str(error).split())[:200]
        raise EngineError(
            f"{bundle.name}: its detector cannot be brought to operator set {OPSET}: {reason}"
        ) from None
    converted.ir_version = 10
    return converted


def _renamed(model: ModelProto, names: Mapping[str, str]) -> ModelProto:
    """The graph with other names of its inputs and outputs."""
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for k, name in enumerate(tensors):
                tensors[k] = names.get(name, name)
    return model
