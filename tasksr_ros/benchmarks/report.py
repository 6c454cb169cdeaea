"""The figures of `benchmarks.networks` as a table, as JSON and as a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasksr_ros.benchmarks.networks import Row
from tasksr_ros.errors import ConfigError


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = (
        "| network | threads | form | wall ms | CPU ms | of GEMM peak | faster (wall) "
        "| faster (CPU) | step (CPU) "
        "| max difference | PSNR-Y dB |"
    )
    lines = [head, "|" + "---|" * 11]
    lines += [
        f"| {r.network} x{r.scale_factor} ({r.gflop:.1f} GFLOP) | {r.threads} | {r.form} "
        f"| {r.wall_ms:.0f} | {r.cpu_ms:.0f} | {r.peak_fraction:.0%} | {r.speedup:.2f}x "
        f"| {r.cpu_speedup:.2f}x | {r.cpu_step:.2f}x | {r.max_difference:.1e} "
        f"| {'-' if r.psnr_y is None else format(r.psnr_y, '.3f')} |"
        for r in rows
    ]
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as JSON values, with what is known of the machine."""
    return {"machine": machine(), "rows": [asdict(row) for row in rows]}


def machine() -> dict[str, Any]:
    """What ran the benchmark, and how busy it was."""
    import torch

    cores = os.cpu_count()
    load = os.getloadavg()[0]
    return {
        "processor": _processor(),
        "cores": cores,
        "load_at_the_end": load,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def picture(rows: Sequence[Row], path: Path) -> None:
    """Draw the wall times as bars.

    Raises:
        ConfigError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ConfigError("a picture needs matplotlib (pip install matplotlib)") from None
    groups = list(dict.fromkeys((r.network, r.scale_factor, r.threads) for r in rows))
    figure = Figure(figsize=(9, 0.9 + 0.32 * len(rows) + 0.5 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), squeeze=False, sharex=True)[:, 0]
    for axis, (network, scale_factor, threads) in zip(axes, groups, strict=True):
        mine = [r for r in rows if (r.network, r.threads) == (network, threads)][::-1]
        bars = axis.barh([r.form for r in mine], [r.wall_ms for r in mine], color="#4878a8")
        labels = [f"{r.wall_ms:.0f} ms, {r.speedup:.1f}x" for r in mine]
        axis.bar_label(bars, labels, padding=3, fontsize=8)
        axis.set_title(f"{network} x{scale_factor}, {threads} thread(s)", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.18)
    axes[-1].set_xlabel("wall time of one region, ms (median)")
    figure.savefig(path, dpi=110)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
