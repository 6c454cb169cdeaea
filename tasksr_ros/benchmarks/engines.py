"""Speed of whole engines, super-resolution and detector, side by side.

Every engine that can run here is built as the pipeline builds it, and beside them PyTorch in
eager mode with the reference graph, with which all are compared. What cannot run is named.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tasksr_ros.benchmarks.config import EnginesConfig, size_of
from tasksr_ros.benchmarks.engine_forms import (
    CHANNELS_FIRST,
    COMPILED,
    REFERENCE,
    build_calls,
    random_bundle,
)
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.benchmarks.timing import (
    GEMM,
    GEMM_SIZE,
    Samples,
    gemm,
    time_in_turns,
    torch_threads,
)
from tasksr_ros.bundle import Bundle

logger = logging.getLogger(__name__)

SINGLE = (REFERENCE, CHANNELS_FIRST, COMPILED)
"""Run with one region only: others are compared with that, or they compile for minutes."""


@dataclass(frozen=True)
class Row:
    """One engine with one network and one batch.

    Attributes:
        network: name, as `networks.build_sr` takes it.
        scale_factor: of the network.
        region: WIDTHxHEIGHT, px.
        batch: regions of a call.
        engine: name and precision.
        threads: CPU threads.
        wall_ms: median of the time passed for a call.
        p95_ms: its 95th percentile.
        p99_ms: its 99th.
        cpu_ms: median of the processor time used, of all threads.
        gmac: multiply-adds of the reference graph for the call, 10^9.
        peak_fraction: of the float32 matrix multiplication in the same rounds, by processor time.
        speedup: wall time of the reference graph for as many regions one by one, over this one's.
        to_singles: wall time over that of as many calls with one region.
        memory_mb: how much more memory the process had after the engine was built and had run.
    """

    network: str
    scale_factor: int
    region: str
    batch: int
    engine: str
    threads: int
    wall_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float
    gmac: float
    peak_fraction: float
    speedup: float
    to_singles: float
    memory_mb: float


@dataclass(frozen=True)
class Case:
    """What is run in the same rounds: one network and region, in batches."""

    network: str
    scale_factor: int
    region: str
    batches: tuple[int, ...]


COLUMNS: Columns = {
    "network": lambda r: f"{r.network} x{r.scale_factor}",
    "region": lambda r: r.region,
    "regions": lambda r: f"{r.batch}",
    "engine": lambda r: r.engine,
    "threads": lambda r: f"{r.threads}",
    "ms, median": lambda r: f"{r.wall_ms:.1f}",
    "p95": lambda r: f"{r.p95_ms:.1f}",
    "p99": lambda r: f"{r.p99_ms:.1f}",
    "CPU ms": lambda r: f"{r.cpu_ms:.0f}",
    "GMAC": lambda r: f"{r.gmac:.1f}",
    "of GEMM peak": lambda r: f"{r.peak_fraction:.0%}",
    "faster": lambda r: f"{r.speedup:.1f}x",
    "to single calls": lambda r: f"{r.to_singles:.2f}",
    "memory MB": lambda r: f"{r.memory_mb:.0f}",
}


def benchmark_engines(config: EnginesConfig) -> list[Row]:
    """Time each engine in every case.

    Raises:
        ConfigError: for a size that is none, or engines of which none is known.
        TypeError, ValueError: for an unknown network.
    """
    rows: list[Row] = []
    for threads in config.threads:
        for case in cases(config):
            logger.info("%s x%d, %s, %d threads", *_names(case), threads)
            with torch_threads(threads):
                rows += _measure(case, threads, config)
    return rows


def cases(config: EnginesConfig) -> Iterator[Case]:
    """The first of everything in all batches; then each other network, scale factor, region."""
    network, scale_factor, region = (
        config.networks[0],
        config.scale_factors[0],
        config.regions[0],
    )
    yield Case(network, scale_factor, region, tuple(sorted({1, *config.batches})))
    for other in config.networks[1:]:
        yield Case(other, scale_factor, region, (1,))
    for factor in config.scale_factors[1:]:
        yield Case(network, factor, region, (1,))
    for size in config.regions[1:]:
        yield Case(network, scale_factor, size, (1,))


def _names(case: Case) -> tuple[str, int, str]:
    return case.network, case.scale_factor, case.region


def _measure(case: Case, threads: int, config: EnginesConfig) -> list[Row]:
    with TemporaryDirectory() as folder:
        bundle = random_bundle(Path(folder), case.network, case.scale_factor, size_of(case.region))
        calls, memory_mb = build_calls(bundle, threads, config, Path(folder) / "cache")
        timed = {
            f"{name} {batch}": partial(call, _regions(bundle, batch))
            for name, call in calls.items()
            for batch in (case.batches if name not in SINGLE else (1,))
        }
        samples = time_in_turns({**timed, GEMM: gemm()}, config.rounds, config.warm_up)
        gmac = multiply_adds(bundle) / 1e9
    return [
        _row(case, name, batch, threads, samples, gmac * batch, memory_mb)
        for name in calls
        for batch in case.batches
        if f"{name} {batch}" in samples
    ]


def _row(
    case: Case,
    name: str,
    batch: int,
    threads: int,
    samples: Mapping[str, Samples],
    gmac: float,
    memory_mb: Mapping[str, float],
) -> Row:
    taken, single = samples[f"{name} {batch}"], samples[f"{name} 1"]
    peak_gmacs = GEMM_SIZE**3 / 1e6 / samples[GEMM].cpu_ms
    return Row(
        network=case.network,
        scale_factor=case.scale_factor,
        region=case.region,
        batch=batch,
        engine=name,
        threads=threads,
        wall_ms=taken.wall_ms(),
        p95_ms=taken.wall_ms(95),
        p99_ms=taken.wall_ms(99),
        cpu_ms=taken.cpu_ms,
        gmac=gmac,
        peak_fraction=gmac / taken.cpu_ms * 1e3 / peak_gmacs,
        speedup=samples[f"{REFERENCE} 1"].wall_ms() * batch / taken.wall_ms(),
        to_singles=taken.wall_ms() / (batch * single.wall_ms()),
        memory_mb=memory_mb[name],
    )


def _regions(bundle: Bundle, batch: int) -> np.ndarray:
    width, height = bundle.region_size
    return np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8)


def multiply_adds(bundle: Bundle) -> float:
    """Of the reference graph, super-resolution and detector, for one region."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from tasksr_ros.networks.tdsr import RegionDetector

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        RegionDetector(bundle.load())(torch.from_numpy(_regions(bundle, 1)))
    return float(counter.get_total_flops()) / 2


def bars(rows: list[Row]) -> list[Bar]:
    """Times per region."""
    return [
        Bar(
            f"{r.network} x{r.scale_factor}, {r.region} px, {r.threads} thread(s)",
            r.engine if r.batch == 1 else f"{r.engine}, {r.batch} regions",
            r.wall_ms / r.batch,
            f"{r.wall_ms / r.batch:.0f} ms, {r.speedup:.1f}x",
        )
        for r in rows
    ]


BENCHMARK = Benchmark(
    "engines",
    EnginesConfig,
    benchmark_engines,
    COLUMNS,
    bars,
    "wall time for each region, ms (median)",
)
