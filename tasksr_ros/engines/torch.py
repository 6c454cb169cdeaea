"""The PyTorch engine: the reference, on any device, and the way of a GPU without TensorRT."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.batches import StaticBatches, batch_sizes, prepare
from tasksr_ros.engines.cache import cache_folder, make_private
from tasksr_ros.engines.clips import Regions, inputs
from tasksr_ros.engines.cuda import (
    CudaRunner,
    Detect,
    fastest_convolutions,
    kernel_side,
    new_stream,
    select_device,
)
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.graphs import load_graph
from tasksr_ros.engines.interface import engine_errors
from tasksr_ros.errors import EngineError
from tasksr_ros.networks.tdsr import RegionDetector
from tasksr_ros.threads import usable_cores

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

_COMPILER_CACHE = "TORCHINDUCTOR_CACHE_DIR"

_Run: TypeAlias = Callable[..., Found]
"""Of the arrays that the networks take."""


class TorchEngine:
    """See `engines.Engine`. On CUDA every batch size is recorded beforehand (`cuda.CudaRunner`).

    On the CPU a batch is one call; compiled networks run regions one by one there. So it is on all
    devices with super-resolution of video, which is neither recorded nor compiled.
    """

    name = "torch"

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self._neighbours = len(bundle.neighbours)
        self._device = select_device(config.device)
        self.runs_batches = self._device.type == "cuda"
        torch.set_num_threads(config.threads or min(torch.get_num_threads(), usable_cores()))
        detect = self._detector(bundle, config)
        with engine_errors(self.name):
            self._run = self._runner(detect, config)

    def __call__(self, regions: Regions) -> Found:
        """See `engines.Engine`."""
        arrays = inputs(regions, self.region_size, self._neighbours)
        with engine_errors(self.name):
            return self._run(*arrays)

    def _detector(self, bundle: Bundle, config: EngineConfig) -> RegionDetector:
        if config.precision not in DTYPES:
            raise EngineError(
                f"engine torch runs in {', '.join(DTYPES)}, got engine.precision {config.precision}"
            )
        if config.compile and bundle.neighbours:
            raise EngineError(
                f"engine.compile is of super-resolution of single images, got {bundle.name} of "
                f"video"
            )
        form = config.graph
        if form == "auto":
            form = "lr_space" if config.compile else "reference"
        tdsr = load_graph(bundle, form)
        with engine_errors(self.name):
            tdsr = tdsr.to(self._device, DTYPES[config.precision]).to(
                memory_format=torch.channels_last  # type: ignore[call-overload]
            )
        return RegionDetector(tdsr).eval()

    def _runner(self, detector: RegionDetector, config: EngineConfig) -> _Run:
        detect: Detect = _compiled(detector, config) if config.compile else detector
        if self._device.type != "cuda":
            if config.compile:
                return StaticBatches({1: CpuRunner(detect, self.region_size)})
            return _AnyBatch(detect, self._device)
        detect = fastest_convolutions(detect, exact=config.precision == "fp32")
        if self._neighbours:
            return _AnyBatch(detect, self._device)
        stream = new_stream(self._device)

        def make(batch: int) -> CudaRunner:
            return CudaRunner(detect, batch, self.region_size, stream, graph=config.cuda_graphs)

        return StaticBatches(prepare(batch_sizes(config.max_batch), make))


class _AnyBatch:
    """One call for a batch of any size."""

    def __init__(self, detect: Detect, device: torch.device) -> None:
        self._detect = detect
        self._device = device

    def __call__(self, *arrays: NDArray[Any]) -> Found:
        with torch.inference_mode():
            batch = [torch.from_numpy(array).to(self._device) for array in arrays]
            return Found(*(output.cpu().numpy() for output in self._detect(*batch)))


class CpuRunner:
    """See `batches.Runner`, for functions of one shape on the CPU."""

    def __init__(self, detect: Detect, region_size: tuple[int, int], batch: int = 1) -> None:
        self._detect = detect
        width, height = region_size
        with torch.no_grad():  # inference_mode would keep the compiler from folding weights
            outputs = detect(torch.zeros(batch, height, width, 3, dtype=torch.uint8))
        self.num_cells = outputs[1].shape[1]
        self.kernel_side = kernel_side(outputs)

    def __call__(self, regions: NDArray[np.uint8], found: Found) -> None:
        """See `batches.Runner`."""
        with torch.no_grad():
            outputs = self._detect(torch.from_numpy(np.ascontiguousarray(regions)))
        for result, output in zip(found.arrays, outputs, strict=True):
            np.copyto(result, output.numpy())


def _compiled(detector: RegionDetector, config: EngineConfig) -> Detect:
    """The networks for torch.compile, which does its work at the first call of each batch size.

    What it makes is kept in the cache folder: its own default is a folder under /tmp, with a name
    that others know.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    folder = cache_folder(config)
    try:
        make_private(folder)
    except OSError as error:
        raise EngineError(f"engine.compile needs a cache folder to write to: {error}") from None
    if os.environ.get(_COMPILER_CACHE) in (None, default_cache_dir()):  # torch sets it, too
        os.environ[_COMPILER_CACHE] = str(folder / "inductor")
    torch._dynamo.reset()  # an older compilation may be for another number of threads
    compiled: Detect = torch.compile(
        detector, fullgraph=True, dynamic=False, options={"freezing": True}
    )
    return compiled
