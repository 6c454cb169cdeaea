"""Another model, built in a thread beside the one that works."""

from __future__ import annotations

import threading

from tasksr_ros.config import PipelineConfig
from tasksr_ros.errors import EngineError
from tasksr_ros.model import EngineFactory, Model, load_model


class ModelBuild:
    """`load_model` in a thread of its own, while another model goes on working."""

    def __init__(self, source: str, config: PipelineConfig, factory: EngineFactory) -> None:
        self.source = source
        self._model: Model | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(
            target=self._build, args=(config, factory), name="model build", daemon=True
        )
        self._thread.start()

    def _build(self, config: PipelineConfig, factory: EngineFactory) -> None:
        try:
            self._model = load_model(self.source, config.engine, config.near, factory)
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
