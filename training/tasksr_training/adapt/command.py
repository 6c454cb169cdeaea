"""`tasksr-train adapt`: super-resolution for a detector that must not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from tasksr_ros.bundle import Bundle, find_bundle, load_bundle
from tasksr_training.adapt.config import (
    CROPS,
    FRAMES,
    LOOP,
    LOSS,
    MEASURE,
    SCALE_FACTOR,
    START,
    TEACHER,
    AdaptLossConfig,
    CropConfig,
    FrameConfig,
    MeasureConfig,
    TeacherConfig,
    check_options,
)
from tasksr_training.adapt.crops import CropsOfSeveral
from tasksr_training.adapt.disk import full_disk
from tasksr_training.adapt.frozen import frozen_detector, people_of
from tasksr_training.adapt.measure import Setting
from tasksr_training.adapt.outcome import finish
from tasksr_training.adapt.prepared import Detector, Prepared, Recordings, patch_size, prepare
from tasksr_training.adapt.recordings import fixed_blur
from tasksr_training.adapt.stage import AdaptStage, residual, starting_network
from tasksr_training.adapt.systems import behind_bicubic
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig, check_loop, train


def adapt(
    detector: str,
    recordings: Sequence[str],
    out: Path,
    labels: Path | None = None,
    also: Sequence[str] = (),
    network: str = "",
    classes: Sequence[str] = (),
    topic: str = "",
    start: str = START,
    scale_factor: int = SCALE_FACTOR,
    blur: str = "auto",
    export: Literal["if-better", "anyway", "never"] = "if-better",
    frames: FrameConfig = FRAMES,
    teacher: TeacherConfig = TEACHER,
    crops: CropConfig = CROPS,
    loss: AdaptLossConfig = LOSS,
    measuring: MeasureConfig = MEASURE,
    loop: LoopConfig = LOOP,
) -> None:
    """Train super-resolution for a detector that stays as it is, on recordings without labels.

    Args:
        detector: bundle, ours or one of `tasksr import-detector`.
        recordings: bags, videos, folders of images.
        out: folder of the run; a run that was stopped goes on from there.
        labels: COCO ground truth of the recordings: a detector of ours learns from it as well,
            one of others is only measured with it.
        also: further detectors that the same network is to serve: each is taught by its own views,
            in batches drawn from all, and has its answer and bundle in ``out/for-NAME``.
            ``network``, ``classes`` and ``loss.layers`` are of the first.
        network: MODULE:FACTORY that gives another's detector as a torch module; empty: its file.
        classes: the detector's classes of people; none: person, pedestrian, people or human.
        topic: of a bag's images, where it has several.
        start: network to train, or a bundle or a run that has one with weights.
        scale_factor: SR px per LR px.
        blur: of LR copies, standard deviation in HR px; auto: as the recordings ask for.
        export: whether a bundle is written: if it is better than bicubic enlargement for certain,
            anyway, or never.
        frames: which frames of the recordings are kept.
        teacher: views of these frames that the detector's best outputs are of.
        crops: how patches are cut.
        loss: what it learns from.
        measuring: how the answer is found whether it helps.
        loop: how long and how.

    Raises:
        TaskSRError: for recordings, a detector or options that do not serve.
    """
    check_options(frames, teacher, crops, loss)
    check_loop(loop)
    of = Recordings(recordings, topic, labels, fixed_blur(blur))
    torch.manual_seed(loop.seed)
    with full_disk(out):
        bundles = _bundles([detector, *also], scale_factor)
        begun, description, _ = starting_network(start, scale_factor, out)
        first = _fixed(bundles[0], crops, scale_factor, classes, loss.layers, network)
        fixed = [first, *(_fixed(bundle, crops, scale_factor) for bundle in bundles[1:])]
        folders = [out, *(out / f"for-{bundle.name}" for bundle in bundles[1:])]
        prepared: list[Prepared] = []
        for one, folder in zip(fixed, folders, strict=True):
            folder.mkdir(parents=True, exist_ok=True)
            size, threads = loop.batch_size, loop.threads
            prepared.append(
                prepare(one, of, scale_factor, frames, teacher, crops, size, threads, folder)
            )
            for line in prepared[-1].lines:
                print(f"tasksr-train: {line}")
        stage = AdaptStage(
            *residual(begun, description),
            [one.module for one in fixed],
            loss,
            teacher.same,
            labels is not None,
            [replace(b, detector=k) for k, p in enumerate(prepared) for b in p.held_out],
        )
        samplers = [p.crops for p in prepared]
        train(stage, samplers[0] if not also else CropsOfSeveral(samplers), loop, out)
        for one, found, folder in zip(fixed, prepared, folders, strict=True):
            threshold, degradations = one.bundle.score_threshold, found.degradations
            where = found.frames, found.seen
            setting = Setting(*where, scale_factor, degradations, threshold, measuring)
            finish(one, found, setting, start, export, loop.threads, out, folder)


def _bundles(names: Sequence[str], scale_factor: int) -> list[Bundle]:
    """The detectors; what does not fit is refused before anything is read."""
    bundles = [load_bundle(find_bundle(name)) for name in names]
    known = [bundle.name for bundle in bundles]
    if len(set(known)) < len(known):
        raise TrainingError(
            f"expected detectors of different names, got {', '.join(known)} (--detector, --also)"
        )
    for bundle in bundles:
        behind_bicubic(bundle, scale_factor)
    return bundles


def _fixed(
    bundle: Bundle,
    crops: CropConfig,
    scale_factor: int,
    classes: Sequence[str] = (),
    layers: Sequence[str] = (),
    network: str = "",
) -> Detector:
    """What stays as it is."""
    people = people_of(bundle, classes)
    size = patch_size(bundle, crops, scale_factor)
    return Detector(bundle, people, frozen_detector(bundle, people, size, layers, network), size)
