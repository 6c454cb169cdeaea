"""What a whole frame takes beside the engine: decoding, cropping, merging, one or many cameras."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.benchmarks.config import PipelineBenchmarkConfig, size_of
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.benchmarks.timing import Samples, resident_mb, time_in_turns
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import PipelineConfig, RegionConfig
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.engines.clips import stacked
from tasksr_ros.io.decoding import CompressedFrame
from tasksr_ros.io.frames import Frame
from tasksr_ros.pipeline import Pipeline, Prepared
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

logger = logging.getLogger(__name__)

MakeFrame: TypeAlias = Callable[[], Frame]
ONE_REGION = RegionConfig(top=0.495, bottom=0.505, left=0.495, right=0.505, tile_overlap=0)
"""So small that it is widened to one region of the engine, in images of all sizes."""
STAGES = ("decode", "regions", "merge")


@dataclass(frozen=True)
class Row:
    """Frames of one kind.

    Attributes:
        size: WIDTHxHEIGHT of the image, px.
        input: raw (bgr8), or jpeg.
        cameras: whose frames go into one call of the engine, one region each.
        wall_ms: median of the time that they take together.
        p95_ms: its 95th percentile.
        p99_ms: its 99th.
        engine_ms: median of the engine's call alone, on the same regions, in the same rounds.
        ratio: wall_ms over engine_ms.
        cpu_ratio: the same of processor time, which other programs disturb less.
        stages_ms: medians of what each stage takes for all cameras, by `pipeline.Result`'s names.
        to_singles: wall time over that of as many frames one by one.
        memory_mb: of the process at the end.
    """

    size: str
    input: str
    cameras: int
    wall_ms: float
    p95_ms: float
    p99_ms: float
    engine_ms: float
    ratio: float
    cpu_ratio: float
    stages_ms: dict[str, float]
    to_singles: float
    memory_mb: float


COLUMNS: Columns = {
    "image": lambda r: r.size,
    "input": lambda r: r.input,
    "cameras": lambda r: f"{r.cameras}",
    "whole, ms": lambda r: f"{r.wall_ms:.1f}",
    "p95": lambda r: f"{r.p95_ms:.1f}",
    "p99": lambda r: f"{r.p99_ms:.1f}",
    "engine alone, ms": lambda r: f"{r.engine_ms:.1f}",
    "whole / engine": lambda r: f"{r.ratio:.3f}",
    "by CPU time": lambda r: f"{r.cpu_ratio:.3f}",
    **{
        f"{stage}, ms": lambda r, stage=stage: f"{r.stages_ms[stage]:.2f}"  # type: ignore[misc]
        for stage in STAGES
    },
    "to single calls": lambda r: f"{r.to_singles:.2f}",
    "memory MB": lambda r: f"{r.memory_mb:.0f}",
}


def benchmark_pipeline(config: PipelineBenchmarkConfig) -> list[Row]:
    """Time whole frames of each size, raw and as JPEG, and those of several cameras.

    Raises:
        TaskSRError: if the bundle or a value does not serve.
    """
    bundle = load_bundle(config.bundle)
    engine, neighbours = build_engine(bundle, config.engine), bundle.neighbours
    rows: list[Row] = []
    for position, size in enumerate(config.sizes):
        frames = make_frames(size_of(size), config.quality)
        for kind, make in frames.items():
            cameras = sorted({1, *config.cameras}) if position == 0 else [1]
            logger.info("%s %s, cameras: %s", size, kind, ", ".join(map(str, cameras)))
            rows += _measure(engine, neighbours, size, kind, make, cameras, config)
    return rows


def make_frames(size: tuple[int, int], quality: int) -> dict[str, MakeFrame]:
    """Makes a new frame of a generated street, as a message would bring it, by its kind.

    Args:
        size: (width, height), px.
        quality: of the JPEG.
    """
    image, data = picture(size, quality)
    return {
        "raw": lambda: Frame(image, encoding="bgr8"),
        "jpeg": lambda: CompressedFrame(data, "bgr8; jpeg compressed bgr8"),
    }


def picture(size: tuple[int, int], quality: int) -> tuple[NDArray[np.uint8], bytes]:
    """A generated street, (H, W, 3) uint8 BGR, and its JPEG file."""
    config = DriveConfig(width=size[0], height=size[1], num_frames=1, jpeg_quality=0)
    image = GeneratedDrive(config).frame(0)[0].image
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return image, data


class _Cameras:
    """As many cameras as one call of the engine takes, as the node's worker runs them."""

    def __init__(
        self, engine: Engine, neighbours: Sequence[int], number: int, make: MakeFrame
    ) -> None:
        config = PipelineConfig(region=ONE_REGION)
        self._pipelines = [
            Pipeline(engine, config, 0.5, neighbours=neighbours) for _ in range(number)
        ]
        self._engine = engine
        self._make = make
        self._regions = stacked([one.regions for one in self._prepare() if one.regions is not None])
        self.latencies_ms: list[dict[str, float]] = []

    def _prepare(self) -> list[Prepared]:
        return [pipeline.prepare(self._make()) for pipeline in self._pipelines]

    def whole(self) -> None:
        """Frames to detections."""
        prepared = self._prepare()
        looked = self._pipelines[0].look(prepared)
        taken = dict.fromkeys(STAGES, 0.0)
        for pipeline, one, found in zip(self._pipelines, prepared, looked, strict=True):
            result = pipeline.finish(one, found)
            for stage in STAGES:
                taken[stage] += result.latency_ms[stage]
        self.latencies_ms.append(taken)

    def engine(self) -> None:
        """The engine alone."""
        self._engine(self._regions)


def _measure(
    engine: Engine,
    neighbours: Sequence[int],
    size: str,
    kind: str,
    make: MakeFrame,
    numbers: Sequence[int],
    config: PipelineBenchmarkConfig,
) -> list[Row]:
    cameras = {number: _Cameras(engine, neighbours, number, make) for number in numbers}
    calls: dict[str, Callable[[], object]] = {}
    for number, some in cameras.items():
        calls[f"whole {number}"], calls[f"engine {number}"] = some.whole, some.engine
    samples = time_in_turns(calls, config.rounds, config.warm_up)
    return [
        _row(size, kind, number, samples, some.latencies_ms[config.warm_up :])
        for number, some in cameras.items()
    ]


def _row(
    size: str,
    kind: str,
    number: int,
    samples: dict[str, Samples],
    latencies_ms: Sequence[dict[str, float]],
) -> Row:
    whole, alone = samples[f"whole {number}"], samples[f"engine {number}"]
    return Row(
        size=size,
        input=kind,
        cameras=number,
        wall_ms=whole.wall_ms(),
        p95_ms=whole.wall_ms(95),
        p99_ms=whole.wall_ms(99),
        engine_ms=alone.wall_ms(),
        ratio=whole.wall_ms() / alone.wall_ms(),
        cpu_ratio=whole.cpu_ms / alone.cpu_ms,
        stages_ms={s: float(np.median([taken[s] for taken in latencies_ms])) for s in STAGES},
        to_singles=whole.wall_ms() / (number * samples["whole 1"].wall_ms()),
        memory_mb=resident_mb(),
    )


def bars(rows: list[Row]) -> list[Bar]:
    """Times of whole frames."""
    return [
        Bar(
            f"{r.size}, {r.input}",
            f"{r.cameras} camera(s)",
            r.wall_ms,
            f"{r.wall_ms:.0f} ms, {r.ratio:.3f} of the engine",
        )
        for r in rows
    ]


BENCHMARK = Benchmark(
    "pipeline",
    PipelineBenchmarkConfig,
    benchmark_pipeline,
    COLUMNS,
    bars,
    "wall time of the frames of all cameras, ms (median)",
)
