"""The TensorRT engine: networks compiled for one GPU, kept in the cache folder.

Building takes minutes and needs the GPU that it is built for; `tasksr build-engine` does it
beforehand. One file per batch size and a manifest make an engine; see `engine_files` for which
may be loaded, and docs/GPU.md for what was tried on a GPU.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import torch
from torch import Tensor

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.batches import Runner, StaticBatches, batch_sizes, prepare
from tasksr_ros.engines.cache import cache_folder, code_sha256, written_whole
from tasksr_ros.engines.clips import Regions, inputs
from tasksr_ros.engines.cuda import Detect
from tasksr_ros.engines.engine_files import (
    UnfitEngineError,
    file_of,
    read_engine,
    set_aside,
)
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.graphs import load_graph
from tasksr_ros.engines.guarded import lacks_memory
from tasksr_ros.engines.interface import engine_errors
from tasksr_ros.engines.manifest import EngineFile, Machine, Manifest, Origin, write_manifest
from tasksr_ros.engines.tensorrt_library import Library, Networks, TorchTensorRt
from tasksr_ros.engines.torch import DTYPES
from tasksr_ros.engines.verification import Difference, verify
from tasksr_ros.errors import EngineError
from tasksr_ros.networks.tdsr import normalise

logger = logging.getLogger(__name__)

_TIMING_CACHE = "tensorrt-timing.bin"
_PROGRESS_S = 15.0


class TensorRtEngine:
    """See `engines.Engine`. Every batch size is compiled and recorded (`cuda.CudaRunner`).

    Args:
        bundle: what is run.
        config: ``precision``, ``graph``, ``max_batch`` and ``cache_dir`` say which engine,
            ``on_mismatch`` what is done without it.
        library: TensorRT and the GPU.

    Attributes:
        folder: where the engine lies.
        difference: of the outputs from torch's in fp32, where it was built just now.

    Raises:
        EngineError: if there is no engine that fits and none is built.
    """

    name = "tensorrt"
    runs_batches = True

    def __init__(
        self,
        bundle: Bundle,
        config: EngineConfig,
        library: Library | None = None,
    ) -> None:
        _check_precision(config.precision)
        self.region_size = bundle.region_size
        self.scale_factor = bundle.scale_factor
        self.difference: Difference | None = None
        self._config = config
        self._library = library or TorchTensorRt(config)
        origin = _origin(bundle, config, self._library.machine())
        self.folder = cache_folder(config) / _folder_name(origin)
        self._load_or_build(bundle, origin)

    def __call__(self, regions: Regions) -> Found:
        """See `engines.Engine`."""
        (regions,) = inputs(regions, self.region_size, neighbours=0)
        with engine_errors(self.name):
            return self._run(regions)

    def _load_or_build(self, bundle: Bundle, origin: Origin) -> None:
        try:
            self._run = self._loaded(origin)
        except UnfitEngineError as error:
            if self._config.on_mismatch == "refuse":
                raise EngineError(
                    f"{error}; engine.on_mismatch is refuse: make one with tasksr build-engine"
                ) from None
            logger.warning("%s", error)
            self._build(bundle, origin)

    def _loaded(self, origin: Origin) -> StaticBatches:
        """What runs the engine that lies in the folder.

        Raises:
            UnfitEngineError: if there is none that may be used, or can be.
            EngineError: if the device has not the memory.
        """
        manifest, data = read_engine(self.folder, origin)
        driver = self._library.driver()
        if manifest.driver != driver:
            logger.info("%s: built with driver %s, got %s", self.folder, manifest.driver, driver)
        try:
            return self._prepared(data)
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).partition("\n")[0]
            if lacks_memory(error):
                raise EngineError(f"tensorrt failed: {reason}") from error
            raise UnfitEngineError(f"{self.folder}: cannot be loaded: {reason}") from None

    def _prepared(self, data: Mapping[int, bytes]) -> StaticBatches:
        dtype = DTYPES[self._config.precision]

        def make(batch: int) -> Runner:
            detect = _detect(self._library.load(data[batch]), dtype)
            graph = self._config.cuda_graphs
            return self._library.runner(detect, batch, self.region_size, graph=graph)

        return StaticBatches(prepare(sorted(data), make))

    def _build(self, bundle: Bundle, origin: Origin) -> None:
        """Build, save, load and verify the engine, then put it in the folder's place."""
        aside = set_aside(self.folder)
        if aside is not None:
            logger.warning("%s: set aside as %s", self.folder, aside.name)
        try:
            with written_whole(self.folder) as partial:
                files = self._build_files(bundle, origin, partial)
                self._run = self._prepared(
                    {file.batch: (partial / file.name).read_bytes() for file in files}
                )
                self.difference = verify(self, bundle, self._config)
                write_manifest(self._manifest(origin, files, self.difference), partial)
        except OSError as error:
            raise EngineError(f"tensorrt engine cannot be kept: {error}") from None
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise EngineError(f"tensorrt failed to build: {reason}") from error
        logger.info("%s: %s", self.folder, self.difference)

    def _manifest(
        self, origin: Origin, files: Sequence[EngineFile], difference: Difference
    ) -> Manifest:
        return Manifest(
            origin=origin,
            driver=self._library.driver(),
            built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            score_difference=difference.score,
            box_difference=difference.box,
            files=tuple(files),
        )

    def _build_files(self, bundle: Bundle, origin: Origin, folder: Path) -> list[EngineFile]:
        sizes = batch_sizes(self._config.max_batch)
        width, height = self.region_size
        dtype = DTYPES[self._config.precision]
        files = []
        for index, batch in enumerate(sizes):
            networks = load_graph(bundle, origin.graph).to(dtype)
            example = torch.zeros(batch, 3, height, width, dtype=dtype)
            path = folder / f"batch-{batch}.pt2"
            with _told(f"[{index + 1}/{len(sizes)}] building for batches of {batch}"):
                program = self._library.build(networks, example, folder.parent / _TIMING_CACHE)
                self._library.save(program, example, path)
            files.append(file_of(path, batch))
        return files


def _check_precision(precision: str) -> None:
    if precision not in DTYPES:
        raise EngineError(
            f"engine tensorrt runs in {', '.join(DTYPES)}, got engine.precision {precision}"
        )


@contextmanager
def _told(text: str) -> Iterator[None]:
    """Say that a step has begun, every now and then that it goes on, and how long it took."""
    start, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(_PROGRESS_S):
            logger.info("%s: %.0f s so far", text, time.monotonic() - start)

    logger.info("%s", text)
    teller = threading.Thread(target=tell, name="build progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
    logger.info("%s: done in %.0f s", text, time.monotonic() - start)


def _folder_name(origin: Origin) -> str:
    """Of one engine for each model, precision and kind of GPU; what else changes replaces it."""
    gpu = re.sub(r"[^a-z0-9]+", "-", origin.machine.gpu.lower()).strip("-")
    return (
        f"tensorrt-{origin.bundle}-{origin.bundle_sha256[:16]}-"
        f"{origin.region_width}x{origin.region_height}-{origin.precision}-{origin.graph}-{gpu}"
    )


def _detect(networks: Networks, dtype: torch.dtype) -> Detect:
    def detect(regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # TensorRT takes bytes only to turn them into floats at once, which is done before it
        boxes, scores, class_ids = networks(normalise(regions, dtype).contiguous())
        return boxes, scores, class_ids

    return detect


def _origin(bundle: Bundle, config: EngineConfig, machine: Machine) -> Origin:
    width, height = bundle.region_size
    return Origin(
        bundle=bundle.name,
        bundle_sha256=bundle.sha256,
        code_sha256=code_sha256(bundle),
        region_width=width,
        region_height=height,
        graph="lr_space" if config.graph == "auto" else config.graph,
        precision=config.precision,
        max_batch=config.max_batch,
        machine=machine,
    )
