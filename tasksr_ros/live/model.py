"""A bundle with its running engine, built where the caller is or in a thread beside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tasksr_ros.bundle import Bundle, load_bundle
from tasksr_ros.config import EngineConfig, PipelineConfig
from tasksr_ros.engines import Engine
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.errors import EngineError
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

    def pipeline(self, config: PipelineConfig) -> Pipeline:
        """A camera's pipeline with this model.

        Raises:
            ConfigError: if the config does not fit the engine's regions.
        """
        return Pipeline(self.engine, config, self.bundle.score_threshold)


def load_model(source: str, config: EngineConfig, factory: EngineFactory) -> Model:
    """Load a bundle, build its engine and run it once, so that the first frame does not wait.

    Raises:
        BundleError: if the bundle is missing or broken.
        EngineError: if the engine cannot run here.
    """
    bundle = load_bundle(source)
    engine = GuardedEngine(factory(bundle, config))
    width, height = engine.region_size
    engine(np.zeros((1, height, width, 3), np.uint8))
    return Model(source, bundle, engine)


class ModelBuild:
    """`load_model` in a thread of its own, while another model goes on working."""

    def __init__(self, source: str, config: EngineConfig, factory: EngineFactory) -> None:
        self.source = source
        self._model: Model | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(
            target=self._build, args=(config, factory), name="model build", daemon=True
        )
        self._thread.start()

    def _build(self, config: EngineConfig, factory: EngineFactory) -> None:
        try:
            self._model = load_model(self.source, config, factory)
        except Exception as error:  # told by `result`, in the thread that asks
            self._error = error

    @property
    def done(self) -> bool:
        """Whether `result` returns at once."""
        return not self._thread.is_alive()

    def result(self) -> Model:
        """The model, once it is built.

        Raises:
            Exception: whatever ended the build.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._model is None:
            raise EngineError(f"the build of {self.source} ended without a model")
        return self._model
