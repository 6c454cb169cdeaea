"""`tasksr-train adapt`: super-resolution for a detector that must not change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from tasksr_ros.bundle import find_bundle, load_bundle
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
from tasksr_training.adapt.disk import full_disk
from tasksr_training.adapt.frozen import frozen_detector, people_of
from tasksr_training.adapt.measure import Setting
from tasksr_training.adapt.outcome import finish
from tasksr_training.adapt.prepared import Detector, Recordings, patch_size, prepare
from tasksr_training.adapt.recordings import fixed_blur
from tasksr_training.adapt.stage import AdaptStage, residual, starting_network
from tasksr_training.adapt.systems import behind_bicubic
from tasksr_training.loop import LoopConfig, check_loop, train


def adapt(
    detector: str,
    recordings: Sequence[str],
    out: Path,
    labels: Path | None = None,
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
        bundle = load_bundle(find_bundle(detector))
        people = people_of(bundle, classes)
        behind_bicubic(bundle, scale_factor)  # refuses what does not fit, before anything is read
        begun, description, _ = starting_network(start, scale_factor, out)
        size = patch_size(bundle, crops, scale_factor)
        module = frozen_detector(bundle, people, size, loss.layers, network)
        fixed = Detector(bundle, people, module, size)
        out.mkdir(parents=True, exist_ok=True)
        prepared = prepare(
            fixed, of, scale_factor, frames, teacher, crops, loop.batch_size, loop.threads, out
        )
        for line in prepared.lines:
            print(f"tasksr-train: {line}")
        labelled, held_out = prepared.labels is not None, prepared.held_out
        stage = AdaptStage(
            *residual(begun, description), module, loss, teacher.same, labelled, held_out
        )
        train(stage, prepared.crops, loop, out)
        threshold, degradations = bundle.score_threshold, prepared.degradations
        where = prepared.frames, prepared.seen
        setting = Setting(*where, scale_factor, degradations, threshold, measuring)
        finish(fixed, prepared, setting, start, export, loop.threads, out)
