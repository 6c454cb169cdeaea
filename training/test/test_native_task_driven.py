from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tasksr_training.checkpoints import load_network
from tasksr_training.datasets import PatchConfig
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig
from tasksr_training.losses import DetectionLossConfig
from tasksr_training.native_crops import NativeSourceConfig
from tasksr_training.stage_commands import native_task_driven
from tasksr_training.stages.detector import ValidationConfig
from tasksr_training.stages.task_driven import TaskDriven, TaskDrivenConfig

MODELS = Path(__file__).resolve().parents[2] / "models"
SR, DETECTOR = MODELS / "dbpn-ss-x2", MODELS / "picodet-s-x2"
SOURCES = [NativeSourceConfig("train.json", crops=2, max_scale=2.0)]
PATCHES = PatchConfig(size=64, min_height=8, max_height=60)
LOOP = LoopConfig(max_steps=2, batch_size=1, accelerator="cpu", threads=1, log_every=1)
STAGE = TaskDrivenConfig(
    sr_checkpoint=str(SR),
    detector_checkpoint=str(DETECTOR),
    scale_factor=2,
    distill_weight=0.5,
    frozen_fraction=0.0,
    loss=DetectionLossConfig(assignment="task-aligned"),
    validation=ValidationConfig(sets=()),
)


def moved(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    other_state = other.state_dict()
    return any(not torch.equal(v, other_state[k]) for k, v in one.state_dict().items())


def test_both_networks_learn_on_crops_of_native_images(data: Path, tmp_path: Path) -> None:
    native_task_driven(tmp_path, data, SOURCES, PATCHES, STAGE, LOOP)
    for part, start in (("sr", SR), ("detector", DETECTOR)):
        assert moved(load_network(tmp_path, part)[0], load_network(start, part)[0]), part
    assert load_network(tmp_path, "detector")[1]["name"] == "picodet-s"
    log = (tmp_path / "log.jsonl").read_text()
    for name in ("l1", "distribution", "distill"):
        assert f'"{name}"' in log


def test_the_gaussian_assignment_is_of_another_detector(data: Path, tmp_path: Path) -> None:
    stage = TaskDrivenConfig(sr_checkpoint=str(SR), detector_checkpoint=str(DETECTOR))
    with pytest.raises(TrainingError, match=r"loss\.assignment: expected task-aligned"):
        native_task_driven(tmp_path, data, SOURCES, PATCHES, stage, LOOP)


def test_picodet_is_not_widened(data: Path) -> None:
    stage = TaskDrivenConfig(
        detector_checkpoint=str(DETECTOR), upscaling="bicubic", scale_factor=2, detector_width=2.0
    )
    with pytest.raises(TrainingError, match=r"detector_width: expected 0 .* picodet-s, got 2"):
        TaskDriven(stage, data)
