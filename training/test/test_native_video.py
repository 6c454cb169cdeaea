"""A video network trained for the detector behind it, on clips of native images."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import run_of
from tasksr_training import stage_commands
from tasksr_training.checkpoints import load_network
from tasksr_training.clips import ClipBatch, ClipConfig
from tasksr_training.datasets import Batches, PatchConfig, SourceConfig
from tasksr_training.degradations import CorruptionConfig
from tasksr_training.errors import CheckpointError, TrainingError
from tasksr_training.joined_export import export_joined
from tasksr_training.loop import LoopConfig
from tasksr_training.losses import DetectionLossConfig
from tasksr_training.native_crops import NativeSourceConfig
from tasksr_training.stage_commands import native_task_driven, task_driven
from tasksr_training.stages.detector import ValidationConfig
from tasksr_training.stages.task_driven import TaskDriven, TaskDrivenConfig

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import EngineConfig, NearConfig
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import load_model

MODELS = Path(__file__).resolve().parents[2] / "models"
SR = {
    **{"name": "rbpn-small-4", "scale_factor": 2, "past_only": 1},
    **{"base_filter": 4, "feat": 4},
}
SOURCES = [NativeSourceConfig("video.json", crops=2, max_scale=2.0)]
PATCHES = PatchConfig(size=64, min_height=20, max_height=60)
CLIPS = ClipConfig(margin=4)
LOOP = LoopConfig(max_steps=2, batch_size=1, accelerator="cpu", threads=1, checkpoint_minutes=0)


def stage_of(sr: Path | None, **changes: Any) -> TaskDrivenConfig:
    config = TaskDrivenConfig(
        sr_checkpoint=str(sr or ""),
        detector_checkpoint=str(MODELS / "picodet-s-x2"),
        upscaling="sr" if sr else "bicubic",
        scale_factor=2,
        frozen_fraction=0.0,
        loss=DetectionLossConfig(assignment="task-aligned"),
        validation=ValidationConfig(sets=()),
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def video(data: Path) -> Path:
    """The data folder; ``video.json`` says that its images follow each other."""
    content = json.loads((data / "train.json").read_text())
    for number, image in enumerate(content["images"]):
        image.update(sequence="drive", frame=number)
    (data / "video.json").write_text(json.dumps(content))
    return data


@pytest.fixture(scope="module")
def sr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    return run_of(tmp_path_factory.mktemp("sr") / "rbpn", sr=SR)


def trained(video: Path, out: Path, stage: TaskDrivenConfig) -> dict[str, torch.Tensor]:
    native_task_driven(out, video, SOURCES, PATCHES, stage, LOOP, clips=CLIPS)
    return {
        f"{part}.{key}": value
        for part in ("sr", "detector")
        for key, value in load_network(out, part)[0].state_dict().items()
    }


@pytest.fixture
def drawn_by(monkeypatch: pytest.MonkeyPatch, video: Path) -> Callable[..., Any]:
    """The first batch, and the stage, that the command trains with."""

    def of(stage: TaskDrivenConfig, clips: ClipConfig | None = CLIPS) -> Any:
        found = []
        monkeypatch.setattr(
            stage_commands, "train", lambda stage, sampler, *_: found.append((stage, sampler))
        )
        native_task_driven(video, video, SOURCES, PATCHES, stage, LOOP, clips=clips)
        return found[0][0], Batches(found[0][1], 1, seed=1)[0]

    return of


def test_the_detector_teaches_the_video_network(drawn_by: Callable[..., Any], sr: Path) -> None:
    """Alone: without a distance to HR. Neighbours and flows count, and learn to."""
    still = CorruptionConfig(probability=0.0)
    stage, batch = drawn_by(stage_of(sr, alpha=0.0, corruption=still))
    loss = stage.loss(stage.module, batch, 0.0)
    loss["total"].backward()
    for name, parameter in stage.module.get_submodule("sr").named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    for changed in (
        replace(batch, neighbours=batch.neighbours.roll(4, -1)),
        replace(batch, flows=batch.flows + 1),
    ):
        other = stage.loss(stage.module, changed, 0.0)
        assert other["detection"].item() != loss["detection"].item()
        assert other["l1"].item() != loss["l1"].item()


def test_baselines_see_the_same_target_frames(drawn_by: Callable[..., Any], sr: Path) -> None:
    _, batch = drawn_by(stage_of(sr))
    still, beside = drawn_by(stage_of(MODELS / "dbpn-ss-x2"))
    bicubic, under = drawn_by(stage_of(None))
    for other in (beside, under):
        assert isinstance(other, ClipBatch)
        for name, value in vars(batch).items():
            assert torch.equal(torch.as_tensor(getattr(other, name)), torch.as_tensor(value)), name
    for stage in (still, bicubic):
        total = stage.loss(stage.module, beside, 0.0)["total"].item()
        moved = replace(beside, neighbours=beside.neighbours * 0, flows=beside.flows + 1)
        assert stage.loss(stage.module, moved, 0.0)["total"].item() == total


def test_without_clips_a_still_network_sees_none(drawn_by: Callable[..., Any], sr: Path) -> None:
    assert not isinstance(drawn_by(stage_of(None), clips=None)[1], ClipBatch)
    assert drawn_by(stage_of(sr), clips=None)[1].flows.shape == (2, 3, 2, 32, 32)


def test_it_resumes_bit_for_bit_and_is_exported(
    video: Path,
    tmp_path: Path,
    sr: Path,
    stopped_at: Callable[[int], AbstractContextManager[None]],
) -> None:
    whole = trained(video, tmp_path / "whole", stage_of(sr))
    with stopped_at(1):
        trained(video, tmp_path / "stopped", stage_of(sr))
    resumed = trained(video, tmp_path / "stopped", stage_of(sr))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    began = load_network(sr, "sr")[0].state_dict()
    assert all(not torch.equal(value, whole[f"sr.{key}"]) for key, value in began.items())
    export_joined(tmp_path / "whole", tmp_path / "mine", None, (96, 64), score_threshold=0.3)
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.neighbours == (-1, -2, -3)
    kept = bundle.load().state_dict()
    assert all(torch.equal(value, kept[key]) for key, value in whole.items())
    model = load_model(tmp_path / "mine", EngineConfig(name="openvino"), NearConfig(width=0))
    pipeline = model.pipeline()
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    results = [pipeline.run(Frame(image, stamp_ns=(k + 10) * 10**8)) for k in range(2)]
    assert results[1].latency_ms["flow"] > 0


def test_what_does_not_fit_is_refused(video: Path, tmp_path: Path, sr: Path) -> None:
    patches, sources = PATCHES, [SourceConfig("video.json")]
    with pytest.raises(TrainingError, match="of still images, got rbpn-small-4; native-task-dri"):
        task_driven(tmp_path / "out", video, sources, patches, stage_of(sr), LOOP)
    sets = ValidationConfig(sets=("val.json",))
    with pytest.raises(TrainingError, match=r"sets: expected none for rbpn-small-4, .*val.json"):
        TaskDriven(stage_of(sr, validation=sets), video)
    small = {"kout": 7, "ks": 3, "md_ch": 4, "reduction_ch": 4}
    blind = run_of(tmp_path / "k", sr={"name": "kbpn-small", "scale_factor": 2, **small})
    with pytest.raises(CheckpointError, match=r"of still images or video, one of .* kbpn-small"):
        TaskDriven(stage_of(blind), video)
