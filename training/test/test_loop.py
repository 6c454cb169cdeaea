from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from tasksr_training import whole_files
from tasksr_training.checkpoints import LAST, load_checkpoint, load_network
from tasksr_training.datasets import Batch, PatchConfig, PatchSampler, SourceConfig, read_sources
from tasksr_training.errors import CheckpointError, TrainingError
from tasksr_training.loop import (
    LoopConfig,
    _lines_up_to,
    _parameter_groups,
    check_loop,
    learning_rate_factor,
    train,
)
from tasksr_training.stages.detector import DetectorConfig, DetectorStage, ValidationConfig
from tasksr_training.stages.super_resolution import SuperResolution, SuperResolutionConfig

LOOP = LoopConfig(
    max_steps=6, batch_size=2, warmup_steps=2, accelerator="cpu", threads=1, log_every=1
)


def sampler(data: Path) -> PatchSampler:
    sources = [SourceConfig("train.json")]
    patches = PatchConfig(size=64, min_height=20, max_height=50)
    return PatchSampler(read_sources(data, sources), sources, patches)


def stage(data: Path, width: float = 0.25) -> DetectorStage:
    torch.manual_seed(1)
    validation = ValidationConfig(("val.json",), every=1)
    return DetectorStage(DetectorConfig(width=width, validation=validation), data)


def test_learning_rate_by_hand() -> None:
    config = LoopConfig(warmup_steps=10, final_fraction=0.1)
    assert learning_rate_factor(0, 0.0, config) == pytest.approx(0.1)
    assert learning_rate_factor(9, 0.0, config) == pytest.approx(1.0)
    assert learning_rate_factor(99, 0.5, config) == pytest.approx(0.55)
    assert learning_rate_factor(99, 1.0, config) == pytest.approx(0.1)
    assert learning_rate_factor(99, 1.5, config) == pytest.approx(0.1)


class StoppedError(Exception):
    pass


class StoppedAfter:
    """A sampler that fails after some patches, as a run that is killed."""

    def __init__(self, inner: PatchSampler, patches: int) -> None:
        self.inner, self.left = inner, patches

    def draw(self, rng: object) -> object:
        self.left -= 1
        if self.left < 0:
            raise StoppedError
        return self.inner.draw(rng)  # type: ignore[arg-type]

    def collate(self, samples: Any, rng: Any) -> Batch:
        return self.inner.collate(samples, rng)


def log_of(out: Path) -> list[dict[str, float]]:
    """Lines of a run's log without its times."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(data: Path, tmp_path: Path) -> None:
    train(stage(data), sampler(data), LOOP, tmp_path / "whole")
    often = dataclasses.replace(LOOP, checkpoint_minutes=0.0)
    with pytest.raises(StoppedError):
        stops = StoppedAfter(sampler(data), 2 * 3)
        train(stage(data), stops, often, tmp_path / "parts")  # type: ignore[arg-type]
    assert load_checkpoint(tmp_path / "parts")["step"] == 3
    train(stage(data), sampler(data), LOOP, tmp_path / "parts")
    whole, parts = (load_checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert parts["step"] == whole["step"] == 6
    for key in ("model", "ema"):
        assert whole[key].keys() == parts[key].keys()
        assert all(torch.equal(whole[key][k], parts[key][k]) for k in whole[key])
    moments = [c["optimizer"]["state"][0]["exp_avg"] for c in (whole, parts)]
    assert torch.equal(*moments)
    assert log_of(tmp_path / "parts") == log_of(tmp_path / "whole")


def test_workers_resume_and_draw_as_the_training_process_does(
    data: Path, tmp_path: Path, stopped_at: Callable[[int], AbstractContextManager[None]]
) -> None:
    """The second half in a process of its own: workers are forked from it."""
    train(stage(data), sampler(data), LOOP, tmp_path / "alone")
    with stopped_at(3):
        kept = dataclasses.replace(LOOP, checkpoint_minutes=0.0)
        train(stage(data), sampler(data), kept, tmp_path / "ahead")
    assert load_checkpoint(tmp_path / "ahead")["step"] == 3
    config = tmp_path / "detector.yaml"
    options = {
        "sources": [{"path": "train.json"}],
        "patches": {"size": 64, "min_height": 20, "max_height": 50},
        "stage": {"width": 0.25, "validation": {"sets": ["val.json"], "every": 1}},
        "loop": {**dataclasses.asdict(LOOP), "workers": 2},
    }
    config.write_text(json.dumps(options))  # which is YAML, too
    command = [sys.executable, "-m", "tasksr_training.cli", "detector", f"--config={config}"]
    folders = [f"--data={data}", f"--out={tmp_path / 'ahead'}"]
    subprocess.run([*command, *folders], check=True, timeout=300)
    alone, ahead = (load_checkpoint(tmp_path / name) for name in ("alone", "ahead"))
    assert ahead["step"] == alone["step"] == 6
    for key in ("model", "ema"):
        assert all(torch.equal(alone[key][k], ahead[key][k]) for k in alone[key])
    assert log_of(tmp_path / "ahead") == log_of(tmp_path / "alone")


def test_a_log_has_each_step_once_though_the_run_died_between_checkpoints(
    data: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoppedError):
        stops = StoppedAfter(sampler(data), 2 * 4)
        train(stage(data), stops, LOOP, tmp_path)  # type: ignore[arg-type]
    log = tmp_path / "log.jsonl"
    first, *others = log.read_bytes().splitlines(keepends=True)
    spoilt = b"\0" * 100 + b"\n"  # of a file system, after the power was cut
    log.write_bytes(first + spoilt + b"".join(others) + b'{"step": 5, "sec')  # while it was written
    train(stage(data), sampler(data), LOOP, tmp_path)
    assert [line["step"] for line in log_of(tmp_path)] == [1, 2, 3, 4, 5, 6, 6]


def test_a_kill_on_resuming_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise StoppedError

    path = tmp_path / "log.jsonl"
    content = '{"step": 1, "seconds": 0.5}\n{"step": 2, "seconds": 0.9}\n'
    path.write_text(content)
    with monkeypatch.context() as patch:
        patch.setattr(whole_files.os, "replace", killed)
        with pytest.raises(StoppedError):
            _lines_up_to(path, 1)
    assert path.read_text() == content
    _lines_up_to(path, 1).close()
    assert path.read_text() == content.splitlines(keepends=True)[0]


def test_log_and_averaged_weights(data: Path, tmp_path: Path) -> None:
    train(stage(data), sampler(data), LOOP, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6, 6]
    assert all(line["total"] > 0 for line in lines[:-1])
    assert "val/ap50/val.json" in lines[-1]
    assert list((tmp_path / "tensorboard").iterdir())
    content = load_checkpoint(tmp_path)
    name = "detector.stem.0.weight"
    assert not torch.equal(content["model"][name], content["ema"][name])
    detector, description = load_network(tmp_path, "detector")
    assert description == {"width": 0.25}
    assert torch.equal(detector.state_dict()["stem.0.weight"], content["ema"][name])


def test_a_run_by_minutes_ends_by_itself(data: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(LOOP, max_steps=0, max_minutes=1 / 60)
    train(stage(data), sampler(data), short, tmp_path)
    content = load_checkpoint(tmp_path)
    assert content["step"] >= 1
    assert 1 <= content["seconds"] < 10


TWO_CLOCKS = """
import os, sys, time
from tasksr_training import cli, loop

rate = 1 + 3 * int(os.environ["RANK"])  # the clock of rank 1 runs four times as fast

class Clock:
    monotonic = staticmethod(lambda: rate * time.monotonic())

loop.time = Clock
sys.exit(cli.main(sys.argv[1:]))
"""


def test_two_processes_with_different_clocks_end_together(
    data: Path, tmp_path: Path, two_processes: Callable[..., int]
) -> None:
    one_step = dataclasses.replace(LOOP, max_steps=1)
    train(stage(data), sampler(data), one_step, tmp_path / "detector")
    sr = SuperResolutionConfig(validation=("images",), validation_side=32)
    train(SuperResolution(sr, data), sampler(data), one_step, tmp_path / "sr")
    config = {
        "patches": {"size": 32, "min_height": 12, "max_height": 30},
        "sources": [{"path": "train.json"}],
        "stage": {
            "sr_checkpoint": str(tmp_path / "sr"),
            "detector_checkpoint": str(tmp_path / "detector"),
            "frozen_fraction": 0.5,  # first without gradients for sr, then with them
            "validation": {"sets": ["val.json"], "every": 2},
        },
        "loop": {
            "max_minutes": 1 / 60,
            "checkpoint_minutes": 0.1 / 60,
            "batch_size": 2,
            "accelerator": "cpu",
            "devices": 2,
            "threads": 1,
        },
    }
    (tmp_path / "two.py").write_text(TWO_CLOCKS)
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    options = ["task-driven", f"--config={tmp_path / 'c.yaml'}", f"--data={data}"]
    script = str(tmp_path / "two.py")
    assert two_processes(script, *options, f"--out={tmp_path / 'run'}", limit=180) == 0
    content = load_checkpoint(tmp_path / "run")
    assert content["step"] >= 2
    assert 1 <= content["seconds"] < 10
    assert content["ran_on"]["devices"] == 2


def test_what_a_run_ran_on_is_kept_while_it_stays_the_same(data: Path, tmp_path: Path) -> None:
    def ran_on(steps: int, precision: str) -> object:
        config = dataclasses.replace(LOOP, max_steps=steps, precision=precision)  # type: ignore[arg-type]
        train(stage(data), sampler(data), config, tmp_path)
        return load_checkpoint(tmp_path)["ran_on"]

    here = {"device": "cpu", "devices": 1, "threads": 1, "precision": "32-true"}
    assert ran_on(1, "32-true") == here
    assert ran_on(2, "32-true") == here
    assert ran_on(3, "bf16-mixed") is None
    assert ran_on(4, "bf16-mixed") is None


def test_a_loss_that_is_not_finite_stops_the_run(data: Path, tmp_path: Path) -> None:
    class Diverging(DetectorStage):
        def loss(
            self, module: torch.nn.Module, batch: Batch, progress: float
        ) -> dict[str, torch.Tensor]:
            losses = super().loss(module, batch, progress)
            return {"total": losses["total"] * float("nan")}

    validation = ValidationConfig(("val.json",), every=2)
    diverging = Diverging(DetectorConfig(width=0.25, validation=validation), data)
    with pytest.raises(TrainingError, match="step 1: expected a finite loss, got nan"):
        train(diverging, sampler(data), LOOP, tmp_path)


def test_weights_that_are_not_finite_do_not_replace_a_checkpoint(
    data: Path, tmp_path: Path
) -> None:
    class Lost(DetectorStage):
        def loss(
            self, module: torch.nn.Module, batch: Batch, progress: float
        ) -> dict[str, torch.Tensor]:
            losses = super().loss(module, batch, progress)
            return {"total": losses["total"] * (float("nan") if progress > 0.5 else 1.0)}

    validation = ValidationConfig(("val.json",), every=2)
    seldom = dataclasses.replace(LOOP, log_every=100)
    train(stage(data), sampler(data), dataclasses.replace(seldom, max_steps=3), tmp_path)
    before = load_checkpoint(tmp_path)
    lost = Lost(DetectorConfig(width=0.25, validation=validation), data)
    with pytest.raises(TrainingError, match="step 6: expected finite weights"):
        train(lost, sampler(data), seldom, tmp_path)
    after = load_checkpoint(tmp_path)
    assert after["step"] == before["step"] == 3
    assert all(torch.equal(v, after["ema"][k]) for k, v in before["ema"].items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 0}, "expected a budget"),
        ({"max_steps": -1}, "loop.max_steps: expected at least 0, got -1"),
        ({"max_minutes": float("nan")}, "loop.max_minutes: expected at least 0, got nan"),
        ({"batch_size": 0}, "loop.batch_size: expected at least 1, got 0"),
        ({"log_every": 0}, "loop.log_every: expected at least 1, got 0"),
        ({"workers": -1}, "loop.workers: expected at least 0, got -1"),
        ({"seed": -1}, "loop.seed: expected at least 0, got -1"),
        ({"devices": -1}, "loop.devices: expected at least 1, got -1"),
        ({"precision": "16-mixed"}, "expected one of 32-true, bf16-mixed, got 16-mixed"),
    ],
)
def test_options_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    check_loop(LOOP)
    with pytest.raises(TrainingError, match=message):
        check_loop(dataclasses.replace(LOOP, **changes))


def test_processes_that_would_train_alone_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    for devices, num_nodes in ((4, 1), (2, 2)):
        check_loop(dataclasses.replace(LOOP, devices=devices, num_nodes=num_nodes))
    two = dataclasses.replace(LOOP, devices=2)
    for config, of in ((LOOP, "1 x 1"), (two, "2 x 1")):
        with pytest.raises(TrainingError, match=f"loop.num_nodes, {of}, got 4 from torchrun"):
            train(stage(data), sampler(data), config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_refusals(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="budget"):
        train(stage(data), sampler(data), dataclasses.replace(LOOP, max_steps=0), tmp_path)
    with pytest.raises(CheckpointError, match="there is none"):
        load_checkpoint(tmp_path / "absent")
    one_step = dataclasses.replace(LOOP, max_steps=1)
    train(stage(data), sampler(data), one_step, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"expected networks .*0\.5"):
        train(stage(data, width=0.5), sampler(data), one_step, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"'sr', got \['detector'\]"):
        load_network(tmp_path / "run", "sr")
    (tmp_path / LAST).write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="expected a checkpoint"):
        load_checkpoint(tmp_path)


def test_each_part_learns_at_the_rate_of_the_longest_name_that_fits() -> None:
    module = torch.nn.ModuleDict(
        {
            "detector": torch.nn.ModuleDict(
                {"back": torch.nn.Linear(2, 3), "backbone": torch.nn.Linear(2, 5)}
            ),
            "sr": torch.nn.Linear(2, 7),
        }
    )
    groups = _parameter_groups(module, 0.1, {"detector": 0.5, "detector.backbone": 0.2})
    found = {tuple(p.shape): (g["factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert found == {
        (3, 2): (0.5, 0.1),
        (3,): (0.5, 0.0),
        (5, 2): (0.2, 0.1),
        (5,): (0.2, 0.0),
        (7, 2): (1.0, 0.1),
        (7,): (1.0, 0.0),
    }
