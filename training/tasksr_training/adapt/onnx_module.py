"""ONNX files of detectors as PyTorch modules, through onnx2torch (extra ``onnx``)."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import torch
from torch import nn

from tasksr_ros.bundle.onnx_file import image_input, read_onnx
from tasksr_training.errors import TrainingError

NO_GRADIENT = (
    *("ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "Less"),
    *("LessOrEqual", "NonMaxSuppression", "NonZero", "Not", "OneHot", "QuantizeLinear"),
    *("DequantizeLinear", "Round", "Sign"),
)
"""Operators that no gradient goes through."""

_NOT_CONVERTED = ["SliceConcatToSpaceToDepthFusion"]
"""What ONNX Runtime would make operators of that the converter lacks."""


def read_module(path: Path, size: tuple[int, int]) -> nn.Module:
    """An ONNX file as a PyTorch module in eval mode, whose weights do not learn.

    Args:
        path: of the file.
        size: (width, height) px of its image.

    Raises:
        BundleError: if the file cannot be read.
        TrainingError: if onnx2torch is not installed, or it cannot convert an operator.
    """
    convert, converter_of = _onnx2torch()
    model = read_onnx(path)
    try:
        model = with_size(model, size)
    except Exception as error:  # ONNX Runtime's have no common base of their own
        raise TrainingError(
            f"{path}: ONNX Runtime does not take an image of {size[0]}x{size[1]} px: "
            f"{_one_line(error)}"
        ) from error
    constants_to_initialisers(model)
    name_nodes(model)
    check_operators(model, path, converter_of)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what differs is found by `check`, not guessed
            module: nn.Module = convert(model)
    except Exception as error:  # whatever a converter of one operator raises
        raise TrainingError(
            f"{path}: onnx2torch cannot convert {_operator(error)}: {_one_line(error)}; name the "
            "detector as a torch module: --network MODULE:FACTORY"
        ) from error
    return module.eval().requires_grad_(False)


def blocking(path: Path) -> str:
    """The operators of a file that no gradient goes through, for a message."""
    found = Counter(n.op_type for n in read_onnx(path).graph.node if n.op_type in NO_GRADIENT)
    return ", ".join(f"{name} ({number})" for name, number in found.items()) or "none that is known"


def constants_to_initialisers(model: onnx.ModelProto) -> None:
    """Make each `Constant` node an initialiser: the converter reads sizes from these alone."""
    kept = []
    for node in model.graph.node:
        value = _constant(node)
        if value is None:
            kept.append(node)
        else:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def with_size(model: onnx.ModelProto, size: tuple[int, int]) -> onnx.ModelProto:
    """The model for one image of (width, height) px, what it computes of sizes alone folded.

    The converter takes a tensor of unknown shape for one without axes.
    """
    import onnxruntime as ort

    image = image_input(model)
    dims = image.type.tensor_type.shape.dim
    last = dims[3].dim_value == 3 and dims[1].dim_value != 3
    wanted = [1, size[1], size[0], 3] if last else [1, 3, size[1], size[0]]
    for dim, side in zip(dims, wanted, strict=True):
        dim.dim_value = side
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in given]
    del model.graph.input[:]
    model.graph.input.extend(inputs)  # initialisers that are inputs as well are not folded
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        ort.InferenceSession(
            model.SerializeToString(),
            options,
            ["CPUExecutionProvider"],
            disabled_optimizers=_NOT_CONVERTED,
        )
        found: onnx.ModelProto = onnx.load(folded)
    return found


def name_nodes(model: onnx.ModelProto) -> None:
    """Give each node without a name of its own one: the converter's own may be another node's."""
    seen: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_no_{number}"
        seen.add(node.name)


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant":
        return None
    (attribute,) = node.attribute
    if attribute.name == "value":
        return attribute.t
    value = onnx.helper.get_attribute_value(attribute)
    kinds = {"value_float": "FLOAT", "value_floats": "FLOAT", "value_int": "INT64"}
    kinds["value_ints"] = "INT64"
    if attribute.name not in kinds:
        return None
    many = attribute.name.endswith("s")
    kind = getattr(onnx.TensorProto, kinds[attribute.name])
    return onnx.helper.make_tensor(
        node.output[0], kind, [len(value)] if many else [], value if many else [value]
    )


def check_operators(model: onnx.ModelProto, path: Path, converter_of: Callable[..., Any]) -> None:
    """Raise TrainingError for an operator without gradient or converter; both by name."""
    versions = {opset.domain: opset.version for opset in model.opset_import}
    suppressed = [n for n in model.graph.node if n.op_type == "NonMaxSuppression"]
    if suppressed:
        raise TrainingError(
            f"{path}: expected a graph that gradients go through, got NonMaxSuppression "
            f"({suppressed[0].name or suppressed[0].output[0]}); export the detector without its "
            "last step, import it with the decoder of its family"
        )
    for node in model.graph.node:
        try:
            converter_of(node.op_type, versions.get(node.domain, 1), node.domain)
        except NotImplementedError:
            raise TrainingError(
                f"{path}: expected operators that onnx2torch converts, got {node.op_type} "
                f"({node.name or node.output[0]}); name the detector as a torch module: "
                "--network MODULE:FACTORY"
            ) from None


def _onnx2torch() -> tuple[Callable[..., nn.Module], Callable[..., Any]]:
    lacking = [n for n in ("onnx2torch", "onnxruntime") if importlib.util.find_spec(n) is None]
    if lacking:
        raise TrainingError(
            f"a detector in an ONNX file needs {' and '.join(lacking)}: "
            "pip install 'tasksr-training[onnx]'"
        )
    with _torchvision():
        from onnx2torch import convert
        from onnx2torch.node_converters import get_converter
    return convert, get_converter


@contextmanager
def _torchvision() -> Iterator[None]:
    """Let onnx2torch be imported where torchvision is missing or does not load.

    It takes two functions of it, for NonMaxSuppression and RoiAlign; and PyPI's torchvision does
    not load beside PyTorch's build for CPUs.
    """
    try:
        import torchvision  # noqa: F401
    except Exception:  # ImportError, or RuntimeError for want of its operators
        pass
    else:
        yield
        return
    names = ("torchvision", "torchvision.ops")
    before = {name: sys.modules.pop(name, None) for name in names}
    stand_in, ops = ModuleType(names[0]), ModuleType(names[1])
    ops.roi_align = ops.nms = _missing  # type: ignore[attr-defined]
    stand_in.ops = ops  # type: ignore[attr-defined]
    sys.modules.update({names[0]: stand_in, names[1]: ops})
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def _missing(*_: Any, **__: Any) -> torch.Tensor:
    raise TrainingError("RoiAlign and NonMaxSuppression need torchvision, which does not load here")


def _operator(error: BaseException) -> str:
    """The node that onnx2torch was at, from where the error came."""
    place = error.__traceback__
    while place is not None:
        node = place.tb_frame.f_locals.get("onnx_node")
        if node is not None:
            return f"{node.operation_type} ({node.name})"
        place = place.tb_next
    return "the graph"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
