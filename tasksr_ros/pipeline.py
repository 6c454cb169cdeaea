"""Frame to detections: the whole way, without ROS.

from tasksr_ros import Frame, load_model
pipeline = load_model("picodet-s-x2").pipeline()
detections = pipeline(Frame(rgb_image))
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.attention import WEAK, Attended
from tasksr_ros.blur import Blurs, blurs_of
from tasksr_ros.budget import Budget
from tasksr_ros.camera import CameraModel
from tasksr_ros.config import MODEL_SCORE_THRESHOLD, PipelineConfig
from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.engines.clips import Regions, stacked
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.interface import Engine
from tasksr_ros.in_image import InImage, in_image, joined
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.sample_range import SampleRange
from tasksr_ros.options import build, flatten
from tasksr_ros.ranging import Ranges, Ranging
from tasksr_ros.regions import Tile, check_overlap, distant_band, near_tile, tiles
from tasksr_ros.thresholds import class_thresholds
from tasksr_ros.tracking import Tracker
from tasksr_ros.video import Past, Window

_STAGES = ("decode", "regions", "engine", "merge")


@dataclass(frozen=True)
class Result:
    """What became of one frame.

    Attributes:
        detections: boxes in image px.
        tiles: what of the image was looked at.
        latency_ms: milliseconds by stage: decode, regions, engine, merge; flow of video, track
            where it is on, range where distances are asked for.
        attended: why these; None where all of the band was looked at.
        ranges: of the detections; None without intrinsics for images of this size, or where
            nobody asks.
        blur: of the tiles; None unless the bundle's super-resolution estimates it.
    """

    detections: Detections
    tiles: tuple[Tile, ...]
    latency_ms: dict[str, float]
    attended: Attended | None = None
    ranges: Ranges | None = None
    blur: Blurs | None = None


@dataclass(frozen=True)
class Prepared:
    """One frame on its way to the engine.

    Attributes:
        pipeline: whose frame it is.
        frame: as it came.
        pixels: the same, decoded.
        tiles: what covers the distant band.
        regions: (tiles, height, width, 3) uint8 RGB; overwritten by the pipeline's next frame;
            None with a budget: which tiles are looked at is chosen after the near pass.
        past: the frames before; None without super-resolution of video.
        near: (1, height, width, 3) uint8 RGB, the whole image; overwritten by the pipeline's next
            frame; None without a near pass.
        latency_ms: milliseconds by stage; `Pipeline.look` and `Pipeline.finish` add to it.
    """

    pipeline: Pipeline
    frame: Frame
    pixels: Frame
    tiles: tuple[Tile, ...]
    regions: Regions | None
    past: Past | None
    near: NDArray[np.uint8] | None
    latency_ms: dict[str, float]


class _View(NamedTuple):
    """What the engine for regions is given of one frame; see `Prepared` and `Looked`."""

    tiles: tuple[Tile, ...]
    regions: Regions
    attended: Attended | None = None


class Looked(NamedTuple):
    """What the engines found in one frame.

    Attributes:
        tiles: what of the image was looked at.
        regions: what is in these.
        near: in the whole image, the weak included; None without a near pass.
        attended: why these; None where all of the band was looked at.
    """

    tiles: tuple[Tile, ...]
    regions: Found
    near: InImage | None = None
    attended: Attended | None = None


class Pipeline:
    """Detects pedestrians in the frames of one camera: near ones at once, distant ones in regions.

    With ``tracking.enabled`` it remembers the frames before: they must come from one camera in
    the order of their stamps, and `reset` forgets them. So it does with ``region.budget``, to
    know where to look, and with super-resolution of video, see `video.Window`. Without all of
    these, frames are independent.

    Args:
        engine: the compiled networks; may be shared by pipelines of several cameras.
        config: regions and detection; its engine part is not read.
        score_threshold: used where the config leaves it to the bundle.
        camera: intrinsics, needed by the region mode ``distance``; may be set later.
        classes: their names, by the engine's class ids.
        near: the detector alone, for the whole image; None: only the distant region is looked at.
        neighbours: frames that the engine's super-resolution looks at beside each frame, relative
            to it; () of single images.
        weak_threshold: score from which somebody may be there, see `Bundle`; None: unknown.

    Raises:
        ConfigError: if a value of the config is out of range, or its tiles would not advance.
    """

    def __init__(
        self,
        engine: Engine,
        config: PipelineConfig,
        score_threshold: float,
        camera: CameraModel | None = None,
        classes: Sequence[str] = ("pedestrian",),
        near: Engine | None = None,
        neighbours: Sequence[int] = (),
        weak_threshold: float | None = None,
    ) -> None:
        configured = config.detection.score_threshold
        self.engine = engine
        self.near = near
        self.config = build(type(config), flatten(config))
        check_overlap(config.region.tile_overlap, engine.region_size)
        self.score_threshold = (
            score_threshold if configured == MODEL_SCORE_THRESHOLD else configured
        )
        self.thresholds = class_thresholds(config.detection, self.score_threshold, classes)
        self.camera = camera
        self.tracker = (
            Tracker(config.tracking, config.region, self.thresholds)
            if config.tracking.enabled
            else None
        )
        self.samples = SampleRange()
        least = class_thresholds(config.detection, score_threshold, classes)
        weak_share = WEAK if weak_threshold is None else weak_threshold / score_threshold
        self.budget = Budget(config, least, weak_share) if config.region.budget else None
        self.ranging = (
            Ranging(config.range, config.region, classes) if config.range.enabled else None
        )
        self.video = Window(neighbours, config.video.max_age) if neighbours else None
        self._sure = least
        self._view: tuple[tuple[int, int], CameraModel | None] | None = None
        self._tiles: tuple[Tile, ...] | None = None
        self._regions = self._near = np.empty((0, 0, 0, 3), np.uint8)

    def __call__(self, frame: Frame) -> Detections:
        """Detections of a frame, boxes in image px, strongest first."""
        return self.run(frame).detections

    def run(self, frame: Frame) -> Result:
        """Detections of a frame, with what was looked at and the time it took.

        Raises:
            ConfigError: if the configured region does not fit the image.
            ImageError: if a compressed frame is damaged.
            EngineError: if the engine fails, or estimates a blur that cannot be.
        """
        prepared = self.prepare(frame)
        (looked,) = self.look([prepared])
        return self.finish(prepared, looked)

    def prepare(self, frame: Frame) -> Prepared:
        """What the engines are to look at.

        Raises:
            ConfigError: if the configured region does not fit the image.
            ImageError: if a compressed frame is damaged.
        """
        latency_ms = dict.fromkeys(_STAGES, 0.0)
        with _timed(latency_ms, "decode"):
            frame_tiles = self.tiles(frame.size)
            lowest = max(tile.rect.y1 for tile in frame_tiles)
            pixels = frame.decoded(bottom=lowest if self.near is None else frame.size[1])
            self.samples.look(pixels)
        with _timed(latency_ms, "regions"):
            regions = self._crop(pixels, frame_tiles) if self.budget is None else None
            past = None if self.video is None else self.video.see(pixels, frame_tiles)
            near = None if self.near is None else self._whole(pixels, self.near.region_size)
        looked_at = regions if regions is None else _with(past, regions, frame_tiles, latency_ms)
        return Prepared(self, frame, pixels, frame_tiles, looked_at, past, near, latency_ms)

    def look(self, prepared: Sequence[Prepared]) -> list[Looked]:
        """Run the engines on frames, of other cameras' pipelines with the same engines too.

        Raises:
            EngineError: if an engine fails.
        """
        near, near_ms = self._look_near(prepared)
        views = [
            one.pipeline._view_of(one, found, len(prepared))
            for one, found in zip(prepared, near, strict=True)
        ]
        start = time.perf_counter()
        found = self.engine(stacked([view.regions for view in views]))
        regions_ms = (time.perf_counter() - start) * 1e3
        looked, first = [], 0
        for one, own, view in zip(prepared, near, views, strict=True):
            last = first + len(view.tiles)
            looked.append(Looked(view.tiles, found.of(slice(first, last)), own, view.attended))
            one.latency_ms["engine"] = near_ms + regions_ms
            first = last
        flow_ms = sum(one.latency_ms.get("flow", 0.0) for one in prepared)
        for one in prepared:
            if one.pipeline.budget is not None:
                one.pipeline.budget.engine_took(first, regions_ms + flow_ms, near_ms)
        return looked

    def finish(self, prepared: Prepared, looked: Looked, ranged: bool = True) -> Result:
        """Detections in image px of what the engines found in what `prepare` gave.

        ``ranged``: whether anybody asks for their distances.
        """
        latency_ms, stamp_ns = prepared.latency_ms, prepared.frame.stamp_ns
        with _timed(latency_ms, "merge"):
            found = self._in_image(looked, prepared.frame.size)
            weak = () if self.tracker is None else (self.tracker.weak_thresholds,)
            merged = self._merged(found, self.thresholds, *weak)
            if self.budget is not None and looked.attended is not None:
                people = self._merged(found, self.budget.people_scores)
                self.budget.saw(looked.attended, people, stamp_ns)
        if self.tracker is not None:
            with _timed(latency_ms, "track"):
                tracked = self.tracker.update(merged, stamp_ns, self.camera)
                merged = tracked.select(slice(self.config.detection.max_detections))
        ranges = self._ranges(merged, prepared, ranged)
        if self.budget is not None:
            self.budget.frame_took(latency_ms)
        kernels, scale_factor = looked.regions.kernels, self.engine.scale_factor
        blurs = None if kernels is None else blurs_of(kernels, looked.tiles, scale_factor)
        return Result(merged, looked.tiles, latency_ms, looked.attended, ranges, blurs)

    def reset(self) -> None:
        """Forget the frames before, as after a jump in time."""
        for memory in (self.tracker, self.budget, self.ranging, self.video):
            if memory is not None:
                memory.reset()

    def follow(self, other: Pipeline) -> None:
        """Take the place of another pipeline of the same camera: go on with its tracks."""
        self.camera, self.samples = other.camera, other.samples
        mine, theirs = self.tracker, other.tracker
        if mine is not None and theirs is not None and theirs.config == mine.config:
            theirs.mounting, theirs.thresholds = mine.mounting, mine.thresholds
            self.tracker = theirs
        if self.budget is not None and other.budget is not None:
            self.budget.follow(other.budget)
        if self.ranging is not None and other.ranging is not None:
            self.ranging.follow(other.ranging)
        if self.video is not None and other.video is not None:
            self.video.follow(other.video)

    def tiles(self, image_size: tuple[int, int]) -> tuple[Tile, ...]:
        """The tiles that cover the distant region of an image of (width, height) px.

        Raises:
            ConfigError: if the configured region does not fit the image.
        """
        view = image_size, self.camera
        if self._tiles is None or self._view != view:
            region, size = self.config.region, self.engine.region_size
            band = distant_band(image_size, region, self.camera)
            found = tiles(band, image_size, size, region.tile_overlap, self.near is not None)
            self._view, self._tiles = view, tuple(found)
        return self._tiles

    def _look_near(self, prepared: Sequence[Prepared]) -> tuple[list[InImage | None], float]:
        """What is in each whole image, and the milliseconds that looking took."""
        if self.near is None:
            return [None] * len(prepared), 0.0
        start = time.perf_counter()
        found = self.near(stacked([one.near for one in prepared if one.near is not None]))
        near_ms = (time.perf_counter() - start) * 1e3
        each = [
            one.pipeline._of_near(self.near, found.of(slice(k, k + 1)), one)
            for k, one in enumerate(prepared)
        ]
        return list(each), near_ms

    def _of_near(self, engine: Engine, found: Found, prepared: Prepared) -> InImage:
        """What the near pass found, with what attention goes by."""
        with _timed(prepared.latency_ms, "merge"):
            size, least = prepared.frame.size, self._least_scores
            if self.budget is not None:
                least = np.minimum(least, self.budget.candidate_scores)
            tile, overlap = near_tile(size, engine.region_size), self.config.region.tile_overlap
            return in_image(tile, found, engine.scale_factor, size, least, overlap)

    def _view_of(self, prepared: Prepared, near: InImage | None, frames: int) -> _View:
        """What to look at in a frame, given what the near pass found; ``frames`` wait together."""
        if self.budget is None:
            assert prepared.regions is not None
            return _View(prepared.tiles, prepared.regions)
        with _timed(prepared.latency_ms, "regions"):
            frame = prepared.frame
            candidates = Detections.empty() if near is None else near.detections
            attended = self.budget.choose(
                frame.stamp_ns, prepared.tiles, frame.size, candidates, frames
            )
            cut = self._crop(prepared.pixels, attended.tiles)
        regions = _with(prepared.past, cut, attended.tiles, prepared.latency_ms)
        return _View(attended.tiles, regions, attended)

    def _in_image(self, looked: Looked, size: tuple[int, int]) -> InImage:
        """All detections of a frame."""
        least, scale_factor = self._least_scores, self.engine.scale_factor
        overlap = self.config.region.tile_overlap
        parts = [
            in_image(tile, looked.regions.of(slice(k, k + 1)), scale_factor, size, least, overlap)
            for k, tile in enumerate(looked.tiles)
        ]
        return joined(parts if looked.near is None else [*parts, looked.near])

    def _crop(self, frame: Frame, frame_tiles: Sequence[Tile]) -> NDArray[np.uint8]:
        """The tiles' pixels as the engine takes them, in memory of the frame before."""
        self._regions = _pixels(frame, frame_tiles, self.engine.region_size, self._regions)
        return self._regions

    def _whole(self, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The whole image as the near pass takes it, in memory of the frame before."""
        self._near = _pixels(frame, [near_tile(frame.size, size)], size, self._near)
        return self._near

    def _ranges(self, detections: Detections, prepared: Prepared, ranged: bool) -> Ranges | None:
        """Where people stand, for whoever asks; the pitch is followed also while nobody does."""
        camera, ranging, frame = self.camera, self.ranging, prepared.frame
        if ranging is None or camera is None or (camera.width, camera.height) != frame.size:
            return None
        if not (ranged or ranging.config.estimate_pitch):
            return None
        with _timed(prepared.latency_ms, "range"):
            if self.tracker is not None:
                feet = detections.select(detections.track_id != NO_TRACK)
            else:
                feet = detections.select(detections.score >= self._sure[detections.class_id])
            ranging.learn(feet.xyxy, feet.class_id, frame.stamp_ns, camera)
            return ranging.ranges(detections.xyxy, detections.class_id, camera) if ranged else None

    @property
    def _least_scores(self) -> NDArray[np.float32]:
        """Of each class: of what is published, and of what attention goes by."""
        least = self.thresholds if self.tracker is None else self.tracker.weak_thresholds
        return least if self.budget is None else np.minimum(least, self.budget.people_scores)

    def _merged(self, found: InImage, *least_scores: NDArray[np.float32]) -> Detections:
        limits = self.config.detection
        return found.merged(limits.nms_iou, limits.max_detections, *least_scores)


def _pixels(
    frame: Frame, of: Sequence[Tile], size: tuple[int, int], memory: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """(tiles, height, width, 3) pixels of tiles, in ``memory`` where it has that shape."""
    shape = len(of), size[1], size[0], 3
    if memory.shape != shape:
        memory = np.empty(shape, np.uint8)
    for region, tile in zip(memory, of, strict=True):
        tile.pixels(frame, size, region)
    return memory


def _with(
    past: Past | None,
    regions: NDArray[np.uint8],
    tiles: Sequence[Tile],
    latency_ms: dict[str, float],
) -> Regions:
    """Regions as the engine takes them, with what was there before if it looks at that."""
    if past is None:
        return regions
    with _timed(latency_ms, "flow"):
        return past.clips(regions, tiles)


@contextmanager
def _timed(latency_ms: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    latency_ms[stage] = latency_ms.get(stage, 0.0) + (time.perf_counter() - start) * 1e3
