"""Every stage runs for a few steps, and gradients reach what they should and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tasksr_training.checkpoints import load_checkpoint
from tasksr_training.datasets import (
    Batches,
    PatchConfig,
    PatchSampler,
    SourceConfig,
    read_sources,
)
from tasksr_training.degradations import CorruptionConfig
from tasksr_training.errors import CheckpointError
from tasksr_training.loop import LoopConfig, train
from tasksr_training.stages.detector import DetectorConfig, DetectorStage, ValidationConfig
from tasksr_training.stages.super_resolution import SuperResolution, SuperResolutionConfig
from tasksr_training.stages.task_driven import TaskDriven, TaskDrivenConfig

VALIDATION = ValidationConfig(("val.json",), every=2)


def loop(steps: int = 2) -> LoopConfig:
    return LoopConfig(
        max_steps=steps, batch_size=2, warmup_steps=1, accelerator="cpu", threads=1, log_every=1
    )


def sampler(data: Path) -> PatchSampler:
    sources = [SourceConfig("train.json")]
    patches = PatchConfig(size=32, min_height=12, max_height=30)
    return PatchSampler(read_sources(data, sources), sources, patches)


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs ``sr`` and ``detector`` of two steps."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(1)
    sr = SuperResolutionConfig(validation=("images",), validation_side=32)
    train(SuperResolution(sr, data), sampler(data), loop(), folder / "sr")
    detector = DetectorConfig(width=0.25, validation=VALIDATION)
    train(DetectorStage(detector, data), sampler(data), loop(), folder / "detector")
    return folder


def task_driven(data: Path, runs: Path, out: Path, steps: int = 2, **changes: Any) -> set[str]:
    """Train and return which of ``sr`` and ``detector`` changed."""
    config = TaskDrivenConfig(
        sr_checkpoint=str(runs / "sr"),
        detector_checkpoint=str(runs / "detector"),
        validation=VALIDATION,
        **changes,
    )
    stage = TaskDriven(config, data)
    before = {k: v.clone() for k, v in stage.module.state_dict().items()}
    train(stage, sampler(data), loop(steps), out)
    after = load_checkpoint(out)["model"]
    return {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}


def test_first_stages_log_their_figures(runs: Path) -> None:
    assert "val/psnr_y/images" in (runs / "sr" / "log.jsonl").read_text()
    assert "val/ap30/val.json" in (runs / "detector" / "log.jsonl").read_text()


@pytest.mark.parametrize(
    ("changes", "learns"),
    [
        ({"frozen_fraction": 0.0}, {"sr", "detector"}),
        ({"train": "detector"}, {"detector"}),
        ({"train": "sr"}, {"sr"}),
        ({"bicubic": True}, {"detector"}),
        ({"frozen_fraction": 1.0}, {"detector"}),
        ({"frozen_fraction": 0.5}, {"sr", "detector"}),
    ],
)
def test_only_what_should_learn_learns(
    data: Path, runs: Path, tmp_path: Path, changes: dict[str, Any], learns: set[str]
) -> None:
    assert task_driven(data, runs, tmp_path, **changes) == learns


def gradients(data: Path, runs: Path, **changes: Any) -> dict[str, float]:
    config = TaskDrivenConfig(
        sr_checkpoint=str(runs / "sr"),
        detector_checkpoint=str(runs / "detector"),
        validation=VALIDATION,
        frozen_fraction=0.0,
        corruption=CorruptionConfig(probability=0.0),
        **changes,
    )
    stage = TaskDriven(config, data)
    batch = Batches(sampler(data), 2, seed=3)[0]
    stage.loss(stage.module, batch, 0.0)["total"].backward()
    return {
        part: sum(
            float(p.grad.abs().sum())
            for p in stage.module.get_submodule(part).parameters()
            if p.grad is not None
        )
        for part in ("sr", "detector")
    }


def test_each_weight_scales_its_own_gradient(data: Path, runs: Path) -> None:
    image_only = gradients(data, runs, alpha=1.0, beta=0.0)
    assert image_only["sr"] > 0
    assert image_only["detector"] == 0
    assert gradients(data, runs, alpha=3.0, beta=0.0)["sr"] == pytest.approx(
        3 * image_only["sr"], rel=1e-4
    )
    task_only = gradients(data, runs, alpha=0.0, beta=1.0)
    assert task_only["sr"] > 0
    assert task_only["detector"] > 0
    assert gradients(data, runs, alpha=0.0, beta=2.0)["sr"] == pytest.approx(
        2 * task_only["sr"], rel=1e-3
    )


def test_refusals(data: Path, runs: Path) -> None:
    with pytest.raises(CheckpointError, match="detector_checkpoint"):
        TaskDriven(TaskDrivenConfig(sr_checkpoint=str(runs / "sr")), data)
    with pytest.raises(CheckpointError, match="scale factor 2, got 4"):
        TaskDriven(
            TaskDrivenConfig(
                sr_checkpoint=str(runs / "sr"),
                detector_checkpoint=str(runs / "detector"),
                scale_factor=2,
            ),
            data,
        )
