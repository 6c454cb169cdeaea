"""How the rows of `benchmarks.networks` are shown."""

from __future__ import annotations

from collections.abc import Sequence

from tasksr_ros.benchmarks.networks import Row
from tasksr_ros.benchmarks.output import Bar, Columns

COLUMNS: Columns = {
    "network": lambda r: f"{r.network} x{r.scale_factor} ({r.gflop:.1f} GFLOP)",
    "threads": lambda r: f"{r.threads}",
    "form": lambda r: f"{r.form}",
    "wall ms": lambda r: f"{r.wall_ms:.0f}",
    "CPU ms": lambda r: f"{r.cpu_ms:.0f}",
    "of GEMM peak": lambda r: f"{r.peak_fraction:.0%}",
    "faster (wall)": lambda r: f"{r.speedup:.2f}x",
    "faster (CPU)": lambda r: f"{r.cpu_speedup:.2f}x",
    "step (CPU)": lambda r: f"{r.cpu_step:.2f}x",
    "max difference": lambda r: f"{r.max_difference:.1e}",
    "PSNR-Y dB": lambda r: "-" if r.psnr_y is None else f"{r.psnr_y:.3f}",
}


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Wall times."""
    return [
        Bar(
            f"{r.network} x{r.scale_factor}, {r.threads} thread(s)",
            r.form,
            r.wall_ms,
            f"{r.wall_ms:.0f} ms, {r.speedup:.1f}x",
        )
        for r in rows
    ]
