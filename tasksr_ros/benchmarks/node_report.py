"""How the rows of `benchmarks.node` are shown."""

from __future__ import annotations

from collections.abc import Sequence

from tasksr_ros.benchmarks.node import Row
from tasksr_ros.benchmarks.output import Bar, Columns

COLUMNS: Columns = {
    "images": lambda r: f"{r.transport} {r.size}, {r.rate:g} Hz",
    "sent": lambda r: f"{r.sent}",
    "answered": lambda r: f"{r.answered}",
    "age ms, p50": lambda r: f"{r.age_p50_ms:.0f}",
    "p99": lambda r: f"{r.age_p99_ms:.0f}",
    "limit": lambda r: f"{r.limit_ms:.0f}",
    "engine ms, p50": lambda r: f"{r.engine_p50_ms:.0f}",
    "engine p99": lambda r: f"{r.engine_p99_ms:.0f}",
    "cores": lambda r: f"{r.cores:.2f}",
    "memory MB (growth)": lambda r: f"{r.memory_mb:.0f} ({r.growth_mb:+.1f})",
    "start s": lambda r: f"{r.start_s:.1f}",
    "without engine's work": lambda r: (
        f"{r.idle_core:.1%} of a core at {r.idle_rate:g} Hz ({r.idle_answered:.0%} answered, "
        f"{r.idle_faults:.1f} page faults per image)"
    ),
}


def bars(rows: Sequence[Row]) -> list[Bar]:
    """Ages beside their limit and the engine's time."""
    return [
        Bar(f"{r.transport} {r.size}, {r.rate:g} Hz", name, value, f"{value:.0f} ms")
        for r in rows
        for name, value in {
            "age, p50": r.age_p50_ms,
            "age, p99": r.age_p99_ms,
            "limit of age p99": r.limit_ms,
            "engine, p50": r.engine_p50_ms,
            "engine, p99": r.engine_p99_ms,
        }.items()
    ]
