"""Estimates of an engine's time on other devices, and how far they are off on this CPU."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.cost import DEVICES, REACHED, Device, Layer, layers, megabytes, seconds
from tasksr_ros.benchmarks.config import EnginesConfig, size_of
from tasksr_ros.benchmarks.engine_forms import build_calls, random_bundle
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.benchmarks.timing import GEMM, GEMM_SIZE, gemm, time_in_turns, torch_threads
from tasksr_ros.bundle import Bundle
from tasksr_ros.cli.benchmark import main
from tasksr_ros.errors import ConfigError, EngineError
from tasksr_ros.options import option

CPU = "cpu"
ENGINE = "openvino fp32"
COPY_BYTES = 2**28


@dataclass(frozen=True)
class PredictConfig:
    """Estimates for other devices, from operations, bytes and published peaks."""

    devices: tuple[str, ...] = option(
        (CPU,), f"{', '.join(DEVICES)}, or cpu: this machine, checked by measuring"
    )
    networks: tuple[str, ...] = option(("dbpn-ss", "dbpn-s"), "DBPN variants")
    scale_factors: tuple[int, ...] = option((4, 2), "2, 4 or 8", low=2, high=8)
    regions: tuple[str, ...] = option(("320x96", "640x192"), "WIDTHxHEIGHT of a region, px")
    batches: tuple[int, ...] = option((1, 4, 8), "regions of one call", low=1)
    rounds: int = option(9, "timed calls of each, on the CPU", low=1)


@dataclass(frozen=True)
class Row:
    """One call on one device.

    Attributes:
        device: its name.
        network: DBPN variant, with the detector.
        scale_factor: of the network.
        region: WIDTHxHEIGHT, px.
        batch: regions of the call.
        gmac: multiply-adds, 10^9.
        moved_mb: activations and weights read and written, 10^6 bytes.
        bound_ms: the roofline: no engine is faster.
        estimate_ms: bound_ms over the share of it that is reached (``cost.REACHED``).
        measured_ms: median, on this CPU; None elsewhere, where the estimate is all there is.
        error: estimate_ms over measured_ms, less 1; None likewise.
        source: of the device's peaks.
    """

    device: str
    network: str
    scale_factor: int
    region: str
    batch: int
    gmac: float
    moved_mb: float
    bound_ms: float
    estimate_ms: float
    measured_ms: float | None
    error: float | None
    source: str


COLUMNS: Columns = {
    "device": lambda r: r.device,
    "network": lambda r: f"{r.network} x{r.scale_factor}",
    "region": lambda r: r.region,
    "regions": lambda r: f"{r.batch}",
    "GMAC": lambda r: f"{r.gmac:.1f}",
    "MB": lambda r: f"{r.moved_mb:.0f}",
    "bound, ms": lambda r: f"{r.bound_ms:.2f}",
    "**estimate**, ms": lambda r: f"{r.estimate_ms:.2f}",
    "measured, ms": lambda r: "not measured" if r.measured_ms is None else f"{r.measured_ms:.1f}",
    "error": lambda r: "-" if r.error is None else f"{r.error:+.0%}",
}


def benchmark_predict(config: PredictConfig) -> list[Row]:
    """Estimate every case on every device; on this CPU, measure it as well.

    Raises:
        ConfigError: for an unknown device, or a size that is none.
        EngineError: if the engine of the CPU cannot run here.
    """
    for unknown in set(config.devices) - {CPU, *DEVICES}:
        raise ConfigError(f"devices must be of {', '.join([CPU, *DEVICES])}; got {unknown!r}")
    rows: list[Row] = []
    for network, scale_factor, region, batches in _cases(config):
        with TemporaryDirectory() as folder:
            bundle = random_bundle(Path(folder), network, scale_factor, size_of(region))
            some = layers(bundle)
            for name in config.devices:
                if name == CPU:
                    device, measured = _measure(bundle, batches, config.rounds, Path(folder))
                else:
                    device, measured = DEVICES[name], dict.fromkeys(batches)
                rows += [
                    _row(device, (network, scale_factor, region), some, batch, taken)
                    for batch, taken in measured.items()
                ]
    order = {name: index for index, name in enumerate(config.devices)}
    return sorted(rows, key=lambda row: order[row.device])


def _cases(config: PredictConfig) -> Iterator[tuple[str, int, str, Sequence[int]]]:
    """The first network, scale factor and region in all batches; each other one with one region."""
    network, scale_factor, region = config.networks[0], config.scale_factors[0], config.regions[0]
    yield network, scale_factor, region, config.batches
    for other in config.networks[1:]:
        yield other, scale_factor, region, config.batches
    for factor in config.scale_factors[1:]:
        yield network, factor, region, (1,)
    for size in config.regions[1:]:
        yield network, scale_factor, size, (1,)


def _row(
    device: Device,
    case: tuple[str, int, str],
    some: Sequence[Layer],
    batch: int,
    measured_ms: float | None,
) -> Row:
    bound_ms = seconds(some, device, batch) * 1e3
    estimate_ms = bound_ms / REACHED
    return Row(
        device=device.name,
        network=case[0],
        scale_factor=case[1],
        region=case[2],
        batch=batch,
        gmac=sum(layer.macs for layer in some) * batch / 1e9,
        moved_mb=megabytes(some, device, batch),
        bound_ms=bound_ms,
        estimate_ms=estimate_ms,
        measured_ms=measured_ms,
        error=None if measured_ms is None else estimate_ms / measured_ms - 1,
        source=device.source,
    )


def _measure(
    bundle: Bundle, batches: Sequence[int], rounds: int, folder: Path
) -> tuple[Device, dict[int, float | None]]:
    """This CPU's peaks, and ms of each batch, all measured in the same rounds."""
    threads = os.cpu_count() or 1
    width, height = bundle.region_size
    with torch_threads(threads):
        only = EnginesConfig(engines=(ENGINE,))
        call = build_calls(bundle, threads, only, folder / "cache")[0].get(ENGINE)
        if call is None:
            raise EngineError(f"device cpu needs the engine {ENGINE}")
        timed = {
            f"{batch}": partial(call, np.zeros((batch, height, width, 3), np.uint8))
            for batch in batches
        }
        samples = time_in_turns({**timed, GEMM: gemm()}, rounds, 2)
        flops = 2 * GEMM_SIZE**3 / (samples[GEMM].wall_ms() / 1e3)
    device = Device(CPU, flops, _copy_rate(), 4, 0.0, "measured: matrix multiplication and copy")
    return device, {batch: samples[f"{batch}"].wall_ms() for batch in batches}


def _copy_rate() -> float:
    """Bytes per second that are read and written when memory is copied."""
    source = np.ones(COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        taken.append(time.perf_counter() - start)
    return 2 * COPY_BYTES / min(taken)


def bars(rows: list[Row]) -> list[Bar]:
    """Estimates, and what was measured."""
    found = []
    for r in rows:
        name = f"{r.network} x{r.scale_factor}, {r.batch} x {r.region}"
        found.append(Bar(f"{r.device}: estimates", name, r.estimate_ms, f"{r.estimate_ms:.1f} ms"))
        if r.measured_ms is not None:
            measured = f"{r.measured_ms:.1f} ms"
            found.append(Bar(f"{r.device}: measured", name, r.measured_ms, measured))
    return found


BENCHMARK = Benchmark(
    "predict", PredictConfig, benchmark_predict, COLUMNS, bars, "estimated time of a call, ms"
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
