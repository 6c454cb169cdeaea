"""Options that cannot be are refused in one line, before anything is read or written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lightning_fabric.utilities.rank_zero import rank_zero_only
from tasksr_training import cli, whole_files
from tasksr_training.cli import main
from tasksr_training.datasets import PatchConfig
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig
from tasksr_training.stage_commands import StageConfig, check_options
from tasksr_training.stages.detector import DetectorConfig
from tasksr_training.stages.native_detector import NativeDetectorConfig
from tasksr_training.stages.super_resolution import SuperResolutionConfig
from tasksr_training.stages.task_driven import TaskDrivenConfig

SR, DETECTOR, NATIVE, TASK = "super-resolution", "detector", "native-detector", "task-driven"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            f"{SR} --patches.size 100 --stage.scale_factor 8",
            "patches.size: expected a multiple of 8 px for super-resolution by 8, got 100",
        ),
        (
            f"{SR} --patches.size 30",
            "patches.size: expected a multiple of 4 px for super-resolution by 4, got 30",
        ),
        (
            f"{SR} --patches.size 30 --stage.network rbpn-small",
            "patches.size: expected a multiple of 4 px for super-resolution by 4, got 30",
        ),
        (f"{SR} --stage.scale_factor 3", "stage: scale_factor must be one of 2, 4, 8, got 3"),
        (
            f"{SR} --stage.network kbpn-small",
            "expected stage.blur for the blind network kbpn-small",
        ),
        (
            f"{DETECTOR} --patches.size 100",
            "patches.size: expected a multiple of 32 px for a detector on HR images, got 100",
        ),
        (
            f"{DETECTOR} --patches.size 0",
            "patches.size: expected a multiple of 32 px for a detector on HR images, got 0",
        ),
        (f"{DETECTOR} --stage.width 0", "stage.width: expected above 0, got 0.0"),
        (
            f"{DETECTOR} --stage.validation.every 0",
            "stage.validation.every: expected at least 1, got 0",
        ),
        (
            f"{NATIVE} --stage.start a.onnx --patches.size 100",
            "patches.size: expected a multiple of 32 px for a detector on native images, got 100",
        ),
        (
            NATIVE,
            "stage.distillation_weight: expected 0 without stage.start, whose weights teach, "
            "got 1.0",
        ),
        (
            f"{TASK} --patches.size 200 --stage.detector_checkpoint d --stage.sr_checkpoint s",
            "patches.size: expected a multiple of 32 px for a detector on upscaled images, got 200",
        ),
        (
            f"{TASK} --stage.detector_width -1",
            "stage.detector_width: expected 0 or more, got -1.0",
        ),
        (TASK, "expected stage.detector_checkpoint, the run to start from"),
        (
            f"{TASK} --stage.detector_checkpoint d",
            "expected stage.sr_checkpoint, the run to start from",
        ),
        (f"{TASK} --stage.hr_fraction -0.5", "stage.hr_fraction: expected 0 to 1, got -0.5"),
        (f"{TASK} --stage.mixed_fraction 2", "stage.mixed_fraction: expected 0 to 1, got 2.0"),
        *(
            (f"{command} --loop.{name} 0", f"loop.{name}: expected at least 1, got 0")
            for command in (SR, DETECTOR, TASK)
            for name in ("batch_size", "log_every")
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    config = tmp_path / "c.yaml"
    empty = {"sources": [{"path": "gone.json"}], "patches": {}, "stage": {}}
    config.write_text(yaml.safe_dump({**empty, "loop": {"max_steps": 1, "accelerator": "cpu"}}))
    command, *rest = options.split()
    folders = [f"--config={config}", f"--data={tmp_path}", f"--out={tmp_path / 'run'}"]
    assert main([command, *folders, *rest]) == 1
    assert capsys.readouterr().err == f"tasksr-train: {message}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "stage",
    [
        SuperResolutionConfig(),
        DetectorConfig(),
        NativeDetectorConfig(start="any.onnx"),
        TaskDrivenConfig("sr", "detector"),
    ],
    ids=[SR, DETECTOR, NATIVE, TASK],
)
def test_the_check_of_all_options_knows_every_stage(stage: StageConfig) -> None:
    check_options(stage, PatchConfig(), LoopConfig(max_steps=1))
    with pytest.raises(TrainingError, match=r"patches\.size.* got 97"):
        check_options(stage, PatchConfig(size=97), LoopConfig(max_steps=1))
    with pytest.raises(TrainingError, match="budget"):
        check_options(stage, PatchConfig(), LoopConfig())


def test_the_options_of_a_run_survive_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    cli._keep("detector: {width: 1}\n", tmp_path)
    monkeypatch.setattr(whole_files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        cli._keep("detector: {width: 2}\n", tmp_path)
    assert (tmp_path / cli.OPTIONS).read_text() == "detector: {width: 1}\n"


def test_the_first_process_alone_keeps_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(rank_zero_only, "rank", 1)
        cli._keep("detector: {}\n", tmp_path)
    assert not (tmp_path / cli.OPTIONS).exists()
    cli._keep("detector: {}\n", tmp_path)
    assert (tmp_path / cli.OPTIONS).exists()
