"""A whole study on generated data, killed on its way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tasksr_training.checkpoints import LAST, load_checkpoint
from tasksr_training.cli import main

STEPS, TDSR_STEPS = 40, 20
"""Of the detector and of TDSR: enough to be killed in the midst of them."""

LIMIT_S = 300.0


@pytest.fixture
def data(data: Path, tmp_path: Path) -> Path:
    """With a third set, ``further.json``, that nothing is trained on."""
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    shutil.copy(folder / "val.json", folder / "further.json")
    return folder


def write_study(folder: Path) -> Path:
    """A study of four runs; every step of the detector is a checkpoint."""
    small: dict[str, Any] = {
        "sources": [{"path": "train.json"}],
        "patches": {"size": 32, "min_height": 12, "max_height": 30},
        "loop": {"max_steps": 2, "batch_size": 2, "accelerator": "cpu", "threads": 1},
    }
    validation = {"sets": ["val.json"], "every": 2}
    stages = {
        "sr": {"validation": ["images"], "validation_side": 32},
        "detector": {"width": 0.25, "validation": validation},
        "task": {"frozen_fraction": 0, "validation": validation},
    }
    for name, stage in stages.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**small, "stage": stage}))
    detector = {"detector_checkpoint": {"run": "detector"}}
    study = {
        "judge": "detector",
        "samples": 20,
        "threads": 1,
        "parallel": 2,
        "sets": [{"path": "val.json"}, {"path": "further.json", "every": 2}],
        "overrides": {"loop": {"log_every": 1, "checkpoint_minutes": 0.0}},
        "runs": [
            {
                "name": "detector",
                "command": "detector",
                "config": "detector.yaml",
                "overrides": {"loop": {"max_steps": STEPS}},
            },
            {"name": "sr", "command": "super-resolution", "config": "sr.yaml"},
            {
                "name": "bicubic",
                "command": "task-driven",
                "config": "task.yaml",
                "overrides": {"stage": {"upscaling": "bicubic", **detector}},
            },
            {
                "name": "tdsr",
                "command": "task-driven",
                "config": "task.yaml",
                "overrides": {
                    "stage": {"sr_checkpoint": {"run": "sr"}, **detector},
                    "loop": {"max_steps": TDSR_STEPS},
                },
            },
        ],
        "tables": [
            {
                "title": "Tiny",
                "baseline": "bicubic",
                "bound": "HR",
                "rows": [
                    {"name": "bicubic", "upscaling": "bicubic", "detector": "bicubic"},
                    {"name": "TDSR", "sr": "tdsr", "detector": "tdsr"},
                    {"name": "HR", "upscaling": "hr", "detector": "detector"},
                ],
            }
        ],
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def start(options: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tasksr_training.cli", "study", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def step_of(run: Path) -> int:
    return int(load_checkpoint(run)["step"]) if (run / LAST).is_file() else 0


def saved(run: Path) -> int:
    """When its checkpoint was written; to read that 20 times a second takes half a core."""
    return (run / LAST).stat().st_mtime_ns if (run / LAST).is_file() else 0


def wait_for_a_save(run: Path, study: subprocess.Popen[str] | Future[int]) -> None:
    """The run's next, while the study goes on."""
    until, before = time.monotonic() + LIMIT_S, saved(run)
    while saved(run) == before:
        if isinstance(study, Future):
            assert not study.done()
        else:
            assert study.poll() is None, study.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)


def trainers(run: Path) -> list[int]:
    """Processes that train the run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"tasksr_training.studies.child" in words and str(run).encode() in words:
                found.append(int(entry.name))
    return found


def wait_for_end(run: Path) -> None:
    until = time.monotonic() + LIMIT_S
    while trainers(run):
        assert time.monotonic() < until
        time.sleep(0.05)


def trained_in_one_go(run: Path, command: str, data: Path, folder: Path) -> Path:
    """A run of the same options that is never killed."""
    whole = folder / f"whole-{command}"
    config = ["--config", str(run / "options.yaml"), "--loop.checkpoint_minutes=60"]
    assert main([command, *config, f"--data={data}", f"--out={whole}"]) == 0
    return whole


@pytest.mark.usefixtures("small_cost_region")
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux's /proc")
def test_a_study_survives_kills_and_makes_its_table(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run = out / "runs" / "detector"
    options = ["--config", str(write_study(tmp_path)), f"--data={data}", f"--out={out}"]
    assert main(["study", *options, "--plan"]) == 0
    assert "run 4 of 4: tdsr: task-driven, 20 steps, not started, after detector, sr" in (
        capsys.readouterr().out
    )
    assert main(["study", *options, "--only=[2]"]) == 1
    assert "only: expected numbers of tables, 1 to 1, got 2" in capsys.readouterr().err
    assert not out.exists()

    with ThreadPoolExecutor(1) as thread:
        here = thread.submit(main, ["study", *options, "--parallel=1"])
        wait_for_a_save(run, here)
        for process in trainers(run):  # its run is killed
            os.kill(process, signal.SIGKILL)
        assert here.result(timeout=LIMIT_S) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("tasksr-train: run detector ended with exit status -9: ")
    assert "; not trained, as they start from such a run: bicubic, tdsr; " in error
    assert "a table's baseline and another row, to be trained; trained: sr" in error
    assert step_of(out / "runs" / "sr") == 2  # the failure of one does not keep another

    assert main(["study", *options, "--so_far"]) == 1
    assert "a table's baseline and another row, to be trained; trained: sr" in (
        capsys.readouterr().err
    )

    study = start([*options, "--parallel=1"])  # it is killed itself
    wait_for_a_save(run, study)
    study.kill()
    study.communicate(timeout=LIMIT_S)
    wait_for_end(run)  # with it
    before = step_of(run)
    assert 0 < before < STEPS

    study, tdsr = start(options), out / "runs" / "tdsr"
    wait_for_a_save(tdsr, study)
    study.kill()
    study.communicate(timeout=LIMIT_S)
    wait_for_end(tdsr)
    assert 0 < step_of(tdsr) < TDSR_STEPS

    assert main(["study", *options]) == 0
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert step_of(run) == STEPS
    assert steps.count(1) == 1  # nothing began anew
    assert steps.count(before + 1) <= 2  # at most the step that was not saved was done again
    result = json.loads((out / "study.json").read_text())
    assert {name: r["step"] for name, r in result["runs"].items()} == {
        "detector": STEPS,
        "sr": 2,
        "bicubic": 2,
        "tdsr": TDSR_STEPS,
    }
    assert list(result["tables"][0]["pedestrians"]) == ["val", "further", "all"]

    for killed, command in ((run, "detector"), (tdsr, "task-driven")):
        whole = trained_in_one_go(killed, command, data, tmp_path)
        ours, theirs = load_checkpoint(killed), load_checkpoint(whole)
        for key in ("model", "ema"):
            assert all(torch.equal(ours[key][k], w) for k, w in theirs[key].items()), (command, key)

    made = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/*.ckpt")}
    assert len(made) == 4
    assert main(["study", *options]) == 0  # all is there: nothing is trained again
    assert {p: p.stat().st_mtime_ns for p in made} == made

    (out / "runs" / "tdsr" / LAST).unlink()
    capsys.readouterr()
    assert main(["study", *options, "--so_far"]) == 0
    assert "\nnot trained yet: row 'TDSR' of 'Tiny'\n" in capsys.readouterr().out
    rows = json.loads((out / "study.json").read_text())["tables"][0]["rows"]
    assert [row["name"] for row in rows] == ["bicubic", "HR"]
    assert not (out / "runs" / "tdsr" / LAST).exists()  # nothing was trained

    changed = yaml.safe_load((tmp_path / "study.yaml").read_text())
    changed["overrides"]["loop"]["batch_size"] = 3
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(changed))
    assert main(["study", *options]) == 1
    assert capsys.readouterr().err == (
        "tasksr-train: run detector: loop.batch_size has changed from 2 to 3 since it was "
        f"started; remove {run} to train it again, or give it another name\n"
    )
