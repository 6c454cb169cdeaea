from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from tasksr_training.checkpoints import load_checkpoint, load_network
from tasksr_training.datasets import NO_BOX, PEDESTRIAN, PatchConfig
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig, train
from tasksr_training.native_crops import HeldOut, NativeSampler, NativeSourceConfig, read_native
from tasksr_training.stages import native_detector as module
from tasksr_training.stages.native_detector import (
    NativeDetectorConfig,
    NativeDetectorStage,
    check_options,
    distillation_loss,
)
from torch import nn

from tasksr_ros.networks.detectors.levels import LevelOutput
from tasksr_ros.networks.detectors.picodet import PicoDet

SOURCES = [NativeSourceConfig("train.json", crops=2, held_out=HeldOut(every=4))]
PATCHES = PatchConfig(size=64, min_height=8, max_height=60, night_fraction=0.5)
LOOP = LoopConfig(
    max_steps=3, batch_size=1, accelerator="cpu", threads=1, log_every=1, checkpoint_minutes=0.0
)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in place of the published file's."""
    torch.manual_seed(5)
    weights = PicoDet(1).state_dict()
    monkeypatch.setattr(
        module, "load_onnx_weights", lambda model, path: model.load_state_dict(weights)
    )


def run(data: Path, out: Path) -> nn.Module:
    torch.manual_seed(1)
    stage = NativeDetectorStage(NativeDetectorConfig(start="any.onnx"), data, SOURCES)
    sampler = NativeSampler(read_native(data, out, SOURCES), SOURCES, PATCHES)
    train(stage, sampler, LOOP, out)
    return load_network(out, "detector")[0]


def test_it_trains_resumes_bit_for_bit_and_keeps_no_teacher(
    data: Path,
    tmp_path: Path,
    published: None,
    stopped_at: Callable[[int], AbstractContextManager[None]],
) -> None:
    whole = run(data, tmp_path / "whole")
    with stopped_at(2):
        run(data, tmp_path / "stopped")
    resumed = run(data, tmp_path / "stopped")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    content = load_checkpoint(tmp_path / "whole")
    assert content["networks"] == {"detector": {"name": "picodet-s", "num_classes": 1}}
    assert {key.split(".")[0] for key in content["model"]} == {"detector"}
    groups = content["optimizer"]["param_groups"]
    rates = sorted({round(group["lr"] / groups[-1]["lr"], 6) for group in groups})
    assert rates == [0.3, 1.0]
    log = (tmp_path / "whole/log.jsonl").read_text()
    for name in ("score", "box", "distribution", "distillation", "val/ap50 12-60/train.json"):
        assert f'"{name}"' in log


def test_it_begins_with_an_earlier_run_and_another_teaches(
    data: Path, tmp_path: Path, published: None
) -> None:
    earlier = run(data, tmp_path / "earlier")
    config = NativeDetectorConfig(start=str(tmp_path / "earlier"), teacher="any.onnx")
    stage = NativeDetectorStage(config, data, SOURCES)
    begun = stage.module.get_submodule("detector")
    for one, other in zip(begun.parameters(), earlier.parameters(), strict=True):
        assert torch.equal(one, other)
    taught = stage._teacher
    assert taught is not None
    pairs = zip(begun.parameters(), taught.parameters(), strict=True)
    assert not all(torch.equal(one, other) for one, other in pairs)


def test_distillation_is_nothing_at_the_teachers_scores() -> None:
    logits = torch.tensor([[[[0.0, 2.0], [-3.0, 1.0]]]], requires_grad=True)
    level = LevelOutput(8, logits, torch.ones(1, 4, 2, 2))
    nobody = torch.zeros(1, 1, 4), torch.full((1, 1), NO_BOX)
    loss = distillation_loss([level], [level], *nobody)
    assert loss.item() == 0
    loss.backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) < 1e-6


def test_distillation_by_hand_outside_labelled_people() -> None:
    """Teacher 1/2 in two cells; ours 1/2 and a logit of ln 3, 3/4: (1/4)² · ln(4 / √3) over 1."""
    teacher = LevelOutput(8, torch.zeros(1, 1, 1, 2), torch.ones(1, 4, 1, 2))
    logits = torch.tensor([[[[0.0, 1.0986123]]]])
    level = LevelOutput(8, logits, torch.ones(1, 4, 1, 2))
    nobody = torch.zeros(1, 1, 4), torch.full((1, 1), NO_BOX)
    loss = distillation_loss([level], [teacher], *nobody)
    assert float(loss) == pytest.approx(0.0625 * 0.8369882, rel=1e-5)
    somebody = torch.tensor([[[8.0, 0, 16, 8]]]), torch.full((1, 1), PEDESTRIAN)
    assert float(distillation_loss([level], [teacher], *somebody)) == 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (NativeDetectorConfig(), "stage.distillation_weight: expected 0 without stage.start"),
        (
            NativeDetectorConfig(distillation_weight=0, loss=module.DetectionLossConfig()),
            "stage.loss.assignment: expected task-aligned, got gaussian",
        ),
        (
            NativeDetectorConfig(start="a.onnx", teacher="run"),
            "stage.teacher: expected an ONNX file, got run",
        ),
        (
            NativeDetectorConfig(distillation_weight=0, backbone_rate=-1),
            "stage.backbone_rate: expected at least 0, got -1",
        ),
    ],
)
def test_options_that_cannot_be(config: NativeDetectorConfig, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check_options(config)
