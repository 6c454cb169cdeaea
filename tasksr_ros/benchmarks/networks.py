"""Speed of the super-resolution networks in several engines and graph forms, side by side.

Every form is run in turn, round after round, in one process, so that what else the machine does
falls on all of them alike; medians are given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tasksr_ros.benchmarks.config import FORMS, NetworksConfig
from tasksr_ros.benchmarks.forms import Images, Run, build_forms
from tasksr_ros.benchmarks.quality import mean_psnr_y, to_images
from tasksr_ros.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

GEMM = "matrix multiplication"
GEMM_SIZE = 1024


@dataclass(frozen=True)
class Row:
    """One form of one network.

    Attributes:
        network: name, as `networks.build_sr` takes it, or the bundle's.
        scale_factor: of the network.
        form: one of ``FORMS``.
        threads: CPU threads.
        wall_ms: median of the time passed.
        cpu_ms: median of the processor time used, of all threads.
        gflop: floating-point operations of the reference graph, 10^9.
        peak_fraction: ``gflop`` per second of processor time, as a fraction of the float32 matrix
            multiplication measured in the same rounds with as many threads (so lower precision
            can exceed 1).
        speedup: wall time of the torch reference graph over this one's.
        cpu_speedup: the same of processor time, which other programs disturb less.
        cpu_step: processor time of the row before over this one's.
        max_difference: from the torch reference graph's output, of its range, on random input.
        psnr_y: mean over the images in dB; None without images.
    """

    network: str
    scale_factor: int
    form: str
    threads: int
    wall_ms: float
    cpu_ms: float
    gflop: float
    peak_fraction: float
    speedup: float
    cpu_speedup: float
    cpu_step: float
    max_difference: float
    psnr_y: float | None


def benchmark_networks(config: NetworksConfig) -> list[Row]:
    """Time each network on one region in every form that can run here.

    Raises:
        ConfigError: for an unknown form.
        TypeError, ValueError: for a network without LR-space form.
    """
    unknown = [form for form in config.forms if form not in FORMS]
    if unknown:
        raise ConfigError(f"forms must be of {'; '.join(FORMS)}; got {unknown[0]!r}")
    rows: list[Row] = []
    for name, network in _networks(config):
        for threads in config.threads:
            rows += _measure(name, network, threads, config)
    return rows


def _networks(config: NetworksConfig) -> Iterator[tuple[str, nn.Module]]:
    import torch

    from tasksr_ros.bundle import load_bundle
    from tasksr_ros.networks import build_sr

    if config.weights:
        bundle = load_bundle(config.weights)
        yield bundle.name, bundle.load().sr
        return
    for name in config.networks:
        torch.manual_seed(0)
        yield name, build_sr(name, config.scale_factor).eval().requires_grad_(False)


def _measure(name: str, network: nn.Module, threads: int, config: NetworksConfig) -> list[Row]:
    lr = np.random.default_rng(0).random((1, 3, *config.region_hw), np.float32)
    scale_factor = int(network.scale_factor)  # type: ignore[arg-type]
    gflop = _gflop(network, config.region_hw)
    wanted = [f for f in FORMS if f == FORMS[0] or f in config.forms]
    with _torch_threads(threads):
        runs = build_forms(network, config.region_hw, threads, wanted, _calibration(config))
        timed = {form: partial(run, lr) for form, run in runs.items()}
        wall, cpu = _time({**timed, GEMM: _gemm()}, config.rounds, config.warm_up)
        difference = _differences(runs, lr)
        psnr = {}
        if config.images and config.weights:
            psnr = mean_psnr_y(runs, config.images, config.region_hw, scale_factor)
    peak_gflops = 2 * GEMM_SIZE**3 / 1e9 / cpu[GEMM]
    logger.info("%s: %d threads: %s %.0f GFLOP per CPU second", name, threads, GEMM, peak_gflops)
    rows: list[Row] = []
    for form in runs:
        rows.append(
            Row(
                network=name,
                scale_factor=scale_factor,
                form=form,
                threads=threads,
                wall_ms=wall[form] * 1e3,
                cpu_ms=cpu[form] * 1e3,
                gflop=gflop,
                peak_fraction=gflop / cpu[form] / peak_gflops,
                speedup=wall[FORMS[0]] / wall[form],
                cpu_speedup=cpu[FORMS[0]] / cpu[form],
                cpu_step=rows[-1].cpu_ms / cpu[form] / 1e3 if rows else 1.0,
                max_difference=difference[form],
                psnr_y=psnr.get(form),
            )
        )
    return rows


def _calibration(config: NetworksConfig) -> list[Images]:
    from tasksr_ros.engines.quantisation import calibration_regions

    if not config.calibration:
        return []
    height, width = config.region_hw
    regions = calibration_regions(config.calibration, (width, height))
    return [to_images(region) for region in regions]


def _gflop(network: nn.Module, region_hw: tuple[int, int]) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, *region_hw))
    return float(counter.get_total_flops()) / 1e9


def _differences(runs: Mapping[str, Run], lr: Images) -> dict[str, float]:
    expected = runs[FORMS[0]](lr)
    spread = float(expected.max() - expected.min())
    return {f: float(np.abs(run(lr) - expected).max()) / spread for f, run in runs.items()}


def _gemm() -> Callable[[], object]:
    import torch

    a, b = torch.rand(2, GEMM_SIZE, GEMM_SIZE).unbind()
    return lambda: a @ b


def _time(
    runs: Mapping[str, Callable[[], object]], rounds: int, warm_up: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median wall and processor seconds of each run."""
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(warm_up + rounds):
        for name, run in runs.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            run()
            wall_end, cpu_end = time.perf_counter(), time.process_time()
            if index >= warm_up:
                wall[name].append(wall_end - wall_start)
                cpu[name].append(cpu_end - cpu_start)
    return _medians(wall), _medians(cpu)


def _medians(samples: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(np.median(values)) for name, values in samples.items()}


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
