"""The commands of the stages: options to a run of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasksr_ros.networks import BLIND_SR_NAMES, VIDEO_SR_NAMES
from tasksr_training.clips import ClipConfig, ClipSampler
from tasksr_training.datasets import PatchConfig, PatchSampler, Sampler, SourceConfig, read_sources
from tasksr_training.errors import TrainingError
from tasksr_training.loop import train
from tasksr_training.loop_config import LoopConfig, check_loop
from tasksr_training.native_crops import NativeSampler, NativeSourceConfig, read_native
from tasksr_training.peers.systems import BLIND_PEERS, VIDEO_PEERS
from tasksr_training.stages import detector as detector_stage
from tasksr_training.stages import native_detector as native_stage
from tasksr_training.stages import super_resolution as sr_stage
from tasksr_training.stages import task_driven as task_driven_stage
from tasksr_training.stages.blind import BlindSuperResolution
from tasksr_training.stages.blind_peers import BlindPeer
from tasksr_training.stages.detector import DetectorConfig, DetectorStage
from tasksr_training.stages.native_detector import NativeDetectorConfig, NativeDetectorStage
from tasksr_training.stages.super_resolution import SuperResolution, SuperResolutionConfig
from tasksr_training.stages.task_driven import TaskDriven, TaskDrivenConfig
from tasksr_training.stages.video import VideoSuperResolution

CLIPS = ClipConfig()
PAST = (-1, -2, -3)
"""Frames of the clips of a network that looks at none of them."""
PSEUDO = Path("pseudo")
NORMALISED_BY = 4
"""Samples from which a native detector's normalisations take their first statistics."""

StageConfig = SuperResolutionConfig | DetectorConfig | NativeDetectorConfig | TaskDrivenConfig

_MODULES = {
    SuperResolutionConfig: sr_stage,
    DetectorConfig: detector_stage,
    NativeDetectorConfig: native_stage,
    TaskDrivenConfig: task_driven_stage,
}
"""Where the checks of a stage's options are."""


def check_options(stage: StageConfig, patches: PatchConfig, loop: LoopConfig) -> None:
    """Refuse options that a command cannot be run with, before it reads or writes anything.

    Raises:
        TrainingError: saying which.
    """
    check_loop(loop)
    module = _MODULES[type(stage)]
    module.check_options(stage)
    module.check_patch_size(stage, patches.size)


def _sampler(data: Path, sources: Sequence[SourceConfig], patches: PatchConfig) -> PatchSampler:
    return PatchSampler(read_sources(data, sources), sources, patches)


def super_resolution(
    out: Path,
    data: Path,
    sources: list[SourceConfig],
    patches: PatchConfig,
    stage: SuperResolutionConfig,
    loop: LoopConfig,
    clips: ClipConfig = CLIPS,
) -> None:
    """Train a super-resolution network on HR images alone: still, video or blind.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how HR patches are cut.
        stage: what is trained.
        loop: how long and how.
        clips: for a video network, how patches become clips.
    """
    torch.manual_seed(loop.seed)
    if stage.network in (*VIDEO_SR_NAMES, *VIDEO_PEERS):
        video = VideoSuperResolution(stage, data)
        images = read_sources(data, sources)
        sampler = ClipSampler(images, sources, patches, clips, video.offsets, stage.scale_factor)
        train(video, sampler, loop, out)
        return
    sampler = _sampler(data, sources, patches)
    if stage.network in BLIND_PEERS:
        train(BlindPeer(stage, data), sampler, loop, out)
        return
    kind = BlindSuperResolution if stage.network in BLIND_SR_NAMES else SuperResolution
    train(kind(stage, data), sampler, loop, out)


def detector(
    out: Path,
    data: Path,
    sources: list[SourceConfig],
    patches: PatchConfig,
    stage: DetectorConfig,
    loop: LoopConfig,
) -> None:
    """Train the detector on HR images.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how HR patches are cut.
        stage: what is trained.
        loop: how long and how.
    """
    torch.manual_seed(loop.seed)
    train(DetectorStage(stage, data), _sampler(data, sources, patches), loop, out)


def native_detector(
    out: Path,
    data: Path,
    sources: list[NativeSourceConfig],
    patches: PatchConfig,
    stage: NativeDetectorConfig,
    loop: LoopConfig,
    pseudo: Path = PSEUDO,
) -> None:
    """Train the detector on crops of native images; a batch holds crops of every set.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how crops are cut.
        stage: what is trained.
        loop: how long and how; ``batch_size`` counts samples of ``crops`` of every set.
        pseudo: folder that `tasksr-train pseudo-labels` wrote.
    """
    torch.manual_seed(loop.seed)
    sampler = NativeSampler(read_native(data, pseudo, sources), sources, patches)
    trained = NativeDetectorStage(stage, data, sources)
    if stage.normalised:
        trained.normalise(_some(sampler, loop.seed))
    train(trained, sampler, loop, out)


def _some(sampler: NativeSampler, seed: int) -> Iterator[Tensor]:
    """Batches of crops, (N, 3, P, P) RGB in [0, 1]."""
    rng = np.random.default_rng(seed)
    for _ in range(NORMALISED_BY):
        yield sampler.collate([sampler.draw(rng)], rng).hr


def task_driven(
    out: Path,
    data: Path,
    sources: list[SourceConfig],
    patches: PatchConfig,
    stage: TaskDrivenConfig,
    loop: LoopConfig,
) -> None:
    """Train super-resolution and detector together, or the bicubic baseline.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how HR patches are cut.
        stage: what is trained.
        loop: how long and how.
    """
    torch.manual_seed(loop.seed)
    trained = TaskDriven(stage, data)
    if trained.offsets:
        raise TrainingError(
            f"{stage.sr_checkpoint}: expected super-resolution of still images, got "
            f"{trained.networks['sr']['name']}; native-task-driven trains it"
        )
    train(trained, _sampler(data, sources, patches), loop, out)


def native_task_driven(
    out: Path,
    data: Path,
    sources: list[NativeSourceConfig],
    patches: PatchConfig,
    stage: TaskDrivenConfig,
    loop: LoopConfig,
    pseudo: Path = PSEUDO,
    clips: ClipConfig | None = None,
) -> None:
    """Train super-resolution and detector together on crops of native images, or a baseline.

    The LR image is the crop downscaled, with faults of real cameras: of a crop that was enlarged
    by the scale factor that is the native image again, and only the detector's loss teaches.
    A video network learns from clips, whose target frame has the labels.

    Args:
        out: folder of the run; a run that was stopped goes on from there.
        data: folder that the paths of image sets start from.
        sources: image sets to train on.
        patches: how crops are cut.
        stage: what is trained.
        loop: how long and how; ``batch_size`` counts samples of ``crops`` of every set.
        pseudo: folder that `tasksr-train pseudo-labels` wrote.
        clips: for a video network, how crops become clips; given for another, it learns from the
            target frames of the same clips: the baseline that is equally taught.
    """
    if stage.loss.assignment != "task-aligned":
        raise TrainingError(
            f"stage.loss.assignment: expected task-aligned, got {stage.loss.assignment}"
        )
    torch.manual_seed(loop.seed)
    trained = TaskDriven(stage, data)
    of_one: Callable[..., Sampler] = PatchSampler
    if trained.offsets or clips:
        of_one = partial(
            ClipSampler,
            config=clips or CLIPS,
            offsets=trained.offsets or PAST,
            scale_factor=stage.scale_factor,
        )
    images = read_native(data, pseudo, sources)
    train(trained, NativeSampler(images, sources, patches, of_one), loop, out)


STAGES: dict[str, Callable[..., None]] = {
    "super-resolution": super_resolution,
    "detector": detector,
    "native-detector": native_detector,
    "task-driven": task_driven,
    "native-task-driven": native_task_driven,
}
