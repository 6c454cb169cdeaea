"""The PyTorch engine: the reference graph, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import check_regions
from tasksr_ros.errors import EngineError
from tasksr_ros.networks.tdsr import RegionDetector


class TorchEngine:
    """See `engines.Engine`. CUDA calls are synchronous."""

    name = "torch"

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self._device = _device(config.device)
        self.runs_batches = self._device.type == "cuda"
        if config.threads:
            torch.set_num_threads(config.threads)
        if config.precision == "int8":
            raise EngineError("engine torch runs in fp32 or bf16, got engine.precision int8")
        dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
        tdsr = bundle.load()
        with _engine_errors():
            tdsr = tdsr.to(self._device, dtype).to(
                memory_format=torch.channels_last  # type: ignore[call-overload]
            )
        self._detect = RegionDetector(tdsr)

    def __call__(
        self, regions: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `engines.Engine`."""
        with _engine_errors(), torch.inference_mode():
            boxes, scores = self._detect(self._upload(regions))
            return boxes.cpu().numpy(), scores.cpu().numpy()

    def _upload(self, regions: NDArray[np.uint8]) -> Tensor:
        check_regions(regions, self.region_size)
        return torch.from_numpy(np.ascontiguousarray(regions)).to(self._device)


@contextmanager
def _engine_errors() -> Iterator[None]:
    """PyTorch's errors, CUDA's and those of memory among them, as EngineError."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise EngineError(f"torch failed: {reason}") from error


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f"engine.device {name!r} cannot be used: {reason}") from None
    return device
