"""Engines: one interface, one file each.

An engine runs a bundle's networks on a batch of uint8 regions. PyTorch is the reference and
runs on any device; TensorRT is the default on NVIDIA GPUs where it is installed, OpenVINO on x86
CPUs. OpenVINO and ONNX Runtime run the detectors of others as well.
"""

from __future__ import annotations

import importlib.util
import logging
import platform
from pathlib import Path

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.interface import Engine
from tasksr_ros.errors import EngineError

logger = logging.getLogger(__name__)

FOR_FOREIGN = ("openvino", "onnxruntime")
"""Engines that run detectors of others."""
FOR_BLIND = ("openvino", "torch")
"""Engines that run super-resolution that estimates the blur."""
FOR_VIDEO = ("openvino", "torch")
"""Engines that run super-resolution of video."""

_NVIDIA_DEVICES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg")
"""Of NVIDIA's drivers for PCs, for Jetson, and under Windows' Linux."""


def build_engine(bundle: Bundle, config: EngineConfig) -> Engine:
    """Build the configured engine for a bundle.

    With ``auto``, torch takes the place of a TensorRT engine that cannot be built; one that is
    refused (``engine.on_mismatch``) is an error.

    Raises:
        EngineError: if it cannot run here.
        BundleError: if the weights do not fit.
    """
    if config.name != "auto":
        return _build(config.name, bundle, config)
    name = choose_engine(bundle)
    try:
        return _build(name, bundle, config)
    except EngineError as error:
        if name != "tensorrt" or config.on_mismatch == "refuse":
            raise
        logger.warning("engine torch instead of tensorrt: %s", error)
        return _build("torch", bundle, config)


def _build(name: str, bundle: Bundle, config: EngineConfig) -> Engine:
    if isinstance(bundle.detector, ForeignDetector) and name not in FOR_FOREIGN:
        raise EngineError(
            f"engine {name} runs detectors of this package, got {bundle.detector.model}; "
            f"{' and '.join(FOR_FOREIGN)} run it"
        )
    if bundle.sr is not None and bundle.estimates_blur and name not in FOR_BLIND:
        raise EngineError(
            f"engine {name} runs no super-resolution that estimates the blur, got "
            f"{bundle.sr.network}; {' and '.join(FOR_BLIND)} run it"
        )
    if bundle.neighbours and name not in FOR_VIDEO:
        raise EngineError(
            f"engine {name} runs super-resolution of single images, got {bundle.name} of video; "
            f"{' and '.join(FOR_VIDEO)} run it"
        )
    try:
        if name == "openvino":
            from tasksr_ros.engines.openvino import OpenVinoEngine

            return OpenVinoEngine(bundle, config)
        if name == "onnxruntime":
            from tasksr_ros.engines.onnxruntime import OnnxRuntimeEngine

            return OnnxRuntimeEngine(bundle, config)
        if name == "tensorrt":
            from tasksr_ros.engines.tensorrt import TensorRtEngine

            return TensorRtEngine(bundle, config)
        from tasksr_ros.engines.torch import TorchEngine

        return TorchEngine(bundle, config)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"engine {name} needs the Python package {error.name!r}, which is not installed"
        ) from None


def choose_engine(bundle: Bundle) -> str:
    """The best engine that can run a bundle here.

    That is tensorrt where there is a GPU and torch_tensorrt, else torch on CUDA, else openvino on
    x86, else torch; with a detector that is not ours onnxruntime on CUDA, else openvino. Of these,
    super-resolution of video or that estimates the blur has those of ``FOR_VIDEO`` and
    ``FOR_BLIND``.
    """
    images_alone = not (bundle.neighbours or bundle.estimates_blur)
    if isinstance(bundle.detector, ForeignDetector):
        onnx = bundle.detector.model.endswith(".onnx") and images_alone
        return "onnxruntime" if onnx and _onnxruntime_has_gpu() else "openvino"
    if _cuda_available():
        return "tensorrt" if images_alone and _tensorrt_works() else "torch"
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if x86 and importlib.util.find_spec("openvino") else "torch"


def _cuda_available() -> bool:
    # PyTorch takes a second to import: only where there is a driver to ask for.
    if not any(Path(device).exists() for device in _NVIDIA_DEVICES):
        return False
    if not importlib.util.find_spec("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def _onnxruntime_has_gpu() -> bool:
    if not any(Path(device).exists() for device in _NVIDIA_DEVICES):
        return False
    if not importlib.util.find_spec("onnxruntime"):
        return False
    from tasksr_ros.engines.onnxruntime import has_gpu

    return has_gpu()


def _tensorrt_works() -> bool:
    """Whether torch_tensorrt is installed with the libraries that it needs."""
    if not importlib.util.find_spec("torch_tensorrt"):
        return False
    try:
        from tasksr_ros.engines.tensorrt_library import import_torch_tensorrt

        import_torch_tensorrt()
    except EngineError as error:
        logger.warning("%s", error)
        return False
    return True


__all__ = ["FOR_BLIND", "FOR_FOREIGN", "FOR_VIDEO", "Engine", "build_engine", "choose_engine"]
