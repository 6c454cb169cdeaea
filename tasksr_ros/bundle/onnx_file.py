"""ONNX files of detectors: checked, in one piece, and made to take images of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from tasksr_ros.errors import BundleError

_MAX_BYTES = 2**31 - 1
"""Of a protobuf message."""


def read_onnx(path: Path) -> ModelProto:
    """Read an ONNX file, external data included.

    Raises:
        BundleError: if it is missing, no ONNX file, damaged, has data outside of its folder or
            weights that are not finite; one line.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise BundleError(f"{path}: expected at most {_MAX_BYTES} bytes, got {size}")
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: not readable: {error.strerror}") from None
    except DecodeError:
        raise BundleError(f"{path}: expected an ONNX file, got none or a cut one") from None
    if not model.graph.node:
        raise BundleError(f"{path}: expected an ONNX file, got none or a cut one")
    _load_external(model, path)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{path}: expected a valid ONNX file: {reason}") from None
    for tensor in _tensors(model):
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise BundleError(f"{path}: weights {tensor.name} have values that are not finite")
    return model


def free_size(model: ModelProto) -> None:
    """Make a network for images of one size take any, as far as its file alone prevents that.

    The height and width of its input become free, and every `Reshape` whose target repeats them
    as numbers asks for them when it runs.
    """
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    }
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants:
            target = constants[node.input[1]].tolist()
            nodes += _free_reshape(node, target, shapes.get(node.input[0], []))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    image = image_input(model)
    dims = image.type.tensor_type.shape.dim
    first = 1 if dims[3].dim_value == 3 else 2
    for dim, name in zip(dims[first : first + 2], ("height", "width"), strict=True):
        dim.dim_param = name
    for output in graph.output:
        for k, dim in enumerate(output.type.tensor_type.shape.dim):
            dim.dim_param = f"{output.name}_{k}"


def image_input(model: ModelProto) -> onnx.ValueInfoProto:
    """The input of rank 4.

    Raises:
        BundleError: if there is not exactly one; one line.
    """
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in given]
    images = [value for value in inputs if len(value.type.tensor_type.shape.dim) == 4]
    if len(images) != 1:
        shapes = ", ".join(map(_shown, inputs)) or "none"
        raise BundleError(f"expected one input for an image (1, 3, height, width), got {shapes}")
    image: onnx.ValueInfoProto = images[0]
    return image


def _shown(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return f"{value.name} ({', '.join(str(d.dim_param or d.dim_value) for d in dims)})"


def _free_reshape(node: NodeProto, target: list[int], shape: list[int]) -> list[NodeProto]:
    """Nodes that make a Reshape's target of the height and width that come; they go before it."""
    if len(shape) < 3 or 0 in shape:
        return []
    height, width = shape[-2:]
    name = f"{node.output[0]}_target"
    if target[-2:] == [height, width] and height * width > 1:
        parts = [_constant(f"{name}_fixed", target[:-2]), *_last_two(node.input[0], name)]
        joined = helper.make_node("Concat", [f"{name}_fixed", f"{name}_sides"], [name], axis=0)
        node.input[1] = name
        return [*parts, joined]
    if height * width > 1 and height * width in target and -1 not in target:
        place = target.index(height * width)
        node.input[1] = name
        return [_constant(name, [*target[:place], -1, *target[place + 1 :]])]
    return []


def _last_two(tensor: str, name: str) -> list[NodeProto]:
    """Nodes that give the last two sides of a tensor as ``<name>_sides``."""
    limits = (f"{name}_first", f"{name}_last", f"{name}_axis")
    return [
        helper.make_node("Shape", [tensor], [f"{name}_shape"]),
        *(_constant(key, [value]) for key, value in zip(limits, (-2, 2**31 - 1, 0), strict=True)),
        helper.make_node("Slice", [f"{name}_shape", *limits], [f"{name}_sides"]),
    ]


def _constant(name: str, values: list[int]) -> NodeProto:
    tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
    return helper.make_node("Constant", [], [name], value=tensor)


def _load_external(model: ModelProto, path: Path) -> None:
    """Read data that lies in files beside, and nowhere else, into the model."""
    folder = path.parent.resolve()
    external = [tensor for tensor in _tensors(model) if uses_external_data(tensor)]
    for tensor in external:
        where = next(e.value for e in tensor.external_data if e.key == "location")
        file = (folder / where).resolve()
        if not file.is_relative_to(folder):
            raise BundleError(f"{path}: expected external data in its folder, got {where!r:.80}")
        if not file.is_file():
            raise BundleError(f"{path}: its external data {where!r:.80} is missing")
    if external:
        try:
            load_external_data_for_model(model, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BundleError(f"{path}: external data cannot be read: {reason}") from None


def _tensors(model: ModelProto) -> list[TensorProto]:
    constants = [
        attribute.t
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.type == onnx.AttributeProto.TENSOR
    ]
    return [*model.graph.initializer, *constants]
