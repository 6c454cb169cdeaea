"""A bundle with its running engine: the one place that builds, guards and warms up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from tasksr_ros.bundle import Bundle, load_bundle
from tasksr_ros.bundle.schema import check_sizes
from tasksr_ros.camera import CameraModel
from tasksr_ros.config import EngineConfig, PipelineConfig
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.options import build
from tasksr_ros.pipeline import Pipeline

EngineFactory: TypeAlias = Callable[[Bundle, EngineConfig], Engine]


@dataclass(frozen=True)
class Model:
    """A bundle and the engine that runs it.

    Attributes:
        source: the path or name by which the bundle was asked for.
        bundle: what was loaded.
        engine: of the bundle; shared by the cameras' pipelines.
    """

    source: str
    bundle: Bundle
    engine: GuardedEngine

    def pipeline(
        self, config: PipelineConfig | None = None, camera: CameraModel | None = None
    ) -> Pipeline:
        """A camera's pipeline with this model; with the default configuration where none is given.

        Raises:
            ConfigError: if the config does not fit the engine's regions or the bundle's classes.
        """
        bundle = self.bundle
        given = config or PipelineConfig()
        return Pipeline(self.engine, given, bundle.score_threshold, camera, bundle.classes)


def load_model(
    bundle: str | Path,
    engine: str | EngineConfig = "auto",
    factory: EngineFactory = build_engine,
) -> Model:
    """Load a bundle, build its engine and run it once, so that the first frame does not wait.

    Args:
        bundle: folder, or name of a shipped one.
        engine: how it runs: the engine's name, or all of its options.
        factory: makes the engine.

    Raises:
        BundleError: if the bundle is missing or broken, or its networks take no regions of the
            size that the options name.
        EngineError: if the engine cannot run here.
        ConfigError: if there is no engine of that name.
    """
    config = engine if isinstance(engine, EngineConfig) else build(EngineConfig, {"name": engine})
    loaded = with_region_size(load_bundle(bundle), config)
    guarded = GuardedEngine(factory(loaded, config))
    width, height = guarded.region_size
    guarded(np.zeros((1, height, width, 3), np.uint8))
    return Model(str(bundle), loaded, guarded)


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
