"""What `networks` finds, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasksr_ros.benchmarks.output import Bar, Columns


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
