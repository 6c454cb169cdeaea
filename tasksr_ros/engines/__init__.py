"""Engines: one interface, one file each.

An engine runs a bundle's networks on a batch of uint8 regions. PyTorch is the reference and
runs on any device; OpenVINO is the default on x86 CPUs.
"""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.errors import EngineError

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

    Raises:
        EngineError: if it cannot run here.
        BundleError: if the weights do not fit.
    """
    name = choose_engine() if config.name == "auto" else config.name
    try:
        if name == "openvino":
            from tasksr_ros.engines.openvino import OpenVinoEngine

            return OpenVinoEngine(bundle, config)
        from tasksr_ros.engines.torch import TorchEngine

        return TorchEngine(bundle, config)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"engine {name} needs the Python package {error.name!r}, which is not installed"
        ) from None


def choose_engine() -> str:
    """The best engine that can run here: torch on CUDA, else openvino on x86, else torch."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    if x86 and importlib.util.find_spec("openvino") and not _cuda_available():
        return "openvino"
    return "torch"


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
