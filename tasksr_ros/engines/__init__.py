"""Engines: one interface, one file each.

An engine runs a bundle's networks on a batch of uint8 regions. PyTorch is the reference and
runs on any device; TensorRT is the default on NVIDIA GPUs where it is installed, OpenVINO on x86
CPUs.
"""

from __future__ import annotations

import importlib.util
import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.errors import EngineError

logger = logging.getLogger(__name__)

_NVIDIA_DEVICES = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg")
"""Of NVIDIA's drivers for PCs, for Jetson, and under Windows' Linux."""


class Engine(Protocol):
    """Compiled networks for regions of one size.

    Attributes:
        name: of the engine.
        region_size: (width, height) of a region in region px.
        scale_factor: SR px per region px.
        runs_batches: whether regions of one call run together, so that a batch costs less than
            its regions one by one.
    """

    name: str
    region_size: tuple[int, int]
    scale_factor: int
    runs_batches: bool

    def __call__(
        self, regions: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Detect pedestrians in regions.

        Args:
            regions: (N, height, width, 3) uint8 RGB; N ≥ 1.

        Returns:
            boxes (N, A, 4) float32 x0, y0, x1, y1 in SR px and scores (N, A) float32 in [0, 1];
            the caller's to keep.

        Raises:
            ValueError: for another shape or type.
            EngineError: if the device fails.
        """
        ...


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
    name = choose_engine()
    try:
        return _build(name, bundle, config)
    except EngineError as error:
        if name != "tensorrt" or config.on_mismatch == "refuse":
            raise
        logger.warning("engine torch instead of tensorrt: %s", error)
        return _build("torch", bundle, config)


def _build(name: str, bundle: Bundle, config: EngineConfig) -> Engine:
    try:
        if name == "openvino":
            from tasksr_ros.engines.openvino import OpenVinoEngine

            return OpenVinoEngine(bundle, config)
        if name == "tensorrt":
            from tasksr_ros.engines.tensorrt import TensorRtEngine

            return TensorRtEngine(bundle, config)
        from tasksr_ros.engines.torch import TorchEngine

        return TorchEngine(bundle, config)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"engine {name} needs the Python package {error.name!r}, which is not installed"
        ) from None


def choose_engine() -> str:
    """The best engine that can run here.

    That is tensorrt where there is a GPU and torch_tensorrt, else torch on CUDA, else openvino on
    x86, else torch.
    """
    if _cuda_available():
        return "tensorrt" if _tensorrt_works() else "torch"
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if x86 and importlib.util.find_spec("openvino") else "torch"


@contextmanager
def engine_errors(name: str) -> Iterator[None]:
    """A library's errors, the device's and those of memory among them, as EngineError."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise EngineError(f"{name} failed: {reason}") from error


def check_regions(regions: NDArray[np.uint8], region_size: tuple[int, int]) -> None:
    """Raise ValueError unless ``regions`` is (N ≥ 1, height, width, 3) uint8."""
    width, height = region_size
    if regions.ndim != 4 or regions.shape[1:] != (height, width, 3) or not len(regions):
        raise ValueError(f"regions must have shape (N, {height}, {width}, 3), got {regions.shape}")
    if regions.dtype != np.uint8:
        raise ValueError(f"regions must be uint8, got {regions.dtype}")


def _cuda_available() -> bool:
    # PyTorch takes a second to import: only where there is a driver to ask for.
    if not any(Path(device).exists() for device in _NVIDIA_DEVICES):
        return False
    if not importlib.util.find_spec("torch"):
        return False
    import torch

    return torch.cuda.is_available()


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
