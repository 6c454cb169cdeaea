"""Frame to detections: the whole way, without ROS.

from tasksr_ros import Frame, load_model
pipeline = load_model("tdsr-ss-x4").pipeline()
detections = pipeline(Frame(rgb_image))
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import (
    MODEL_SCORE_THRESHOLD,
    DetectionConfig,
    PipelineConfig,
)
from tasksr_ros.detections import Detections, concatenate
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.interface import Engine
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.sample_range import SampleRange
from tasksr_ros.merge import merge
from tasksr_ros.options import build, flatten
from tasksr_ros.regions import (
    Tile,
    check_overlap,
    cut_boxes,
    distant_band,
    near_tile,
    seen_whole_elsewhere,
    tiles,
)
from tasksr_ros.tracking import Tracker


@dataclass(frozen=True)
class Result:
    """What became of one frame.

    Attributes:
        detections: boxes in image px.
        tiles: what of the image was looked at.
        latency_ms: milliseconds by stage: decode, regions, engine, merge, and track where it is on.
    """

    detections: Detections
    tiles: tuple[Tile, ...]
    latency_ms: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """One frame on its way to the engine.

    Attributes:
        frame: as it came; its pixels are decoded.
        tiles: what of the image is looked at.
        regions: (tiles, height, width, 3) uint8 RGB; overwritten by the next `Pipeline.prepare`.
        near: (1, height, width, 3) uint8 RGB, the whole image; None without a near pass.
        latency_ms: milliseconds by stage; `Pipeline.finish` adds to it.
    """

    frame: Frame
    tiles: tuple[Tile, ...]
    regions: NDArray[np.uint8]
    near: NDArray[np.uint8] | None
    latency_ms: dict[str, float]


class Looked(NamedTuple):
    """What the engines found in one frame.

    Attributes:
        regions: in its regions.
        near: in the whole image; None without a near pass.
    """

    regions: Found
    near: Found | None = None


class Pipeline:
    """Detects pedestrians in the frames of one camera: near ones at once, distant ones in regions.

    With ``tracking.enabled`` it remembers the frames before: they must come from one camera in
    the order of their stamps, and `reset` forgets them. Without, frames are independent.

    Args:
        engine: the compiled networks; may be shared by pipelines of several cameras.
        config: regions and detection; its engine part is not read.
        score_threshold: used where the config leaves it to the bundle.
        camera: intrinsics, needed by the region mode ``distance``; may be set later.
        classes: their names, by the engine's class ids.
        near: the detector alone, for the whole image; None: only the distant region is looked at.

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
        self._view: tuple[tuple[int, int], CameraModel | None] | None = None
        self._tiles: tuple[Tile, ...] | None = None
        self._regions = np.empty((0, 0, 0, 3), np.uint8)

    def __call__(self, frame: Frame) -> Detections:
        """Detections of a frame, boxes in image px, strongest first."""
        return self.run(frame).detections

    def run(self, frame: Frame) -> Result:
        """Detections of a frame, with what was looked at and the time it took.

        Raises:
            ConfigError: if the configured region does not fit the image.
            ImageError: if a compressed frame is damaged.
            EngineError: if the engine fails.
        """
        prepared = self.prepare(frame)
        with _timed(prepared.latency_ms, "engine"):
            (looked,) = self.look([prepared])
        return self.finish(prepared, looked)

    def prepare(self, frame: Frame) -> Prepared:
        """What the engine is to look at.

        Raises:
            ConfigError: if the configured region does not fit the image.
            ImageError: if a compressed frame is damaged.
        """
        latency_ms: dict[str, float] = {}
        with _timed(latency_ms, "decode"):
            frame_tiles = self.tiles(frame.size)
            lowest = max(tile.rect.y1 for tile in frame_tiles)
            pixels = frame.decoded(bottom=lowest if self.near is None else frame.size[1])
            self.samples.look(pixels)
        with _timed(latency_ms, "regions"):
            regions = self._crop(pixels, frame_tiles)
            near = None
            if self.near is not None:
                size = self.near.region_size
                near = near_tile(frame.size, size).pixels(pixels, size)[None]
        return Prepared(frame, frame_tiles, regions, near, latency_ms)

    def look(self, prepared: Sequence[Prepared]) -> list[Looked]:
        """Run the engines on frames, of other cameras' pipelines with the same engines too.

        Raises:
            EngineError: if an engine fails.
        """
        found = self.engine(_stacked([one.regions for one in prepared]))
        near: Found | None = None
        if self.near is not None:
            near = self.near(_stacked([one.near for one in prepared if one.near is not None]))
        looked, first = [], 0
        for index, one in enumerate(prepared):
            last = first + len(one.tiles)
            own = None if near is None else near.of(slice(index, index + 1))
            looked.append(Looked(found.of(slice(first, last)), own))
            first = last
        return looked

    def finish(self, prepared: Prepared, looked: Looked) -> Result:
        """Detections in image px of what the engines found in what `prepare` gave."""
        with _timed(prepared.latency_ms, "merge"):
            size = prepared.frame.size
            by_tile = [
                self._detections(tile, looked.regions.of(slice(k, k + 1)), size, self.engine)
                for k, tile in enumerate(prepared.tiles)
            ]
            if self.near is not None and looked.near is not None:
                whole = near_tile(size, self.near.region_size)
                by_tile.append(self._detections(whole, looked.near, size, self.near))
            detections = self._merged(
                concatenate([detections for detections, _ in by_tile]),
                np.concatenate([cut for _, cut in by_tile]),
            )
        if self.tracker is not None:
            with _timed(prepared.latency_ms, "track"):
                stamp_ns = prepared.frame.stamp_ns
                tracked = self.tracker.update(detections, stamp_ns, self.camera)
                detections = tracked.select(slice(self.config.detection.max_detections))
        return Result(detections, prepared.tiles, prepared.latency_ms)

    def reset(self) -> None:
        """Forget the frames before, as after a jump in time."""
        if self.tracker is not None:
            self.tracker.reset()

    def follow(self, other: Pipeline) -> None:
        """Take the place of another pipeline of the same camera: go on with its tracks."""
        self.camera, self.samples = other.camera, other.samples
        mine, theirs = self.tracker, other.tracker
        if mine is not None and theirs is not None and theirs.config == mine.config:
            theirs.mounting, theirs.thresholds = mine.mounting, mine.thresholds
            self.tracker = theirs

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

    def _crop(self, frame: Frame, frame_tiles: Sequence[Tile]) -> NDArray[np.uint8]:
        """The tiles' pixels as the engine takes them, in memory of the frame before."""
        width, height = self.engine.region_size
        shape = len(frame_tiles), height, width, 3
        if self._regions.shape != shape:
            self._regions = np.empty(shape, np.uint8)
        for region, tile in zip(self._regions, frame_tiles, strict=True):
            region[:] = tile.pixels(frame, (width, height))
        return self._regions

    def _detections(
        self, tile: Tile, found: Found, image_size: tuple[int, int], engine: Engine
    ) -> tuple[Detections, NDArray[np.bool_]]:
        """Detections of one tile in image px, and which of them the tile's side may cut.

        Args:
            tile: where the engine looked.
            found: what it found there, and there alone.
            image_size: (width, height) in image px; boxes are clipped to it.
            engine: that looked.
        """
        scale_factor = engine.scale_factor
        scores, class_ids = found.scores[0], found.class_ids[0]
        likely = scores >= self._least_scores[class_ids]
        if not likely.any():  # most tiles: nobody is there
            return Detections.empty(), np.zeros(0, np.bool_)
        boxes, scores, class_ids = found.boxes[0, likely], scores[likely], class_ids[likely]
        region_boxes = boxes / scale_factor
        xyxy = tile.to_image(boxes, scale_factor).clip(0, np.tile(image_size, 2))
        kept = (xyxy[:, 2:] > xyxy[:, :2]).all(1) & ~seen_whole_elsewhere(
            tile, region_boxes, self.config.region.tile_overlap
        )
        cut = cut_boxes(tile, region_boxes)
        return Detections.from_arrays(xyxy[kept], scores[kept], class_ids[kept]), cut[kept]

    @property
    def _least_scores(self) -> NDArray[np.float32]:
        """Of each class."""
        return self.thresholds if self.tracker is None else self.tracker.weak_thresholds

    def _merged(self, detections: Detections, cut: NDArray[np.bool_]) -> Detections:
        """Merged detections, strongest first; none is suppressed by one below the threshold."""
        strong = detections.score >= self.thresholds[detections.class_id]
        chosen = [strong] if self.tracker is None else [strong, ~strong]
        limits = self.config.detection
        return concatenate(
            [
                merge(detections.select(c), cut[c], limits.nms_iou, limits.max_detections)
                for c in chosen
            ]
        )


def _stacked(batches: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return batches[0] if len(batches) == 1 else np.concatenate(batches)


@contextmanager
def _timed(latency_ms: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    latency_ms[stage] = (time.perf_counter() - start) * 1e3


def class_thresholds(
    config: DetectionConfig, score_threshold: float, classes: Sequence[str]
) -> NDArray[np.float32]:
    """The least score of each class; more than 1 of those that are not wanted.

    Raises:
        ConfigError: for classes that there are not, or thresholds that are no numbers from 0 to 1.
    """
    wanted = [name for name in config.classes if name]
    own = dict(_threshold(text) for text in config.class_thresholds if text)
    for name in (*wanted, *own):
        if name not in classes:
            raise ConfigError(
                f"detection.classes must be of the bundle's, {', '.join(classes)}, got {name!r}"
            )
    least = [
        own.get(name, score_threshold) if name in wanted or not wanted else _NEVER
        for name in classes
    ]
    return np.array(least, np.float32)


_NEVER = 2.0


def _threshold(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        least = float(value)
    except ValueError:
        least = math.nan
    if not name or not 0 <= least <= 1:
        raise ConfigError(
            f"detection.class_thresholds must be name=value with values from 0 to 1, got {text!r}"
        )
    return name, least
