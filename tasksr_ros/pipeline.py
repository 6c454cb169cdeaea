"""Frame to detections: the whole way, without ROS.

from tasksr_ros.pipeline import Pipeline
pipeline = Pipeline.from_bundle("tdsr-ss-x4")
detections = pipeline(Frame(rgb_image))
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import load_bundle
from tasksr_ros.camera import CameraModel
from tasksr_ros.config import (
    MODEL_SCORE_THRESHOLD,
    DetectionConfig,
    EngineConfig,
    PipelineConfig,
    RegionConfig,
    TrackingConfig,
)
from tasksr_ros.detections import Detections, concatenate
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.frames import Frame
from tasksr_ros.merge import merge
from tasksr_ros.options import build, flatten
from tasksr_ros.regions import (
    Tile,
    check_overlap,
    cut_boxes,
    distant_band,
    full_frame_tile,
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
        latency_ms: milliseconds by stage; `Pipeline.finish` adds to it.
    """

    frame: Frame
    tiles: tuple[Tile, ...]
    regions: NDArray[np.uint8]
    latency_ms: dict[str, float]


class Pipeline:
    """Detects distant pedestrians in the frames of one camera.

    With ``tracking.enabled`` it remembers the frames before: they must come from one camera in
    the order of their stamps, and `reset` forgets them. Without, frames are independent.

    Args:
        engine: the compiled networks; may be shared by pipelines of several cameras.
        config: regions and detection; its engine part is not read.
        score_threshold: used where the config leaves it to the bundle.
        camera: intrinsics, needed by the region mode ``distance``; may be set later.

    Raises:
        ConfigError: if a value of the config is out of range, or its tiles would not advance.
    """

    def __init__(
        self,
        engine: Engine,
        config: PipelineConfig,
        score_threshold: float,
        camera: CameraModel | None = None,
    ) -> None:
        configured = config.detection.score_threshold
        self.engine = engine
        self.config = build(type(config), flatten(config))
        check_overlap(config.region.tile_overlap, engine.region_size)
        self.score_threshold = (
            score_threshold if configured == MODEL_SCORE_THRESHOLD else configured
        )
        self.camera = camera
        self.tracker = (
            Tracker(config.tracking, config.region, self.score_threshold)
            if config.tracking.enabled
            else None
        )
        self._view: tuple[tuple[int, int], CameraModel | None] | None = None
        self._tiles: tuple[Tile, ...] | None = None
        self._regions = np.empty((0, 0, 0, 3), np.uint8)

    @classmethod
    def from_bundle(
        cls,
        path_or_name: str | Path,
        engine: Literal["auto", "tensorrt", "torch", "openvino"] | EngineConfig = "auto",
        *,
        region: RegionConfig | None = None,
        detection: DetectionConfig | None = None,
        tracking: TrackingConfig | None = None,
        camera: CameraModel | None = None,
    ) -> Pipeline:
        """Build the pipeline of a bundle folder or of a shipped bundle.

        Raises:
            BundleError: if the bundle is missing or broken.
            EngineError: if the engine cannot run here.
            ConfigError: if a value of the config is out of range.
        """
        engine_config = engine if isinstance(engine, EngineConfig) else EngineConfig(name=engine)
        config = PipelineConfig(
            region or RegionConfig(),
            detection or DetectionConfig(),
            engine_config,
            tracking or TrackingConfig(),
        )
        bundle = load_bundle(path_or_name)
        return cls(build_engine(bundle, config.engine), config, bundle.score_threshold, camera)

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
            boxes, scores = self.engine(prepared.regions)
        return self.finish(prepared, boxes, scores)

    def prepare(self, frame: Frame) -> Prepared:
        """What the engine is to look at.

        Raises:
            ConfigError: if the configured region does not fit the image.
            ImageError: if a compressed frame is damaged.
        """
        latency_ms: dict[str, float] = {}
        with _timed(latency_ms, "decode"):
            frame_tiles = self.tiles(frame.size)
            pixels = frame.decoded(bottom=max(tile.rect.y1 for tile in frame_tiles))
        with _timed(latency_ms, "regions"):
            regions = self._crop(pixels, frame_tiles)
        return Prepared(frame, frame_tiles, regions, latency_ms)

    def finish(
        self, prepared: Prepared, boxes: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> Result:
        """Detections in image px of what the engine found in the regions of `prepare`."""
        with _timed(prepared.latency_ms, "merge"):
            found = [
                self._detections(tile, tile_boxes, tile_scores, prepared.frame.size)
                for tile, tile_boxes, tile_scores in zip(prepared.tiles, boxes, scores, strict=True)
            ]
            detections = self._merged(
                concatenate([detections for detections, _ in found]),
                np.concatenate([cut for _, cut in found]),
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
        self.camera = other.camera
        mine, theirs = self.tracker, other.tracker
        if mine is not None and theirs is not None and theirs.config == mine.config:
            theirs.mounting, theirs.score_threshold = mine.mounting, mine.score_threshold
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
            found = tiles(band, image_size, size, region.tile_overlap)
            full = [full_frame_tile(image_size, size)] if region.full_frame else []
            self._view, self._tiles = view, (*found, *full)
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
        self,
        tile: Tile,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        image_size: tuple[int, int],
    ) -> tuple[Detections, NDArray[np.bool_]]:
        """Detections of one tile in image px, and which of them the tile's side may cut.

        Args:
            tile: where the engine looked.
            boxes: (A, 4) in SR px.
            scores: (A,).
            image_size: (width, height) in image px; boxes are clipped to it.
        """
        scale_factor = self.engine.scale_factor
        likely = scores >= self._least_score
        if not likely.any():  # most tiles: nobody is there
            return Detections.empty(), np.zeros(0, np.bool_)
        boxes, scores = boxes[likely], scores[likely]
        region_boxes = boxes / scale_factor
        xyxy = tile.to_image(boxes, scale_factor).clip(0, np.tile(image_size, 2))
        kept = (xyxy[:, 2:] > xyxy[:, :2]).all(1) & ~seen_whole_elsewhere(
            tile, region_boxes, self.config.region.tile_overlap
        )
        cut = cut_boxes(tile, region_boxes)
        return Detections.from_arrays(xyxy[kept], scores[kept]), cut[kept]

    @property
    def _least_score(self) -> float:
        return self.score_threshold if self.tracker is None else self.tracker.weak_threshold

    def _merged(self, detections: Detections, cut: NDArray[np.bool_]) -> Detections:
        """Merged detections, strongest first; none is suppressed by one below the threshold."""
        strong = detections.score >= self.score_threshold
        chosen = [strong] if self.tracker is None else [strong, ~strong]
        limits = self.config.detection
        return concatenate(
            [
                merge(detections.select(c), cut[c], limits.nms_iou, limits.max_detections)
                for c in chosen
            ]
        )


@contextmanager
def _timed(latency_ms: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    latency_ms[stage] = (time.perf_counter() - start) * 1e3
