from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tasksr_training import native_choice
from tasksr_training.calibration import Calibration
from tasksr_training.checkpoints import load_network
from tasksr_training.datasets import PatchConfig
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig
from tasksr_training.losses import DetectionLossConfig
from tasksr_training.native_choice import ChoiceConfig, choose_native
from tasksr_training.native_crops import HeldOut, NativeSourceConfig
from tasksr_training.native_export import export_native
from tasksr_training.stage_commands import native_task_driven
from tasksr_training.stages.detector import ValidationConfig
from tasksr_training.stages.task_driven import TaskDriven, TaskDrivenConfig
from torch import nn

from tasksr_ros.bundle import load_bundle

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


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of two steps, with its options as the command writes them."""
    out = tmp_path_factory.mktemp("run")
    native_task_driven(out, data, SOURCES, PATCHES, STAGE, LOOP)
    options = {"stage": {"detector_checkpoint": str(DETECTOR)}, "loop": {"seed": 4}}
    (out / "config.yaml").write_text(yaml.safe_dump({"native-task-driven": options}))
    return out


def moved(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    other_state = other.state_dict()
    return any(not torch.equal(v, other_state[k]) for k, v in one.state_dict().items())


def test_both_networks_learn_on_crops_of_native_images(data: Path, run: Path) -> None:
    for part, start in (("sr", SR), ("detector", DETECTOR)):
        assert moved(load_network(run, part)[0], load_network(start, part)[0]), part
    assert load_network(run, "detector")[1]["name"] == "picodet-s"
    log = (run / "log.jsonl").read_text()
    for name in ("l1", "distribution", "distill"):
        assert f'"{name}"' in log


def test_it_is_measured_beside_bicubic_and_exported(
    data: Path, tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = iter([{"mean": 0.1}, {"mean": 0.2}])  # after two steps either may be
    measure, enlarged_by = native_choice.measure, []

    def measured(*given: Any) -> dict[str, Any]:
        enlarged_by.append(given[3])
        return {**measure(*given), **next(better)}

    monkeypatch.setattr(native_choice, "measure", measured)
    chosen = tmp_path / "chosen.safetensors"
    sources = [NativeSourceConfig("val.json", held_out=HeldOut(every=1))]
    choose_native(run, data, sources, chosen, choice=ChoiceConfig(least_people=1))
    summary = json.loads(chosen.with_suffix(".json").read_text())
    assert (summary["share"], summary["seed"], summary["start"]) == (1.0, 4, "picodet-s-x2")
    assert enlarged_by[0] is None and isinstance(enlarged_by[1], nn.Module)
    export_native(chosen, tmp_path / "td-x2", 2)
    bundle = load_bundle(tmp_path / "td-x2")
    assert bundle.sr is not None and bundle.sr.network == "dbpn-ss"
    assert not moved(load_network(tmp_path / "td-x2", "sr")[0], load_network(run, "sr")[0])
    trained, _ = load_network(run, "detector")
    calibration = Calibration(**summary["calibration"]["map"])
    trained.load_state_dict(calibration.into_weights(trained.state_dict()))
    assert not moved(load_network(tmp_path / "td-x2", "detector")[0], trained)
    assert "super-resolved twice by `dbpn-ss`" in (tmp_path / "td-x2/README.md").read_text()


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
