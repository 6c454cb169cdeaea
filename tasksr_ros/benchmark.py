"""Speed of the super-resolution networks in several engines and graph forms, side by side.

Every form is run in turn, round after round, in one process, so that what else the machine does
falls on all of them alike; medians are given.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

logger = logging.getLogger(__name__)

FORMS = ("torch reference", "torch lr-space", "openvino reference", "openvino lr-space")
GEMM_SIZE = 1024
Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One form of one network.

    Attributes:
        network: name, as `networks.build_sr` takes it.
        scale_factor: of the network.
        form: one of ``FORMS``.
        threads: CPU threads.
        wall_ms: median of the time passed.
        cpu_ms: median of the processor time used, of all threads.
        gflop: floating-point operations of the reference graph, 10^9.
        peak_fraction: operations per second of wall time, as a fraction of the matrix
            multiplication measured in the same rounds with as many threads.
        speedup: wall time of the torch reference graph over this one's.
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


def benchmark_networks(
    names: Sequence[str],
    scale_factor: int,
    region_hw: tuple[int, int],
    threads: int,
    rounds: int,
    warm_up: int = 2,
) -> list[Row]:
    """Time each network on one region in every form.

    Args:
        names: DBPN variants.
        scale_factor: 2, 4 or 8.
        region_hw: height and width of the LR region, px.
        threads: CPU threads.
        rounds: timed runs of each form.
        warm_up: untimed runs of each form before.
    """
    rows: list[Row] = []
    for name in names:
        gflop, runs = _forms(name, scale_factor, region_hw, threads)
        with _torch_threads(threads):
            wall, cpu = _time({**runs, "gemm": _gemm()}, rounds, warm_up)
        peak_gflops = 2 * GEMM_SIZE**3 / 1e9 / wall["gemm"]
        logger.info("%s: matrix multiplication %.0f GFLOP/s", name, peak_gflops)
        rows += [
            Row(
                name,
                scale_factor,
                form,
                threads,
                wall[form] * 1e3,
                cpu[form] * 1e3,
                gflop,
                gflop / wall[form] / peak_gflops,
                wall[FORMS[0]] / wall[form],
            )
            for form in FORMS
        ]
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = "| network | threads | form | wall ms | CPU ms | of GEMM peak | speed-up |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {r.network} x{r.scale_factor} ({r.gflop:.1f} GFLOP) | {r.threads} | {r.form} "
        f"| {r.wall_ms:.0f} | {r.cpu_ms:.0f} | {r.peak_fraction:.0%} | {r.speedup:.1f}x |"
        for r in rows
    ]
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON values."""
    return [asdict(row) for row in rows]


def _forms(
    name: str, scale_factor: int, region_hw: tuple[int, int], threads: int
) -> tuple[float, dict[str, Run]]:
    """10^9 operations of the reference graph, and what runs each form."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from tasksr_ros.networks import build_sr
    from tasksr_ros.networks.lr_space import to_lr_space

    torch.manual_seed(0)
    reference = build_sr(name, scale_factor).eval().requires_grad_(False)
    lr_space = to_lr_space(reference, region_hw)
    lr = torch.rand(1, 3, *region_hw)
    with FlopCounterMode(display=False) as counter:
        reference(lr)
    runs = [
        _torch_run(reference, lr),
        _torch_run(lr_space, lr),
        _openvino_run(reference, lr, threads),
        _openvino_run(lr_space, lr, threads),
    ]
    return counter.get_total_flops() / 1e9, dict(zip(FORMS, runs, strict=True))


def _torch_run(network: nn.Module, lr: Tensor) -> Run:
    import torch

    def run() -> object:
        with torch.inference_mode():
            return network(lr)

    return run


def _openvino_run(network: nn.Module, lr: Tensor, threads: int) -> Run:
    import torch

    from tasksr_ros.engines.openvino_library import ov

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its internals
        model = ov.convert_model(torch.export.export(network, (lr,)), input=list(lr.shape))
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    request = ov.Core().compile_model(model, "CPU", properties).create_infer_request()
    data = lr.numpy()
    return lambda: request.infer([data], share_inputs=True, share_outputs=True)


def _gemm() -> Run:
    import torch

    a, b = torch.rand(2, GEMM_SIZE, GEMM_SIZE).unbind()
    return lambda: a @ b


def _time(
    runs: dict[str, Run], rounds: int, warm_up: int
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
