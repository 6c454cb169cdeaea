"""This package's pipeline beside sliced inference (sahi), with the same networks, on known people.

Sliced inference cuts the whole image into overlapping slices and looks at each; the pipeline
looks only where people are far away. The images are generated drives: what is compared is cost
at equal recall, not accuracy on real roads.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np

from benchmarks.recall import Scene, score, share_of_same
from tasksr_ros.benchmarks.config import BUNDLE, size_of
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.benchmarks.timing import Samples
from tasksr_ros.bundle import Bundle, OwnDetector, load_bundle, save_bundle
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import EngineConfig, PipelineConfig, RegionConfig
from tasksr_ros.detections import Detections
from tasksr_ros.engines import build_engine
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.frames import Frame
from tasksr_ros.options import option
from tasksr_ros.pipeline import Pipeline
from tasksr_ros.regions import Rect, Tile
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

logger = logging.getLogger(__name__)

OURS = "this package, region by distance"
SAME_SLICES = "this package, sahi's slices"
SAHI = "sahi, same networks"
SAHI_BICUBIC = "sahi, detector on slices enlarged bicubically"

Look: TypeAlias = Callable[[Frame], tuple[Detections, int]]
"""Detections in image px, and how many slices or tiles were looked at."""


@dataclass(frozen=True)
class SlicedConfig:
    """Against sliced inference (sahi) on generated drives: recall and cost."""

    bundle: str = option(BUNDLE, "model")
    size: str = option("1920x1080", "WIDTHxHEIGHT of the generated drives' images, px")
    drives: int = option(4, "generated drives", low=1)
    frames: int = option(2, "of each drive, seconds apart", low=1)
    height: float = option(24.0, "people lower than this count for recall, px", low=1)
    engine: EngineConfig = field(default_factory=EngineConfig)


@dataclass(frozen=True)
class Row:
    """One system over all frames.

    Attributes:
        system: which.
        frames: how many.
        slices: of each frame.
        wall_ms: median of the time for a frame.
        cpu_ms: median of the processor time.
        times_ours: cpu_ms over that of this package's pipeline.
        people: lower than the height asked for, not hidden, in all frames.
        found: share of them that a detection overlaps with IoU 0.3 or more.
        fppi: detections per frame that overlap nobody so.
        same: share of the detections that this package makes on the same slices, which this
            system has too (IoU 0.9 or more).
    """

    system: str
    frames: int
    slices: int
    wall_ms: float
    cpu_ms: float
    times_ours: float
    people: int
    found: float
    fppi: float
    same: float | None


COLUMNS: Columns = {
    "system": lambda r: r.system,
    "frames": lambda r: f"{r.frames}",
    "slices": lambda r: f"{r.slices}",
    "ms per frame": lambda r: f"{r.wall_ms:.0f}",
    "CPU ms": lambda r: f"{r.cpu_ms:.0f}",
    "cost, times ours": lambda r: f"{r.times_ours:.1f}x",
    "low people found": lambda r: f"{r.found:.0%} of {r.people}",
    "false per frame": lambda r: f"{r.fppi:.2f}",
    "same detections": lambda r: "-" if r.same is None else f"{r.same:.0%}",
}


def benchmark_sliced(config: SlicedConfig) -> list[Row]:
    """Run every system over the same frames, in turns.

    Raises:
        ConfigError: without sahi, or if no low people are in the frames.
    """
    _check_sahi()
    scenes = list(_scenes(config))
    heights = [a.height for _, people in scenes for a in people if not a.ignore]
    if not any(height < config.height for height in heights):
        raise ConfigError(f"nobody in the frames is lower than {config.height:g} px")
    camera = GeneratedDrive(_drive(config, 0)).camera
    bundle = load_bundle(config.bundle)
    with TemporaryDirectory() as folder:
        engine = build_engine(bundle, config.engine)
        bicubic = _bicubic(bundle, Path(folder))
        enlarged = build_engine(
            bicubic, replace(config.engine, cache_dir=str(Path(folder) / "cache"))
        )
        overlap = min(RegionConfig().tile_overlap, min(engine.region_size) // 3)
        settings = PipelineConfig(region=RegionConfig(mode="distance", tile_overlap=overlap))
        near = Pipeline(engine, settings, bundle.score_threshold, camera)
        slices = _SahiSlices(engine, settings, bundle.score_threshold)
        systems: dict[str, Look] = {
            OURS: _look(near),
            SAME_SLICES: _look(slices),
            SAHI: _sahi(near),
            SAHI_BICUBIC: _sahi(Pipeline(enlarged, settings, bundle.score_threshold)),
        }
        return _compare(systems, scenes, config)


def _check_sahi() -> None:
    try:
        import sahi.predict  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"sliced inference needs sahi: pip install --no-deps sahi; pip install shapely "
            f"({error}; without --no-deps it brings an OpenCV that takes the place of ours)"
        ) from None


def _drive(config: SlicedConfig, seed: int) -> DriveConfig:
    width, height = size_of(config.size)
    return DriveConfig(width=width, height=height, num_frames=40 * config.frames, seed=seed)


def _scenes(config: SlicedConfig) -> Iterator[Scene]:
    """Frames four seconds apart, of streets that the shipped bundle was not trained on."""
    for seed in range(config.drives):
        drive = GeneratedDrive(_drive(config, 9000 + seed))
        for index in range(config.frames):
            yield drive.frame(40 * index)


def _bicubic(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle's detector behind bicubic enlargement."""
    from tasksr_ros.networks import build_sr

    detector = bundle.detector
    if not isinstance(detector, OwnDetector):
        raise ConfigError(f"bundle must have a detector of this package, got {detector.model}")
    description = {
        "name": "bicubic",
        "sr": {"network": "bicubic", "scale_factor": bundle.scale_factor},
        "detector": {"network": detector.network, "options": dict(detector.options)},
        "classes": list(bundle.classes),
        "region_size": list(bundle.region_size),
        "score_threshold": bundle.score_threshold,
        "recipe": {"detector": bundle.name},
    }
    sr = build_sr("bicubic", bundle.scale_factor)
    save_bundle(
        folder / "bicubic", description, "# bicubic\n", sr=sr, detector=bundle.load().detector
    )
    return load_bundle(folder / "bicubic")


class _SahiSlices(Pipeline):
    """The pipeline on the slices into which sahi cuts the whole image."""

    def tiles(self, image_size: tuple[int, int]) -> tuple[Tile, ...]:
        """See `Pipeline.tiles`."""
        from sahi.slicing import get_slice_bboxes

        (width, height), (w, h) = image_size, self.engine.region_size
        boxes = get_slice_bboxes(
            height, width, h, w, False, *_overlap_ratios(self.config.region.tile_overlap, (w, h))
        )
        return tuple(
            Tile(
                Rect(x0, y0, x1, y1),
                (x1 - x0, y1 - y0),
                (x0 > 0, y0 > 0, x1 < width, y1 < height),
            )
            for x0, y0, x1, y1 in boxes
        )


def _overlap_ratios(overlap: int, region_size: tuple[int, int]) -> tuple[float, float]:
    """Of height and width, such that sahi's rounding gives the overlap in px."""
    return (overlap + 0.5) / region_size[1], (overlap + 0.5) / region_size[0]


def _look(pipeline: Pipeline) -> Look:
    def look(frame: Frame) -> tuple[Detections, int]:
        result = pipeline.run(frame)
        return result.detections, len(result.tiles)

    return look


def _sahi(pipeline: Pipeline) -> Look:
    """Sahi's sliced prediction with a pipeline's engine behind its interface, merged by NMS."""
    from sahi.predict import get_sliced_prediction

    from benchmarks.sahi_model import SahiModel

    (width, height), settings = pipeline.engine.region_size, pipeline.config
    model = SahiModel(pipeline.engine, pipeline.score_threshold)
    high, wide = _overlap_ratios(settings.region.tile_overlap, (width, height))

    def look(frame: Frame) -> tuple[Detections, int]:
        model.calls = 0
        result = get_sliced_prediction(
            np.ascontiguousarray(frame.image[..., ::-1]),
            model,
            slice_height=height,
            slice_width=width,
            overlap_height_ratio=high,
            overlap_width_ratio=wide,
            perform_standard_pred=False,
            postprocess_type="NMS",
            postprocess_match_metric="IOU",
            postprocess_match_threshold=settings.detection.nms_iou,
            force_postprocess_type=True,
            verbose=0,
        )
        found = result.object_prediction_list
        boxes = np.array([p.bbox.to_xyxy() for p in found], np.float32).reshape(-1, 4)
        scores = np.array([p.score.value for p in found], np.float32)
        return Detections.from_arrays(boxes, scores), model.calls

    return look


def _compare(systems: dict[str, Look], scenes: list[Scene], config: SlicedConfig) -> list[Row]:
    found: dict[str, list[Detections]] = {name: [] for name in systems}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
    slices: dict[str, int] = {}
    systems[OURS](scenes[0][0])  # the engine's first call is no measure
    for number, (frame, _) in enumerate(scenes, 1):
        for name, look in systems.items():
            logger.info("frame %d of %d: %s", number, len(scenes), name)
            wall, cpu = time.perf_counter(), time.process_time()
            detections, slices[name] = look(frame)
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
            found[name].append(detections)
    taken = {name: Samples(*np.array(values).T) for name, values in times.items()}
    rows = []
    for name in systems:
        people, hits, false = score(found[name], scenes, config.height)
        rows.append(
            Row(
                system=name,
                frames=len(scenes),
                slices=slices[name],
                wall_ms=taken[name].wall_ms(),
                cpu_ms=taken[name].cpu_ms,
                times_ours=taken[name].cpu_ms / taken[OURS].cpu_ms,
                people=people,
                found=hits / people,
                fppi=false / len(scenes),
                same=share_of_same(found[SAME_SLICES], found[name]) if name == SAHI else None,
            )
        )
    return rows


def bars(rows: list[Row]) -> list[Bar]:
    """Times per frame."""
    return [
        Bar(
            f"{r.frames} frames",
            r.system,
            r.wall_ms,
            f"{r.wall_ms:.0f} ms, {r.slices} slices, {r.found:.0%} of low people",
        )
        for r in rows
    ]


BENCHMARK = Benchmark(
    "sliced", SlicedConfig, benchmark_sliced, COLUMNS, bars, "wall time of one frame, ms"
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
