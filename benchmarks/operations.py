"""What a bundle's networks cost: multiply-adds of the graph that the engine runs."""

from __future__ import annotations

from math import prod
from typing import Any

from benchmarks.cost import layers
from tasksr_ros.bundle import Bundle, ForeignDetector


def region_gmac(bundle: Bundle) -> float:
    """10^9 multiply-adds of convolutions and matrix products for one region of the bundle's size.

    Of own networks the convolutions of the deployed form, of another's those of its whole graph.
    """
    detector = bundle.detector
    if not isinstance(detector, ForeignDetector):
        return sum(layer.macs for layer in layers(bundle)) / 1e9
    from tasksr_ros.engines.openvino_detector import joined, read_detector

    learned = bundle.sr is not None and bundle.sr.weights
    model = (
        joined(bundle, detector)
        if learned
        else read_detector(bundle.folder / detector.model, bundle.sr_size).model
    )
    return sum(_macs(operation) for operation in model.get_ops()) / 1e9


def _macs(operation: Any) -> float:
    """Multiply-adds of one operation of an OpenVINO model; of all but the costly ones 0."""
    kind = operation.get_type_name()
    if kind not in ("Convolution", "GroupConvolution", "MatMul"):
        return 0.0
    result = _shape(operation.output(0))
    first, second = (_shape(operation.input_value(k)) for k in range(2))
    if kind == "MatMul":
        transposed = operation.get_attributes()["transpose_a"]
        return float(prod(result) * first[-2 if transposed else -1])
    each = second[1:] if kind == "Convolution" else second[2:]  # (groups,) out, in, height, width
    return float(prod(result) * prod(each))


def _shape(value: Any) -> list[int]:
    """Sides; those that are not known count as 1."""
    return [side.get_length() if side.is_static else 1 for side in value.get_partial_shape()]
