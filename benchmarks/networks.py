"""Speed of the super-resolution networks in several engines and graph forms, side by side.

Every form is run in turn, round after round, in one process, so that what else the machine does
falls on all of them alike; medians are given.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.forms import FORMS, Form, Images, Run, build_forms
from benchmarks.networks_report import COLUMNS, Row, bars
from benchmarks.quality import mean_psnr_y, to_images
from tasksr_ros.benchmarks.config import size_of
from tasksr_ros.benchmarks.output import Benchmark
from tasksr_ros.benchmarks.timing import GEMM, GEMM_SIZE, gemm, time_in_turns, torch_threads
from tasksr_ros.cli.benchmark import main
from tasksr_ros.options import option

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworksConfig:
    """Super-resolution alone, in every form and engine that runs on a CPU."""

    networks: tuple[str, ...] = option(("dbpn-ss",), "names of networks, with random weights")
    scale_factor: int = option(4, "2, 4 or 8", low=2, high=8)
    region: str = option("320x96", "WIDTHxHEIGHT of the LR region, px")
    threads: tuple[int, ...] = option((1, 2), "CPU threads, one run for each number", low=1)
    rounds: int = option(11, "timed runs of each form", low=1)
    warm_up: int = option(2, "untimed runs of each form before", low=0)
    forms: tuple[Form, ...] = option(FORMS, "only these; the first is always run, for the ratios")
    weights: str = option("", "a bundle, also of super-resolution alone, to measure instead")
    calibration: str = option("", "images, video or bag for int8; none: no int8")
    images: str = option("", "HR images for PSNR-Y, with weights")

    @property
    def region_hw(self) -> tuple[int, int]:
        """Height and width of the LR region, px."""
        width, height = size_of(self.region)
        return height, width


def benchmark_networks(config: NetworksConfig) -> list[Row]:
    """Time each network on one region in every form that can run here.

    Raises:
        ConfigError: for a region that is none.
        TypeError, ValueError: for a network without LR-space form.
    """
    rows: list[Row] = []
    for name, network in _networks(config):
        for threads in config.threads:
            rows += _measure(name, network, threads, config)
    return rows


def _networks(config: NetworksConfig) -> Iterator[tuple[str, nn.Module]]:
    import torch

    from tasksr_ros.bundle import load_any_bundle
    from tasksr_ros.networks import build_sr

    if config.weights:
        bundle = load_any_bundle(config.weights)
        yield bundle.name, bundle.load_sr()
        return
    for name in config.networks:
        torch.manual_seed(0)
        yield name, build_sr(name, config.scale_factor).eval().requires_grad_(False)


def _measure(name: str, network: nn.Module, threads: int, config: NetworksConfig) -> list[Row]:
    lr = np.random.default_rng(0).random((1, 3, *config.region_hw), np.float32)
    scale_factor = int(network.scale_factor)  # type: ignore[arg-type]
    gflop = _gflop(network, config.region_hw)
    wanted = [f for f in FORMS if f == FORMS[0] or f in config.forms]
    with torch_threads(threads):
        runs = build_forms(network, config.region_hw, threads, wanted, _calibration(config))
        timed = {form: partial(run, lr) for form, run in runs.items()}
        samples = time_in_turns({**timed, GEMM: gemm()}, config.rounds, config.warm_up)
        difference = _differences(runs, lr)
        psnr = {}
        if config.images and config.weights:
            psnr = mean_psnr_y(runs, config.images, config.region_hw, scale_factor)
    wall_ms = {form: taken.wall_ms() for form, taken in samples.items()}
    cpu_ms = {form: taken.cpu_ms for form, taken in samples.items()}
    peak_gflops = 2 * GEMM_SIZE**3 / 1e6 / cpu_ms[GEMM]
    logger.info("%s: %d threads: %s %.0f GFLOP per CPU second", name, threads, GEMM, peak_gflops)
    rows: list[Row] = []
    for form in runs:
        rows.append(
            Row(
                network=name,
                scale_factor=scale_factor,
                form=form,
                threads=threads,
                wall_ms=wall_ms[form],
                cpu_ms=cpu_ms[form],
                gflop=gflop,
                peak_fraction=gflop / cpu_ms[form] * 1e3 / peak_gflops,
                speedup=wall_ms[FORMS[0]] / wall_ms[form],
                cpu_speedup=cpu_ms[FORMS[0]] / cpu_ms[form],
                cpu_step=rows[-1].cpu_ms / cpu_ms[form] if rows else 1.0,
                max_difference=difference[form],
                psnr_y=psnr.get(form),
            )
        )
    return rows


def _calibration(config: NetworksConfig) -> list[Images]:
    from tasksr_ros.engines.quantisation import calibration_regions

    if not config.calibration:
        return []
    regions = calibration_regions(config.calibration, size_of(config.region))
    return [to_images(region) for region in regions]


def _gflop(network: nn.Module, region_hw: tuple[int, int]) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.of_image import OfImage

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        OfImage(network, region_hw)(torch.zeros(1, 3, *region_hw))
    return float(counter.get_total_flops()) / 1e9


def _differences(runs: Mapping[str, Run], lr: Images) -> dict[str, float]:
    expected = runs[FORMS[0]](lr)
    spread = float(expected.max() - expected.min())
    return {f: float(np.abs(run(lr) - expected).max()) / spread for f, run in runs.items()}


BENCHMARK = Benchmark(
    "networks",
    NetworksConfig,
    benchmark_networks,
    COLUMNS,
    bars,
    "wall time of one region, ms (median)",
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
