"""The PyTorch engine: the reference graph, on any device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import check_regions
from tasksr_ros.errors import EngineError
from tasksr_ros.networks.tdsr import RegionDetector, RegionSuperResolver


class TorchEngine:
    """See `engines.Engine`. Runs in float32; CUDA calls are synchronous."""

    name = "torch"

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self._device = _device(config.device)
        if config.threads:
            torch.set_num_threads(config.threads)
        tdsr = (
            bundle.load()
            .to(self._device)
            .to(
                memory_format=torch.channels_last  # type: ignore[call-overload]
            )
        )
        self._detect = RegionDetector(tdsr)
        self._super_resolve = RegionSuperResolver(tdsr)

    def __call__(
        self, regions: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `engines.Engine`."""
        with torch.inference_mode():
            boxes, scores = self._detect(self._upload(regions))
        return boxes.cpu().numpy(), scores.cpu().numpy()

    def super_resolve(self, regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `engines.Engine`."""
        with torch.inference_mode():
            sr = self._super_resolve(self._upload(regions))
        return np.ascontiguousarray(sr.cpu().numpy())

    def _upload(self, regions: NDArray[np.uint8]) -> Tensor:
        check_regions(regions, self.region_size)
        return torch.from_numpy(np.ascontiguousarray(regions)).to(self._device)


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
