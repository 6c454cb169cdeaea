"""What `benchmarks.sliced` compares: whole frames, sliced inference (sahi), and the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from benchmarks.yardstick_rows import PICODET, Public, imported, region_side
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import (
    DetectionConfig,
    EngineConfig,
    NearConfig,
    PipelineConfig,
    RegionConfig,
)
from tasksr_ros.detections import Detections
from tasksr_ros.engines import Engine
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import Model, load_model

NO_NEAR = NearConfig(width=0)
YOLOX = ("yolox_nano_coco.onnx", "yolox")
PUBLIC = {"PicoDet-S": PICODET, "YOLOX-nano": YOLOX}
STEP_NS = 100_000_000

Look: TypeAlias = Callable[[Sequence[Frame]], list[Detections]]
"""Detections of the frames of some cameras, in px of their images."""


@dataclass(frozen=True)
class System:
    """One way to find people in a frame.

    Attributes:
        name: in tables.
        engine: what runs the networks.
        look: the way.
        cameras: how many frames a look takes.
        timed: whether only its time is asked for, since another one finds the same.
    """

    name: str
    engine: str
    look: Look
    cameras: int = 1
    timed: bool = False


@dataclass(frozen=True)
class Setting:
    """What all systems have in common.

    Attributes:
        size: largest (width, height) of the images, px.
        slice_px: side of sahi's slices; they are enlarged twice.
        overlap: share of a slice.
        threads: of the engines.
        least_score: of a detection.
    """

    size: tuple[int, int]
    slice_px: int
    overlap: float
    threads: int
    least_score: float

    def engine(self, name: str, width: int, height: int) -> EngineConfig:
        """For regions of at least this size."""
        return EngineConfig(
            name=name,  # type: ignore[arg-type]
            threads=self.threads,
            region_width=width,
            region_height=height,
        )


def check_sahi() -> None:
    """Raises: ConfigError: without sahi."""
    try:
        import sahi.predict  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"sliced inference needs sahi: pip install --no-deps sahi; pip install shapely "
            f"({error}; without --no-deps it brings an OpenCV that takes the place of ours)"
        ) from None


def public_systems(
    weights: Path, folder: Path, engine: str, setting: Setting, timed: bool
) -> list[System]:
    """Each public detector on whole frames, and sliced; ``timed``: see `System`.

    Raises:
        TaskSRError: if a file cannot be imported.
    """
    systems = []
    for name, (file, decoder) in PUBLIC.items():
        if not (weights / file).is_file():
            raise ConfigError(f"weights must be a folder with {file}, got {weights}")
        plain, twice = (
            imported(Public(f"{name} x{scale:g}", file, decoder, scale), weights, folder)
            for scale in (1.0, 2.0)
        )
        sides = (region_side(side, 1.0) for side in setting.size)
        whole = load_model(plain, setting.engine(engine, *sides), NO_NEAR)
        look = _whole(whole, setting)
        systems.append(System(f"{name}, whole frame", engine, look, timed=timed))
        look = _sahi(_of_slices(str(twice), engine, setting), whole.engine, setting)
        systems.append(System(f"{name}, sahi", engine, look, timed=timed))
    return systems


def own_systems(
    model: Model, engine: str, setting: Setting, budgets: Sequence[int], cameras: Sequence[int]
) -> list[System]:
    """The pipeline as the node runs it by default, then with budgets and of several cameras."""
    name = model.bundle.name
    systems = [System(f"{name}, default", engine, _pipelines(model, 1, 0, setting))]
    systems += [
        System(f"{name}, budget {budget}", engine, _pipelines(model, 1, budget, setting))
        for budget in budgets
    ]
    return systems + [
        System(f"{name}, default", engine, _pipelines(model, number, 0, setting), number, True)
        for number in cameras
        if number > 1
    ]


def own_sliced(model: Model, engine: str, setting: Setting) -> System:
    """The same networks on sahi's slices.

    Raises:
        TaskSRError: if the bundle does not serve for them.
    """
    slices = _of_slices(model.source, engine, setting)
    look = _sahi(slices, model.near or model.engine, setting)
    return System(f"{model.bundle.name}, sahi", engine, look)


def _of_slices(bundle: str, engine: str, setting: Setting) -> Engine:
    side = region_side(setting.slice_px, load_bundle(bundle).scale_factor)
    return load_model(bundle, setting.engine(engine, side, side), NO_NEAR).engine


def _config(setting: Setting, region: RegionConfig) -> PipelineConfig:
    detection = DetectionConfig(score_threshold=setting.least_score)
    return PipelineConfig(region=region, detection=detection)


def _whole(model: Model, setting: Setting) -> Look:
    pipeline = model.pipeline(_config(setting, RegionConfig(mode="full")))
    return lambda frames: [pipeline(frame) for frame in frames]


def _pipelines(model: Model, cameras: int, budget: int, setting: Setting) -> Look:
    """Of some cameras whose frames go into one call of the engines, as in the node."""
    config = _config(setting, RegionConfig(mode="fixed", budget=budget))
    pipelines = [model.pipeline(config) for _ in range(cameras)]
    stamp_ns = 0

    def look(frames: Sequence[Frame]) -> list[Detections]:
        nonlocal stamp_ns
        stamp_ns += STEP_NS
        prepared = [
            pipeline.prepare(replace(frame, stamp_ns=stamp_ns))
            for pipeline, frame in zip(pipelines, frames, strict=True)
        ]
        looked = pipelines[0].look(prepared)
        return [
            pipeline.finish(one, found, ranged=False).detections
            for pipeline, one, found in zip(pipelines, prepared, looked, strict=True)
        ]

    return look


def _sahi(slices: Engine, whole: Engine, setting: Setting) -> Look:
    """Sahi's sliced prediction, the whole image included, merged as the pipeline does."""
    from sahi.predict import get_sliced_prediction

    from benchmarks.sahi_model import SahiModel

    model = SahiModel(slices, whole, setting.least_score)

    def look(frames: Sequence[Frame]) -> list[Detections]:
        return [found(frame) for frame in frames]

    def found(frame: Frame) -> Detections:
        result = get_sliced_prediction(
            np.ascontiguousarray(frame.image),
            model,
            slice_height=setting.slice_px,
            slice_width=setting.slice_px,
            overlap_height_ratio=setting.overlap,
            overlap_width_ratio=setting.overlap,
            postprocess_type="NMS",
            postprocess_match_metric="IOU",
            postprocess_match_threshold=DetectionConfig().nms_iou,
            force_postprocess_type=True,
            verbose=0,
        )
        people = result.object_prediction_list
        boxes = np.array([p.bbox.to_xyxy() for p in people], np.float32).reshape(-1, 4)
        scores = np.array([p.score.value for p in people], np.float32)
        return Detections.from_arrays(boxes, scores)

    return look
