"""Networks on an NVIDIA GPU: devices, and calls without allocations or waiting for Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasksr_ros.engines.found import Found
from tasksr_ros.errors import EngineError

Detect: TypeAlias = Callable[..., tuple[Tensor, ...]]
"""(N, H, W, 3) uint8 RGB -> boxes (N, A, 4) in SR px, scores, class ids (N, A), and of a blind
network kernels (N, k, k); on one device. Of video it takes neighbours and flows as well, see
`networks.tdsr.super_resolved`."""

_WARM_UP_CALLS = 3
_OUTPUT_TYPES = (torch.float32, torch.float32, torch.int32, torch.float32)


def select_device(name: str) -> torch.device:
    """The device that ``engine.device`` names, tried out; auto: CUDA if available, else the CPU.

    Raises:
        EngineError: if it cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f"engine.device {name!r} cannot be used: {reason}") from None
    return device


def kernel_side(outputs: Sequence[Tensor]) -> int:
    """Side of the kernels that a blind network gives as its fourth output; 0 without."""
    return outputs[3].shape[-1] if len(outputs) > 3 else 0


def new_stream(device: torch.device) -> torch.cuda.Stream:
    """A stream of one's own: what runs on the default one cannot be recorded."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def fastest_convolutions(detect: Detect, *, exact: bool) -> Detect:
    """The same with cuDNN's fastest algorithms; with ``exact`` without TF32 in their sums."""

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=not exact):
            return detect(*inputs)

    return run


class CudaRunner:
    """See `batches.Runner`: one batch size on one stream, with every buffer made beforehand.

    Regions travel as bytes through pinned memory. The kernels of a call are recorded once as a
    CUDA graph, whose outputs keep their place; from there they travel through pinned memory into
    the caller's arrays.

    Args:
        detect: has its weights on the stream's device.
        batch: number of regions of a call.
        region_size: (width, height) in region px.
        stream: all work is done on; not the default stream, which cannot be recorded.
        graph: record the kernels; otherwise they are launched one by one.
    """

    def __init__(
        self,
        detect: Detect,
        batch: int,
        region_size: tuple[int, int],
        stream: torch.cuda.Stream,
        *,
        graph: bool,
    ) -> None:
        width, height = region_size
        self._stream = stream
        self._upload = torch.zeros(batch, height, width, 3, dtype=torch.uint8, pin_memory=True)
        self._regions = self._upload.to(stream.device)
        self._detect = detect
        self._graph: torch.cuda.CUDAGraph | None = None
        torch.cuda.synchronize(stream.device)
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(_WARM_UP_CALLS):
                self._outputs = detect(self._regions)
        stream.synchronize()
        if graph:
            self._graph = torch.cuda.CUDAGraph()
            # thread_local: another thread's engine may go on with its own calls meanwhile
            with (
                torch.no_grad(),
                torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"),
            ):
                self._outputs = detect(self._regions)
        self._downloads = [
            torch.empty(output.shape, dtype=dtype, pin_memory=True)
            for output, dtype in zip(self._outputs, _OUTPUT_TYPES, strict=False)
        ]
        self.num_cells = self._outputs[1].shape[1]
        self.kernel_side = kernel_side(self._outputs)

    def __call__(self, regions: NDArray[np.uint8], found: Found) -> None:
        """See `batches.Runner`."""
        np.copyto(self._upload.numpy(), regions)
        with torch.no_grad(), torch.cuda.stream(self._stream):
            self._regions.copy_(self._upload, non_blocking=True)
            if self._graph is not None:
                self._graph.replay()
            else:
                self._outputs = self._detect(self._regions)
            for download, output in zip(self._downloads, self._outputs, strict=True):
                download.copy_(output, non_blocking=True)
        self._stream.synchronize()
        for result, download in zip(found.arrays, self._downloads, strict=True):
            np.copyto(result, download.numpy())
