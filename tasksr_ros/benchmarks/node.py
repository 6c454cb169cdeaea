"""The node over real topics: how old detections are, and what the node costs beside its engine.

For each transport the node is started twice as a process of its own: with its engine, at full
load, and with an engine that answers at once, at a rate that it can keep up with.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.benchmarks.config import TRANSPORTS, NodeBenchmarkConfig, size_of
from tasksr_ros.benchmarks.node_report import COLUMNS, Row, bars
from tasksr_ros.benchmarks.output import Benchmark
from tasksr_ros.benchmarks.pipeline import picture
from tasksr_ros.benchmarks.timing import resident_mb
from tasksr_ros.config import NodeConfig
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import Encoded
from tasksr_ros.options import Value, build, flatten
from tasksr_ros.replay.node_process import node_process
from tasksr_ros.ros.session import START_S, Endpoint, Session, endpoint

logger = logging.getLogger(__name__)

NAMESPACE = "/tasksr_benchmark"
SETTLE_S = 2.0
"""In which frames are sent that do not count."""
IDLE_NODE = "tasksr_ros.benchmarks.idle_node"


@dataclass(frozen=True)
class Run:
    """What was seen of a node that was sent images.

    Attributes:
        start_s: as in `Row`.
        latency_ms: milliseconds by stage, of each answered image.
        cores: processor time per second.
        memory_mb: once a second.
        faults: page faults for each image that was sent.
    """

    start_s: float
    latency_ms: list[dict[str, float]]
    cores: float
    memory_mb: NDArray[np.float64]
    faults: float

    def percentile(self, stage: str, percent: float) -> float:
        """Of a stage's times, ms."""
        return float(np.percentile([taken[stage] for taken in self.latency_ms], percent))

    @property
    def growth_mb(self) -> float:
        """The last tenth's median less the second tenth's."""
        tenths = np.array_split(self.memory_mb, 10)
        if len(self.memory_mb) < len(tenths):
            return float(self.memory_mb[-1] - self.memory_mb[0])
        return float(np.median(tenths[-1]) - np.median(tenths[1]))


def benchmark_node(config: NodeBenchmarkConfig) -> list[Row]:
    """Run the node with each transport.

    Raises:
        ConfigError: for values that do not serve.
        RecordingError: if the node ends, or answers nothing.
    """
    image, data = picture(size_of(config.size), config.quality)
    rows = []
    for transport in config.transports:
        parameters: dict[str, Value] = {
            "bundle": config.bundle,
            **TRANSPORTS[transport],
            **flatten(config.region, "region."),
            **flatten(config.engine, "engine."),
        }
        is_compressed = build(NodeConfig, parameters).input.transport == "compressed"

        def make(stamp_ns: int, compressed: bool = is_compressed) -> Encoded | Frame:
            if compressed:
                return Encoded(data, "jpeg", stamp_ns, "camera")
            return Frame(image, stamp_ns, "camera", "bgr8")

        with closing(Session("tasksr_benchmark")) as session:
            camera = endpoint(NAMESPACE, compressed=is_compressed)
            session.listen(camera)
            session.advertise(camera)
            feed = _Feed(session, camera, make)
            _run(feed, parameters, config.rate, 1)  # what has to be converted is, after this
            full = _run(feed, parameters, config.rate, config.frames)
            idle = _run(feed, parameters, config.idle_rate, config.idle_frames, IDLE_NODE)
        rows.append(_row(transport, config, full, idle))
    return rows


class _Feed:
    """Sends one picture again and again, and knows what was answered."""

    def __init__(
        self, session: Session, camera: Endpoint, make: Callable[[int], Encoded | Frame]
    ) -> None:
        self.session = session
        self.camera = camera
        self._make = make
        self._due_s = 0.0

    def send(self, rate: float) -> None:
        """Send an image when it is due; one that is late is not followed by another at once."""
        now_s = time.monotonic()
        time.sleep(max(0.0, self._due_s - now_s))
        self._due_s = max(self._due_s, now_s) + 1 / rate
        self.session.publish(self.camera, self._make(time.time_ns()))

    def latencies(self, since_ns: int) -> dict[int, dict[str, float]]:
        """Milliseconds by stage, by stamp, of images stamped at ``since_ns`` or later."""
        answered = dict(self.session.latency_ms[self.camera.latency])
        return {stamp_ns: ms for stamp_ns, ms in answered.items() if stamp_ns >= since_ns}


def _run(
    feed: _Feed,
    parameters: dict[str, Value],
    rate: float,
    frames: int,
    module: str = "tasksr_ros.ros.process",
) -> Run:
    begun_ns = time.time_ns()
    with node_process(NAMESPACE, parameters, module) as process:
        with _limited(process, feed) as check:
            while not feed.latencies(begun_ns):
                feed.send(rate)
                check()
        start_s = (min(feed.latencies(begun_ns)) - begun_ns) / 1e9
        settled_s = time.monotonic() + SETTLE_S
        while time.monotonic() < settled_s:
            feed.send(rate)
        counted_ns = time.time_ns()
        memory_mb = [resident_mb(process.pid)]
        (used_s, faults), start = _used(process.pid), time.monotonic()
        for _ in tqdm(range(frames), unit="frame", desc=f"{rate:g} Hz", disable=None):
            feed.send(rate)
            if time.monotonic() - start > len(memory_mb):
                memory_mb.append(resident_mb(process.pid))
            if process.poll() is not None:
                raise RecordingError(f"the node ended with status {process.returncode}")
        end_s, end_faults = _used(process.pid)
        cores = (end_s - used_s) / (time.monotonic() - start)
        with _limited(process, feed) as check:
            while not feed.latencies(counted_ns):
                time.sleep(0.05)
                check()
        memory_mb.append(resident_mb(process.pid))
    answers = list(feed.latencies(counted_ns).values())
    return Run(start_s, answers, cores, np.array(memory_mb), (end_faults - faults) / frames)


@contextmanager
def _limited(process: subprocess.Popen[bytes], feed: _Feed) -> Iterator[Callable[[], None]]:
    """A check that raises RecordingError if the node has ended or says nothing for too long."""
    deadline = time.monotonic() + START_S

    def check() -> None:
        feed.session.check()
        if process.poll() is not None:
            raise RecordingError(f"the node ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise RecordingError(f"the node answers nothing within {START_S:g} s")

    yield check


def _used(process: int) -> tuple[float, int]:
    """Processor time that a process has used, s, and its page faults."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[7])


def _row(transport: str, config: NodeBenchmarkConfig, full: Run, idle: Run) -> Row:
    engine_p99_ms = full.percentile("engine", 99)
    return Row(
        transport=transport,
        size=config.size,
        start_s=full.start_s,
        sent=config.frames,
        rate=config.rate,
        answered=len(full.latency_ms),
        age_p50_ms=full.percentile("age", 50),
        age_p99_ms=full.percentile("age", 99),
        engine_p50_ms=full.percentile("engine", 50),
        engine_p99_ms=engine_p99_ms,
        limit_ms=1e3 / config.rate + 1.2 * engine_p99_ms,
        cores=full.cores,
        growth_mb=full.growth_mb,
        memory_mb=float(full.memory_mb[-1]),
        idle_rate=config.idle_rate,
        idle_answered=len(idle.latency_ms) / config.idle_frames,
        idle_core=idle.cores,
        idle_faults=idle.faults,
    )


BENCHMARK = Benchmark(
    "node", NodeBenchmarkConfig, benchmark_node, COLUMNS, bars, "ms (see the names)"
)
