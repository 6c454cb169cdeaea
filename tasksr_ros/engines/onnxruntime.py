"""The ONNX Runtime engine: the road of others' detectors to GPUs, by its execution providers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.cache import (
    cache_folder,
    code_sha256,
    is_trusted,
    make_private,
    written_whole,
)
from tasksr_ros.engines.clips import Regions, inputs
from tasksr_ros.engines.found import Found, joined
from tasksr_ros.errors import EngineError

logger = logging.getLogger(__name__)

PROVIDERS = {
    "TensorRT": "TensorrtExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "OpenVINO": "OpenVINOExecutionProvider",
    "CPU": "CPUExecutionProvider",
}
"""By falling preference: ONNX Runtime's names by ours."""
_MODEL = "model.onnx"


class OnnxRuntimeEngine:
    """See `engines.Engine`. All regions in one call where the graph takes them, else one by one."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, config: EngineConfig) -> None:
        if config.precision != "fp32":
            raise EngineError(
                f"engine onnxruntime runs in fp32, got engine.precision {config.precision}"
            )
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self.runs_batches = not isinstance(bundle.detector, ForeignDetector)
        folder = cache_folder(config) / _key(bundle)
        graph = _graph(bundle, folder)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = config.threads
        for pool in (
            "intra_op",
            "inter_op",
        ):  # as in tasksr_ros.threads
            options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
        wanted = [(PROVIDERS[p], _provider_options(p, folder)) for p in providers(config)]
        try:
            self._session = ort.InferenceSession(graph, options, providers=wanted)
        except Exception as error:  # its errors have no common base of their own
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"onnxruntime cannot run {bundle.name}: {reason}") from None
        self.providers = self._session.get_providers()
        logger.info("onnxruntime runs %s with %s", bundle.name, ", ".join(self.providers))

    def __call__(self, regions: Regions) -> Found:
        """See `engines.Engine`."""
        (regions,) = inputs(regions, self.region_size, neighbours=0)
        size = len(regions) if self.runs_batches else 1
        try:
            return joined(
                [self._run(regions[first : first + size]) for first in range(0, len(regions), size)]
            )
        except Exception as error:  # see above
            reason = str(error).partition("\n")[0]
            raise EngineError(f"onnxruntime failed: {reason}") from error

    def _run(self, regions: NDArray[np.uint8]) -> Found:
        boxes, scores, class_ids = self._session.run(None, {"regions": regions})
        return Found(boxes, scores, class_ids.astype(np.int32, copy=False))


def providers(config: EngineConfig) -> list[str]:
    """The execution providers to use, by our names and falling preference; CPU is always last.

    Raises:
        EngineError: for a name that there is not, or a provider that is not installed.
    """
    installed = [name for name, theirs in PROVIDERS.items() if theirs in _available()]
    wanted = [name for name in config.providers if name]
    for name in wanted:
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise EngineError(f"engine.providers must be of {known}, got {name!r}")
        if name not in installed:
            raise EngineError(
                f"engine.providers: {name} is not in the onnxruntime that is installed, "
                f"which has {', '.join(installed)}"
            )
    chosen = wanted or installed
    return [*(name for name in chosen if name != "CPU"), "CPU"]


def has_gpu() -> bool:
    """Whether ONNX Runtime is installed with a provider for NVIDIA GPUs."""
    return bool({PROVIDERS["TensorRT"], PROVIDERS["CUDA"]} & set(_available()))


def _available() -> list[str]:
    return list(ort.get_available_providers())


def _provider_options(name: str, folder: Path) -> dict[str, Any]:
    """What a provider is told; compiled engines lie beside the graph, under the same key."""
    if name != "TensorRT":
        return {}
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder / "tensorrt"),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder / "tensorrt"),
    }


def _key(bundle: Bundle) -> str:
    """Name of what a graph depends on: networks and weights, code, region, library."""
    width, height = bundle.region_size
    return (
        f"onnxruntime-{ort.__version__}-{bundle.name}-{bundle.sha256[:16]}-"
        f"{code_sha256(bundle)[:8]}-{width}x{height}"
    )


def _graph(bundle: Bundle, folder: Path) -> bytes:
    """The bundle's graph from the cache, or made and put there."""
    try:
        if folder.is_dir() and is_trusted(folder):
            return (folder / _MODEL).read_bytes()
    except OSError as error:
        logger.warning("%s: unreadable, making it again: %s", folder, error)
    from tasksr_ros.engines.onnx_graph import onnx_graph

    logger.info("making the graph of %s", bundle.name)
    graph: bytes = onnx_graph(bundle).SerializeToString()
    try:
        with written_whole(folder) as partial:
            (partial / _MODEL).write_bytes(graph)
            make_private(partial / "tensorrt")
    except OSError as error:  # the engine runs without it, too
        logger.warning("%s: the graph is not kept: %s", folder, error)
    return graph
