"""All that is known before anything is learnt: the detector, frames, labels, LR copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_training.adapt.check import check_detector
from tasksr_training.adapt.config import CropConfig, FrameConfig, TeacherConfig
from tasksr_training.adapt.crops import CropBatch, CropSampler, Labels
from tasksr_training.adapt.degradation import Degradation
from tasksr_training.adapt.frames import Frames, choose_frames
from tasksr_training.adapt.frozen import Frozen, OwnDetector
from tasksr_training.adapt.labels import read_labels
from tasksr_training.adapt.recordings import degradations_of
from tasksr_training.adapt.systems import System, alone
from tasksr_training.adapt.teacher import Sightings, best_views
from tasksr_training.errors import TrainingError

_BATCHES, _TRIED = 4, 4
"""Batches of the validation; crops that the detector is tried on."""


@dataclass(frozen=True)
class Detector:
    """What stays as it is.

    Attributes:
        bundle: that it is from.
        people: ids of its classes of people.
        module: it, with gradients.
        size: (width, height) of the images that the module sees, px.
    """

    bundle: Bundle
    people: list[int]
    module: Frozen
    size: tuple[int, int]


@dataclass(frozen=True)
class Recordings:
    """What is learnt and measured on.

    Attributes:
        paths: bags, videos, folders of images.
        topic: of a bag's images, where it has several.
        labels: COCO file of their ground truth, or None.
        blur: of LR copies, HR px; None: as each asks for.
    """

    paths: Sequence[str]
    topic: str
    labels: Path | None
    blur: float | None


@dataclass(frozen=True)
class Prepared:
    """What training and measuring begin with.

    Attributes:
        frames: of the recordings.
        seen: whom the detector sees in them at its best.
        labels: of the frames, where there are any.
        degradations: how LR copies are made, by recording.
        crops: what is drawn to train on.
        held_out: batches of the validation.
        lines: for people.
    """

    frames: Frames
    seen: Sightings
    labels: Labels | None
    degradations: dict[str, Degradation]
    crops: CropSampler
    held_out: list[CropBatch]
    lines: list[str]


def prepare(
    detector: Detector,
    recordings: Recordings,
    scale_factor: int,
    choice: FrameConfig,
    teacher: TeacherConfig,
    config: CropConfig,
    batch_size: int,
    threads: int,
    out: Path,
) -> Prepared:
    """Choose frames and measure them.

    Raises:
        TaskSRError: for recordings, labels or a detector that do not serve.
    """
    bundle, people = detector.bundle, detector.people
    look = System(alone(bundle), people, threads)
    key = {"detector": bundle.sha256, "classes": people}
    frames = choose_frames(recordings.paths, recordings.topic, look, choice, out, key)
    labels = None
    if recordings.labels is not None:
        labels = read_labels(recordings.labels, frames, recordings.topic)
    degradations, told = degradations_of(frames, scale_factor, recordings.blur)
    seen = best_views(frames, look, bundle.sr_size[1], teacher, out)
    least, size = choice.least_score, detector.size
    crops, others = (
        CropSampler(frames, group, seen, size, config, least, degradations, labels)
        for group in (frames.train, frames.held_out)
    )
    names = ", ".join(Path(r).name for r in recordings.paths)
    lines = [
        f"{len(frames.train)} frames to train on, {len(frames.held_out)} held out, of {names}",
        *check_detector(detector.module, bundle, _batch(crops, 0, _TRIED).hr),
        *told,
        *_of_labels(labels, detector.module),
    ]
    held_out = [_batch(others, k, batch_size) for k in range(_BATCHES)]
    return Prepared(frames, seen, labels, degradations, crops, held_out, lines)


def patch_size(bundle: Bundle, crops: CropConfig, scale_factor: int) -> tuple[int, int]:
    """(width, height) of HR patches, HR px.

    Raises:
        TrainingError: for a size that the detector does not take.
    """
    foreign = bundle.detector if isinstance(bundle.detector, ForeignDetector) else None
    if foreign is not None and foreign.input.size is not None:
        return foreign.input.size
    taken = SIZE_MULTIPLE if foreign is None else foreign.input.size_multiple
    multiple = math.lcm(taken, scale_factor)
    if crops.size <= 0 or crops.size % multiple:
        raise TrainingError(
            f"crops.size: expected a multiple of {multiple} px, as the detector and the scale "
            f"factor ask for, got {crops.size}"
        )
    return crops.size, crops.size


def _batch(sampler: CropSampler, index: int, number: int) -> CropBatch:
    """A batch of patches, the same in each run."""
    rng = np.random.default_rng([0, index])
    return sampler.collate([sampler.draw(rng) for _ in range(number)], rng)


def _of_labels(labels: Labels | None, module: Frozen) -> list[str]:
    if labels is None:
        return []
    if isinstance(module, OwnDetector):
        return [f"labels of {len(labels)} frames: learnt from, and measured with"]
    return [
        f"labels of {len(labels)} frames: measured with; not learnt from, since the loss of "
        "another's detector is not known"
    ]
