"""The engines that can run here, and the PyTorch graphs they are compared with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.benchmarks.config import EnginesConfig
from tasksr_ros.benchmarks.timing import resident_mb
from tasksr_ros.bundle import Bundle, load_bundle, save_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import build_engine
from tasksr_ros.errors import BundleError, ConfigError, EngineError

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

REFERENCE = "torch eager, reference graph"
CHANNELS_FIRST = "torch eager, reference graph, channels first"
"""In the memory layout that PyTorch has by default, as published networks run in it."""
LR_SPACE = "torch eager, LR space"
COMPILED = "torch compiled, LR space"

Call: TypeAlias = Callable[[NDArray[np.uint8]], object]
"""What runs a batch of regions, (N, height, width, 3) uint8."""


def engine_names() -> list[str]:
    """All that may be measured: graphs in PyTorch, then the package's engines and precisions."""
    return [
        REFERENCE,
        CHANNELS_FIRST,
        LR_SPACE,
        COMPILED,
        *(name for name, _ in _product_engines()),
    ]


def build_calls(
    bundle: Bundle, threads: int, config: EnginesConfig, cache: Path
) -> tuple[dict[str, Call], dict[str, float]]:
    """What runs each wanted engine, and the MB that it took; what cannot run here is named.

    Args:
        bundle: to run.
        threads: CPU threads; torch's number must be set already.
        config: which engines.
        cache: folder for converted models.

    Raises:
        ConfigError: for an engine that is not known.
    """
    for unknown in set(config.engines) - set(engine_names()):
        raise ConfigError(f"engines must be of {'; '.join(engine_names())}; got {unknown!r}")
    wanted = {REFERENCE, *(config.engines or engine_names())}
    width, height = bundle.region_size
    empty = np.zeros((1, height, width, 3), np.uint8)
    calls: dict[str, Call] = {}
    memory_mb: dict[str, float] = {}
    for name, build in _builders(bundle, threads, config, cache).items():
        if name not in wanted:
            continue
        before = resident_mb()
        try:
            calls[name] = build()
            calls[name](empty)
        except EngineError as error:
            calls.pop(name, None)
            logger.warning("%s is left out: %s", name, error)
            continue
        memory_mb[name] = resident_mb() - before
    return calls, memory_mb


def random_bundle(
    folder: Path, network: str, scale_factor: int, region_size: tuple[int, int]
) -> Bundle:
    """A bundle with random weights, which are as fast as any.

    Args:
        folder: to write it below.
        network: DBPN variant.
        scale_factor: 2, 4 or 8.
        region_size: (width, height) of a region, px.

    Raises:
        ConfigError: for a region that the networks cannot take.
    """
    import torch

    from tasksr_ros.networks import build_sr
    from tasksr_ros.networks.detectors.fcos import Detector

    torch.manual_seed(0)
    description = {
        "name": f"{network}-x{scale_factor}",
        "sr": {"network": network, "scale_factor": scale_factor},
        "detector": {"network": "fcos"},
        "classes": ["pedestrian"],
        "region_size": list(region_size),
        "score_threshold": 0.5,
        "recipe": {"weights": "random"},
    }
    try:
        networks = {"sr": build_sr(network, scale_factor), "detector": Detector()}
        save_bundle(folder / "model", description, "# random\n", **networks)
        bundle = load_bundle(folder / "model")
    except BundleError as error:
        raise ConfigError(str(error)) from None
    if bundle.neighbours:
        raise ConfigError(
            f"networks must be of single images, got {network} of video: tasksr benchmark pipeline "
            "measures bundles of both"
        )
    return bundle


def _builders(
    bundle: Bundle, threads: int, config: EnginesConfig, cache: Path
) -> dict[str, Callable[[], Call]]:
    def product(values: dict[str, Any]) -> Callable[[], Call]:
        engine = EngineConfig(
            threads=threads, cache_dir=str(cache), calibration=config.calibration, **values
        )
        return lambda: build_engine(bundle, engine)

    return {
        REFERENCE: lambda: _torch(_reference(bundle)),
        CHANNELS_FIRST: lambda: _torch(_channels_first(bundle)),
        LR_SPACE: lambda: _torch(_lr_space(bundle)),
        COMPILED: lambda: _compiled(_lr_space(bundle)),
        **{name: product(values) for name, values in _product_engines()},
    }


def _product_engines() -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and values of `EngineConfig`: every engine in every precision."""
    types = get_type_hints(EngineConfig)
    for engine in get_args(types["name"]):
        if engine != "auto":
            for precision in get_args(types["precision"]):
                yield f"{engine} {precision}", {"name": engine, "precision": precision}
    yield "openvino fp32, throughput", {"name": "openvino", "hint": "throughput"}


def _reference(bundle: Bundle) -> nn.Module:
    from tasksr_ros.networks.tdsr import RegionDetector

    return RegionDetector(bundle.load()).eval()


def _channels_first(bundle: Bundle) -> nn.Module:
    network = _reference(bundle)
    network.get_submodule("tdsr").register_forward_pre_hook(lambda _, lr: (lr[0].contiguous(),))
    return network


def _lr_space(bundle: Bundle) -> nn.Module:
    from tasksr_ros.networks.super_resolution.lr_space import to_lr_space
    from tasksr_ros.networks.tdsr import TDSR, RegionDetector

    tdsr, (width, height) = bundle.load(), bundle.region_size
    return RegionDetector(TDSR(to_lr_space(tdsr.sr, (height, width)), tdsr.detector)).eval()


def _torch(network: nn.Module) -> Call:
    import torch

    def run(regions: NDArray[np.uint8]) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(regions))

    return run


def _compiled(network: nn.Module) -> Call:
    import torch

    torch._dynamo.reset()  # an older compilation may be for another number of threads
    call = torch.compile(network, dynamic=False, options={"freezing": True})

    def run(regions: NDArray[np.uint8]) -> object:
        try:
            with torch.no_grad():
                return call(torch.from_numpy(regions))
        except Exception as error:  # whatever the compiler's installation lacks
            raise EngineError(f"torch.compile failed: {str(error).splitlines()[0]}") from None

    return run
