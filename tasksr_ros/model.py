"""A bundle with its running engine: the one place that builds, guards and warms up."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tasksr_ros.bundle import Bundle, ForeignDetector, load_bundle
from tasksr_ros.bundle.schema import check_sizes
from tasksr_ros.camera import CameraModel
from tasksr_ros.config import SIZE_MULTIPLE, EngineConfig, NearConfig, PipelineConfig
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.engines.clips import Clips
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.options import build
from tasksr_ros.pipeline import Pipeline

logger = logging.getLogger(__name__)

EngineFactory: TypeAlias = Callable[[Bundle, EngineConfig], Engine]


@dataclass(frozen=True)
class Model:
    """A bundle and the engine that runs it.

    Attributes:
        source: the path or name by which the bundle was asked for.
        bundle: what was loaded.
        engine: of the bundle; shared by the cameras' pipelines.
        near: the bundle's detector alone, for the near pass; None without one.
    """

    source: str
    bundle: Bundle
    engine: GuardedEngine
    near: GuardedEngine | None = None

    @property
    def out_of_memory(self) -> bool:
        """Whether the last call of an engine failed for want of memory."""
        return any(e.out_of_memory for e in (self.engine, self.near) if e is not None)

    def pipeline(
        self, config: PipelineConfig | None = None, camera: CameraModel | None = None
    ) -> Pipeline:
        """A camera's pipeline with this model; with the default configuration where none is given.

        Raises:
            ConfigError: if the config does not fit the engine's regions or the bundle's classes.
        """
        bundle = self.bundle
        given = config or PipelineConfig()
        return Pipeline(
            self.engine,
            given,
            bundle.score_threshold,
            camera,
            bundle.classes,
            self.near,
            neighbours=bundle.neighbours,
            weak_threshold=bundle.weak_threshold,
        )


def load_model(
    bundle: str | Path,
    engine: str | EngineConfig = "auto",
    near: NearConfig | None = None,
    factory: EngineFactory = build_engine,
) -> Model:
    """Load a bundle, build its engines and run them once, so that the first frame does not wait.

    Args:
        bundle: folder, or name of a shipped one.
        engine: how it runs: the engine's name, or all of its options.
        near: of the near pass; the default one where none is given.
        factory: makes an engine.

    Raises:
        BundleError: if the bundle is missing or broken, or its networks take no regions of the
            size that the options name.
        EngineError: if the engine cannot run here.
        ConfigError: if there is no engine of that name.
    """
    config = engine if isinstance(engine, EngineConfig) else build(EngineConfig, {"name": engine})
    loaded = with_region_size(load_bundle(bundle), config)
    if max(loaded.neighbours, default=0) > 0:
        logger.warning(
            "%s was trained to look at frames after each frame as well, which are not there yet: "
            "the frame itself stands for them (trained with stage.options past_only it has none)",
            loaded.name,
        )
    running = _running(loaded, config, factory)
    whole = near_bundle(loaded, near or NearConfig())
    if whole is None:
        return Model(str(bundle), loaded, running)
    if whole == loaded:
        return Model(str(bundle), loaded, running, running)
    return Model(str(bundle), loaded, running, _running(whole, near_engine(config), factory))


def _running(bundle: Bundle, config: EngineConfig, factory: EngineFactory) -> GuardedEngine:
    """An engine that has run once."""
    guarded = GuardedEngine(factory(bundle, config))
    width, height = guarded.region_size
    region = np.zeros((1, height, width, 3), np.uint8)
    number = len(bundle.neighbours)
    guarded(Clips.without_neighbours(region, number) if number else region)
    return guarded


def near_bundle(bundle: Bundle, near: NearConfig) -> Bundle | None:
    """The detector alone, with the whole image as its region; None without a near pass.

    Sides are rounded up to what the detector takes; one of a fixed size sees the image in that.
    """
    if not near.width:
        return None
    detector, multiple = bundle.detector, SIZE_MULTIPLE
    size = (near.width, near.height or round(near.width * 9 / 16))
    if isinstance(detector, ForeignDetector):
        size, multiple = detector.input.size or size, detector.input.size_multiple
    width, height = (math.ceil(side / multiple) * multiple for side in size)
    return replace(bundle, sr=None, region_size=(width, height))


def near_engine(config: EngineConfig) -> EngineConfig:
    """How the near pass runs: int8 is of super-resolution, which it has none of."""
    return replace(config, precision="fp32") if config.precision == "int8" else config


def with_region_size(bundle: Bundle, config: EngineConfig) -> Bundle:
    """The bundle for regions of the configured size.

    Raises:
        BundleError: if its networks do not take such regions.
    """
    width, height = bundle.region_size
    size = (config.region_width or width, config.region_height or height)
    sized = replace(bundle, region_size=size)
    check_sizes(sized, f"{bundle.name} with engine.region_width and engine.region_height")
    return sized
