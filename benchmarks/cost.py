"""What networks cost: multiply-adds and bytes of each layer, and the time that devices need.

The estimate is a roofline: a layer takes as long as its operations at the device's peak or its
bytes at the memory's rate, whichever is longer, divided by the share of it that is reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasksr_ros.bundle import Bundle

REACHED = 0.6
"""Share of the roofline that an engine reaches, a round figure. On a CPU, DBPN-SS reached 0.64 to
0.71 of it and DBPN-S 0.91 (docs/BENCHMARKS.md has the errors)."""


@dataclass(frozen=True)
class Layer:
    """One convolution, for one region.

    Attributes:
        macs: multiply-adds.
        activations: elements read and written.
        weights: elements read, once for all regions of a call.
    """

    macs: float
    activations: float
    weights: float


@dataclass(frozen=True)
class Device:
    """What a device can do at most.

    Attributes:
        name: as the command takes it.
        flops: operations per second (two for each multiply-add), without sparsity.
        bytes_per_s: of its memory.
        element_bytes: of an activation or weight.
        launch_s: least time of a layer.
        source: of these figures.
    """

    name: str
    flops: float
    bytes_per_s: float
    element_bytes: int
    launch_s: float
    source: str


_LAUNCH_S = 2e-6
"""Between two kernels of a CUDA graph: an assumption."""

DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device(
            "orin-agx", 42.5e12, 204.8e9, 2, _LAUNCH_S,
            "Jetson AGX Orin Series Technical Brief: GPU 170 sparse INT8 TOPS (64 GB module), of "
            "which dense fp16 is a quarter; 204.8 GB/s",
        ),
        Device(
            "orin-nx", 15.0e12, 102.4e9, 2, _LAUNCH_S,
            "Jetson Orin NX Series data sheet: 32 tensor cores at 918 MHz (16 GB module), by the "
            "figures of AGX Orin's 64 at 1.3 GHz; 102.4 GB/s",
        ),
        Device(
            "thor", 258.8e12, 273e9, 2, _LAUNCH_S,
            "Jetson T5000 data sheet: 2070 sparse FP4 TFLOPS, of which dense fp16 is an eighth; "
            "273 GB/s",
        ),
        Device(
            "rtx-4090", 165.2e12, 1008e9, 2, _LAUNCH_S,
            "NVIDIA Ada GPU architecture white paper: dense fp16 with fp32 accumulation; 1008 GB/s",
        ),
        Device(
            "h200", 989.5e12, 4800e9, 2, _LAUNCH_S,
            "NVIDIA H200 data sheet (SXM): half of 1,979 sparse fp16 TFLOPS; 4.8 TB/s",
        ),
    )
}  # fmt: skip


def layers(bundle: Bundle) -> list[Layer]:
    """The convolutions of the deployed form (LR space and detector); all else is fused into them.

    Super-resolution without an LR-space form is counted as it is.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from tasksr_ros.engines.graphs import example_inputs, load_graph
    from tasksr_ros.networks.tdsr import RegionDetector

    found: list[Layer] = []

    class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = function(*args, **(kwargs or {}))
            if function is torch.ops.aten.convolution.default:
                x, weight, transposed = args[0], args[1], args[6]
                places = x.numel() / x.shape[1] if transposed else result.numel() / result.shape[1]
                moved = x.numel() + result.numel()
                found.append(Layer(places * weight.numel(), moved, weight.numel()))
            return result

    network = RegionDetector(load_graph(bundle, "lr_space")).eval()
    with torch.no_grad(), Count():  # type: ignore[no-untyped-call]
        network(*example_inputs(bundle).values())
    return found


def seconds(some: Sequence[Layer], device: Device, batch: int) -> float:
    """The least time of a call with ``batch`` regions: the roofline."""
    compute = np.array([2 * layer.macs * batch for layer in some]) / device.flops
    moved = np.array([layer.activations * batch + layer.weights for layer in some])
    memory = moved * device.element_bytes / device.bytes_per_s
    return float(np.maximum(np.maximum(compute, memory), device.launch_s).sum())


def megabytes(some: Sequence[Layer], device: Device, batch: int) -> float:
    """What a call with ``batch`` regions moves, 10^6 bytes."""
    elements = sum(layer.activations * batch + layer.weights for layer in some)
    return elements * device.element_bytes / 1e6
