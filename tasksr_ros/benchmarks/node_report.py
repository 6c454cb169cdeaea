"""What `benchmarks.node` finds, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasksr_ros.benchmarks.output import Bar, Columns


@dataclass(frozen=True)
class Row:
    """The node with one kind of images.

    Attributes:
        transport: of `benchmarks.config.TRANSPORTS`.
        size: WIDTHxHEIGHT of the image, px.
        start_s: from the start of the process (with a converted model in the cache) to the
            stamp of the first image that it answered.
        sent: images at full load.
        rate: of the camera at full load, Hz.
        answered: of those, how many were not replaced by a newer one.
        age_p50_ms: median of the age of the image when its detections were published.
        age_p99_ms: its 99th percentile.
        engine_p50_ms: median of the engine's time for an image.
        engine_p99_ms: its 99th percentile.
        limit_ms: one period of the camera and 1.2 engine_p99_ms, for age_p99_ms.
        cores: processor time of the node at full load, per second.
        growth_mb: memory in the last tenth of the run less that in the second tenth (medians).
        memory_mb: at the end.
        idle_rate: of the camera where the node runs without an engine's work, Hz.
        idle_answered: share of those images that were answered.
        idle_core: processor time of that node, as a share of one core.
        idle_faults: its page faults for each image: memory that the system had to give it.
    """

    transport: str
    size: str
    start_s: float
    sent: int
    rate: float
    answered: int
    age_p50_ms: float
    age_p99_ms: float
    engine_p50_ms: float
    engine_p99_ms: float
    limit_ms: float
    cores: float
    growth_mb: float
    memory_mb: float
    idle_rate: float
    idle_answered: float
    idle_core: float
    idle_faults: float


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
