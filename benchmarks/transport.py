"""How many raw images reach a subscriber, and when, with and without the profile of config/dds.

Two processes of their own for each setting: one sends 1920x1080 bgr8 at 30 Hz, one receives as
the node does, keeping only the latest. The settings take turns, so that a load that comes and goes
meets them alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.transport_roles import DISCOVERY_S
from tasksr_ros.benchmarks.config import size_of
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.cli.benchmark import main
from tasksr_ros.options import option
from tasksr_ros.ros.transport import share_folder, transport_environment

_WHEELS_HOOK_RAN = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
SETTINGS = ("default", "profile", "profile and allocator")
DELIVERIES = ("best_effort", "reliable")


@dataclass(frozen=True)
class TransportConfig:
    """Raw images between two processes, with and without the profile of config/dds."""

    frames: int = option(600, "to send in each run", low=1)
    rate: float = option(30.0, "of the sender, Hz", low=1)
    size: str = option("1920x1080", "WIDTHxHEIGHT of the image, px")
    rounds: int = option(1, "runs of each setting", low=1)
    domain: int = option(77, "ROS_DOMAIN_ID of the runs", low=0, high=232)


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        setting: of ``SETTINGS``.
        delivery: of ``DELIVERIES``.
        sent: images.
        received: of those.
        median_ms: of the age of an image when it came; None if none came.
        p95_ms: its 95th percentile.
        cores: processor time of the receiver, per second.
        load: of the machine at the end.
    """

    setting: str
    delivery: str
    sent: int
    received: int
    median_ms: float | None
    p95_ms: float | None
    cores: float
    load: float


COLUMNS: Columns = {
    "setting": lambda r: r.setting,
    "delivery": lambda r: r.delivery,
    "received": lambda r: f"{r.received}/{r.sent}",
    "age ms, median": lambda r: "none" if r.median_ms is None else f"{r.median_ms:.1f}",
    "p95": lambda r: "none" if r.p95_ms is None else f"{r.p95_ms:.1f}",
    "receiver, cores": lambda r: f"{r.cores:.2f}",
    "load": lambda r: f"{r.load:.0f}",
}


def benchmark_transport(config: TransportConfig) -> list[Row]:
    """Measure every setting in turn."""
    return [
        _measure(setting, delivery, config)
        for _ in range(config.rounds)
        for delivery in DELIVERIES
        for setting in SETTINGS
    ]


def _measure(setting: str, delivery: str, config: TransportConfig) -> Row:
    width, height = size_of(config.size)
    command = [sys.executable, "-m", "benchmarks.transport_roles"]
    values: dict[str, Any] = {
        "delivery": delivery,
        "frames": config.frames,
        "rate": config.rate,
        "width": width,
        "height": height,
    }
    options = [f"--{name}={value}" for name, value in values.items()]
    env = _environment(setting, config.domain)
    limit_s = config.frames / config.rate * 2 + 3 * DISCOVERY_S
    with subprocess.Popen([*command, "send", *options], env=env) as sender:
        try:
            run = subprocess.run(
                [*command, "receive", *options], env=env, capture_output=True, text=True,
                timeout=limit_s, check=True,
            )  # fmt: skip
            sender.wait(timeout=limit_s)
        finally:
            sender.kill()
    figures = json.loads(run.stdout.splitlines()[-1])
    return Row(setting, delivery, config.frames, **figures, load=os.getloadavg()[0])


def _environment(setting: str, domain: int) -> dict[str, str]:
    """Of the processes of one setting; without what this process was given of its own."""
    ours = transport_environment(share_folder(), {})
    bare = {name: value for name, value in os.environ.items() if name not in ours}
    if bare.pop(_WHEELS_HOOK_RAN, None):  # the child's own hook sets LD_LIBRARY_PATH again
        bare.pop("LD_LIBRARY_PATH", None)
    bare |= {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if setting == "default":
        return bare
    if setting == "profile":
        ours = {name: value for name, value in ours.items() if "PROFILES" in name}
    return bare | ours


def bars(rows: list[Row]) -> list[Bar]:
    """Received images."""
    return [
        Bar(r.delivery, r.setting, r.received, f"{r.received} of {r.sent}, load {r.load:.0f}")
        for r in rows
    ]


BENCHMARK = Benchmark(
    "transport", TransportConfig, benchmark_transport, COLUMNS, bars, "images received"
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
