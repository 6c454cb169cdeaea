"""What whole frames cost by image size, cameras and budget, beside the near pass alone.

The near pass alone is what a detector costs that looks at the image once, as it is; with the
default bundle and images of 1280x720 it is PicoDet-S on the whole frame. The cost model is the
near passes and as many regions as are looked at, each at what it takes alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tasksr_ros.benchmarks.config import BUNDLE, size_of
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.benchmarks.pipeline import picture
from tasksr_ros.benchmarks.timing import Samples, time_in_turns
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import EngineConfig, NearConfig, PipelineConfig, RegionConfig
from tasksr_ros.engines import Engine
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import Model, load_model
from tasksr_ros.options import option

STEP_NS = 100_000_000
NEAR, REGION = "near pass", "one region"


@dataclass(frozen=True)
class FramesBenchmarkConfig:
    """Whole frames by image size, cameras and budget, beside the near pass alone."""

    bundle: str = option(BUNDLE, "model")
    sizes: tuple[str, ...] = option(
        ("1280x720", "1920x1080", "3840x2160"), "WIDTHxHEIGHT of the image, px"
    )
    budgets: tuple[int, ...] = option((0, 2, 1), "values of region.budget; 0: all", low=0)
    cameras: tuple[int, ...] = option((1, 2, 4, 8), "cameras of a call, at the first size", low=1)
    near: NearConfig = field(default_factory=NearConfig)
    region: RegionConfig = field(default_factory=RegionConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    rounds: int = option(21, "timed frames of each", low=1)
    warm_up: int = option(3, "untimed frames of each before", low=0)


@dataclass(frozen=True)
class Row:
    """Frames of one kind, of all cameras together.

    Attributes:
        size: WIDTHxHEIGHT of the image, px.
        cameras: whose frames go into one call of the engines.
        budget: ``region.budget``.
        regions: that are looked at, of all cameras.
        wall_ms: median of the time that the frames take together.
        p99: 99th percentile over the median.
        cpu_ms: median of the processor time.
        to_near: processor time over that of the cameras' near passes alone, in the same rounds.
        to_near_wall: the same of the time passed, which other programs disturb more.
        model_ms: processor time by the cost model.
    """

    size: str
    cameras: int
    budget: int
    regions: int
    wall_ms: float
    p99: float
    cpu_ms: float
    to_near: float
    to_near_wall: float
    model_ms: float

    @property
    def to_model(self) -> float:
        """Processor time over that of the cost model."""
        return self.cpu_ms / self.model_ms


COLUMNS: Columns = {
    "image": lambda r: r.size,
    "cameras": lambda r: f"{r.cameras}",
    "budget": lambda r: f"{r.budget or 'all'}",
    "regions": lambda r: f"{r.regions}",
    "ms": lambda r: f"{r.wall_ms:.0f}",
    "p99 / median": lambda r: f"{r.p99:.2f}",
    "CPU ms": lambda r: f"{r.cpu_ms:.0f}",
    "CPU, to near passes alone": lambda r: f"{r.to_near:.2f}",
    "ms, to near passes alone": lambda r: f"{r.to_near_wall:.2f}",
    "model, CPU ms": lambda r: f"{r.model_ms:.0f}",
    "CPU, to the model": lambda r: f"{r.to_model:.2f}",
}


def benchmark_frames(config: FramesBenchmarkConfig) -> list[Row]:
    """Time frames of each size with each budget, and those of several cameras.

    Raises:
        TaskSRError: if the bundle or a value does not serve.
    """
    if not config.near.width:
        raise ConfigError("near.width must be more than 0, got 0: there is nothing to hold against")
    model = load_model(config.bundle, config.engine, config.near)
    rows: list[Row] = []
    for size in config.sizes:
        cameras = sorted({1, *config.cameras}) if size == config.sizes[0] else [1]
        rows += _measure(model, size, cameras, config)
    return rows


class _Cameras:
    """The frames of some cameras, as the node's worker looks at them."""

    def __init__(self, model: Model, number: int, image: Frame, region: RegionConfig) -> None:
        config = PipelineConfig(region=region)
        self._pipelines = [model.pipeline(config) for _ in range(number)]
        self._image = image
        self._stamp_ns = 0
        self.regions = 0

    def frames(self) -> None:
        """Frames to detections, a step later than before."""
        self._stamp_ns += STEP_NS
        frame = Frame(self._image.image, stamp_ns=self._stamp_ns, encoding=self._image.encoding)
        prepared = [pipeline.prepare(frame) for pipeline in self._pipelines]
        looked = self._pipelines[0].look(prepared)
        results = [
            pipeline.finish(one, found)
            for pipeline, one, found in zip(self._pipelines, prepared, looked, strict=True)
        ]
        self.regions = sum(len(result.tiles) for result in results)


def _measure(
    model: Model, size: str, cameras: list[int], config: FramesBenchmarkConfig
) -> list[Row]:
    image = Frame(picture(size_of(size), 90)[0], encoding="bgr8")
    some = {
        (number, budget): _Cameras(model, number, image, replace(config.region, budget=budget))
        for number in cameras
        for budget in config.budgets
    }
    calls = {
        **_alone(model, cameras),
        **{f"{number} {budget}": one.frames for (number, budget), one in some.items()},
    }
    samples = time_in_turns(calls, config.rounds, config.warm_up)
    return [_row(size, *key, one.regions, samples) for key, one in some.items()]


def _alone(model: Model, cameras: list[int]) -> dict[str, Callable[[], object]]:
    """The near passes of each number of cameras, and one region."""
    assert model.near is not None
    calls: dict[str, Callable[[], object]] = {REGION: _call(model.engine, 1)}
    return {**calls, **{f"{NEAR} {number}": _call(model.near, number) for number in cameras}}


def _call(engine: Engine, number: int) -> Callable[[], object]:
    width, height = engine.region_size
    pixels = np.random.default_rng(0).integers(0, 256, (number, height, width, 3), np.uint8)
    return lambda: engine(pixels)


def _row(size: str, cameras: int, budget: int, regions: int, samples: Mapping[str, Samples]) -> Row:
    own, near = samples[f"{cameras} {budget}"], samples[f"{NEAR} {cameras}"]
    return Row(
        size=size,
        cameras=cameras,
        budget=budget,
        regions=regions,
        wall_ms=own.wall_ms(),
        p99=own.wall_ms(99) / own.wall_ms(),
        cpu_ms=own.cpu_ms,
        to_near=own.cpu_ms / near.cpu_ms,
        to_near_wall=own.wall_ms() / near.wall_ms(),
        model_ms=near.cpu_ms + regions * samples[REGION].cpu_ms,
    )


def bars(rows: list[Row]) -> list[Bar]:
    """Processor time."""
    return [
        Bar(
            f"{r.size}, {r.cameras} camera(s)",
            f"budget {r.budget or 'all'}",
            r.cpu_ms,
            f"{r.cpu_ms:.0f} ms, {r.to_near:.2f} of the near passes",
        )
        for r in rows
    ]


BENCHMARK = Benchmark(
    "frames",
    FramesBenchmarkConfig,
    benchmark_frames,
    COLUMNS,
    bars,
    "processor time of the frames of all cameras, ms (median)",
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
