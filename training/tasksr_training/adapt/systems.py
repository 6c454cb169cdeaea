"""The detector in the deployed path: alone, behind bicubic enlargement, behind the new network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle, ForeignDetector, SuperResolution
from tasksr_ros.config import (
    DetectionConfig,
    EngineConfig,
    NearConfig,
    PipelineConfig,
    RegionConfig,
)
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.engines.found import Found as EngineFound
from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import Model
from tasksr_training.errors import TrainingError

Found = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Boxes (K, 4) xyxy in image px and scores (K,), of people."""
LEAST_SCORE, MOST = 0.01, 100


class System:
    """A bundle that looks at whole images, region by region, as the node does.

    Args:
        bundle: the detector and what lies before it.
        classes: ids of people.
        threads: CPU threads; 0: all.
    """

    def __init__(self, bundle: Bundle, classes: Sequence[int], threads: int = 0) -> None:
        built = build_engine(bundle, EngineConfig(threads=threads))
        engine = GuardedEngine(_Finite(built, bundle.name))
        config = PipelineConfig(
            region=RegionConfig(mode="full"),
            detection=DetectionConfig(
                score_threshold=LEAST_SCORE,
                max_detections=MOST,
                classes=tuple(bundle.classes[k] for k in classes),
            ),
            near=NearConfig(width=0),
        )
        self._pipeline = Model(bundle.name, bundle, engine).pipeline(config)

    def __call__(self, image: NDArray[np.uint8]) -> Found:
        """People in an image (H, W, 3) uint8 RGB, strongest first."""
        found = self._pipeline(Frame(np.ascontiguousarray(image)))
        return found.xyxy, found.score


class _Finite:
    """An engine whose results must be finite; see `engines.Engine`."""

    def __init__(self, engine: Engine, bundle: str) -> None:
        self._engine, self._bundle = engine, bundle
        self.name = engine.name
        self.region_size, self.scale_factor = engine.region_size, engine.scale_factor
        self.runs_batches = engine.runs_batches

    def __call__(self, regions: NDArray[np.uint8]) -> EngineFound:
        """As the engine, but raises TrainingError for NaN."""
        found = self._engine(regions)
        boxes = found.boxes[found.scores >= LEAST_SCORE]
        if not (np.isfinite(found.scores).all() and np.isfinite(boxes).all()):
            raise TrainingError(
                f"{self._bundle}: expected finite scores and boxes of the detector on the "
                "recordings' images, got NaN or infinite ones"
            )
        return found


def alone(bundle: Bundle) -> Bundle:
    """The detector without super-resolution; its regions are as large as what it sees."""
    return replace(bundle, sr=None, region_size=bundle.sr_size)


def behind(bundle: Bundle, sr: SuperResolution) -> Bundle:
    """The detector behind super-resolution; it sees images of the size that it sees alone.

    Raises:
        TrainingError: if its fixed size is no multiple of the scale factor.
    """
    factor = round(sr.scale_factor)
    width, height = bundle.sr_size
    if width % factor or height % factor:
        detector = bundle.detector
        fixed = isinstance(detector, ForeignDetector) and detector.input.size is not None
        raise TrainingError(
            f"scale_factor: expected a divisor of the detector's {'fixed ' if fixed else ''}input, "
            f"{width}x{height} px, got {factor}"
        )
    return replace(bundle, sr=sr, region_size=(width // factor, height // factor))


def behind_bicubic(bundle: Bundle, scale_factor: int) -> Bundle:
    """The detector behind bicubic enlargement."""
    return behind(bundle, SuperResolution(network="bicubic", scale_factor=scale_factor))
