"""The commands in a row: train, validate, export, and the bundle loads again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tasksr_training.checkpoints import LAST, load_checkpoint, save_checkpoint
from tasksr_training.cli import COMMANDS, main
from tasksr_training.studies import plots

from tasksr_ros.bundle import load_bundle

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SMALL = {
    "patches": {"size": 32, "min_height": 12, "max_height": 30},
    "sources": [{"path": "train.json"}],
    "loop": {"max_steps": 1, "batch_size": 2, "accelerator": "cpu", "threads": 1},
}


def write(path: Path, stage: dict[str, object]) -> str:
    path.write_text(yaml.safe_dump({**SMALL, "stage": stage}))
    return str(path)


ROWS: dict[str, dict[str, object]] = {
    "bicubic + detector retrained": {"upscaling": "bicubic", "detector": "bicubic"},
    "SR + HR detector": {"sr": "sr", "detector": "detector"},
    "TDSR": {"sr": "tdsr", "detector": "tdsr"},
    "HR": {"upscaling": "hr", "detector": "detector"},
}


def study_of(folder: Path, *runs: str) -> dict[str, Any]:
    """A study of runs that are trained already."""
    table = {
        "title": "Tiny",
        "baseline": "bicubic + detector retrained",
        "bound": "HR",
        "subject": "TDSR",
        "panels": ["HR", "TDSR"],
        "rows": [{"name": name, **row} for name, row in ROWS.items()],
    }
    return {
        "runs": [{"name": name, "trained": str(folder / name)} for name in runs],
        "judge": "detector",
        "sets": [{"path": "val.json"}],
        "samples": 20,
        "tables": [table],
    }


def no_picture(*_: object) -> None:
    raise OSError("disk full")


@pytest.mark.usefixtures("small_cost_region")
def test_from_images_to_a_bundle(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: str, *options: str) -> int:
        return main([command, *options])

    def trained(command: str, name: str, stage: dict[str, object], *options: str) -> None:
        config = write(tmp_path / f"{name}.yaml", stage)
        out = str(tmp_path / name)
        assert run(command, "--config", config, "--data", str(data), "--out", out, *options) == 0

    validation = {"sets": ["val.json"], "every": 2}
    detector = ("--stage.detector_checkpoint", str(tmp_path / "detector"))
    trained("super-resolution", "sr", {"validation": ["images"], "validation_side": 32})
    trained("detector", "detector", {"width": 0.25, "validation": validation})
    sr = ("--stage.sr_checkpoint", str(tmp_path / "sr"))
    trained("task-driven", "tdsr", {"frozen_fraction": 0, "validation": validation}, *detector, *sr)
    trained("task-driven", "bicubic", {"upscaling": "bicubic", "validation": validation}, *detector)
    kept = yaml.safe_load((tmp_path / "tdsr" / "config.yaml").read_text())["task-driven"]
    assert kept["loop"]["max_steps"] == 1
    capsys.readouterr()
    options = {"upscaling": "bicubic", "beta": 2, "validation": validation}
    trained("task-driven", "bicubic", options, *detector)
    said = capsys.readouterr().err
    assert "bicubic: goes on with task-driven.stage.beta 2.0, was 1.0" in said
    assert said.count("goes on with") == 1

    out = tmp_path / "out"
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(study_of(tmp_path, "sr", "detector", "bicubic", "tdsr")))
    assert run("study", "--config", str(study), f"--out={out}", f"--data={data}") == 0
    printed = capsys.readouterr().out
    result = json.loads((out / "study.json").read_text())
    rows = {row["name"]: row["sets"]["val"] for row in result["tables"][0]["rows"]}
    assert all(f"\n{name} " in printed for name in ROWS)
    assert f"all figures: {out / 'study.html'}" in printed
    assert result["tables"][0]["pedestrians"]["val"]["all"] == 2
    assert rows["HR"]["psnr_y"]["value"] is None
    assert rows["TDSR"]["psnr_y"]["value"] > 0
    assert {p.name for p in out.glob("*.png")} == {
        *(f"panel_1_val_{rule}.png" for rule in ("gain", "loss", "median")),
        *(f"{plot}_1_val.png" for plot in ("psnr_ap", "cost_ap", "recall")),
    }

    costs = {row["name"]: row["cost"] for row in result["tables"][0]["rows"]}
    assert costs["TDSR"] == costs["SR + HR detector"]  # the same networks are timed once
    assert costs["HR"]["ms"] != costs["TDSR"]["ms"]

    content = study_of(tmp_path, "sr", "detector", "bicubic", "tdsr")
    content["tables"][0] |= {"title": "No panels", "panels": []}
    study.write_text(yaml.safe_dump(content))
    (out / "panel_1_val_gain.png").unlink()
    assert run("study", "--config", str(study), f"--out={out}", f"--data={data}") == 0
    assert not (out / "panel_1_val_gain.png").exists()

    content["tables"][0]["title"] = "No pictures"
    study.write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "quality_plot", no_picture)
        with pytest.raises(OSError, match="disk full"):
            run("study", "--config", str(study), f"--out={out}", f"--data={data}")
    assert json.loads((out / "study.json").read_text())["tables"][0]["title"] == "No pictures"
    assert "<h2>No pictures, x4</h2>" in (out / "study.html").read_text()

    bundle = tmp_path / "tiny"
    file = out / "study.json"
    options = [f"--bundle={bundle}", f"--study={file}", "--row=TDSR", f"--run={tmp_path / 'tdsr'}"]
    assert run("export", *options) == 0
    loaded = load_bundle(bundle)
    assert loaded.sr is not None
    assert (loaded.sr.network, loaded.scale_factor) == ("dbpn-ss", 4)
    assert loaded.detector.options == {"width": 0.25}
    weights = load_checkpoint(tmp_path / "tdsr")["ema"]
    state = loaded.load().state_dict()
    assert all(torch.equal(state[k], weights[k]) for k in weights)
    wrong = [*options[:2], "--row=gone", options[3]]
    assert run("export", *wrong) == 1
    assert "expected a row 'gone', got ['HR', 'SR + HR detector', 'TDSR'" in capsys.readouterr().err
    assert run("export", *options[:3], f"--run={tmp_path / 'bicubic'}") == 1
    assert "expected 'TDSR' to be of" in capsys.readouterr().err
    card = (bundle / "README.md").read_text()
    assert "images, 2 people | TDSR | bicubic + detector retrained | HR |" in card
    assert "**Research use**, because of the data" in card
    assert len(card.splitlines()) <= 40
    assert " minutes on 1 x cpu (CPU threads: 1, precision: 32-true)." in card

    result = json.loads(file.read_text())
    (x4,) = result["tables"]
    other = json.loads(json.dumps({**x4, "scale_factor": 2}))
    for row in other["rows"]:
        if row["name"] == "TDSR":
            row["systems"][0]["detector"] = "another run"
    file.write_text(json.dumps({**result, "tables": [other, x4]}))
    assert run("export", *options) == 0  # the table in which the row is this run's
    assert "**reduced by 4 for the laboratory**" in (bundle / "README.md").read_text()
    assert run("export", *options, "--scale_factor=2") == 1
    assert "/tdsr at x2, it is of another run at x2, " in capsys.readouterr().err
    of_detector = ["--row=HR", f"--run={tmp_path / 'detector'}"]
    for scale_factor in (4, 2):
        more = [*options[:2], *of_detector, f"--scale_factor={scale_factor}"]
        assert run("export", *more) == 0
        assert load_bundle(bundle).scale_factor == scale_factor

    content = load_checkpoint(tmp_path / "tdsr")
    del content["ran_on"]  # as in checkpoints of a version that did not write it
    save_checkpoint(tmp_path / "tdsr" / LAST, content)
    assert run("export", *options) == 0
    assert " minutes. The weights" in (bundle / "README.md").read_text()

    (row,) = (row for row in x4["rows"] if row["name"] == "TDSR")
    row["systems"][0]["detector"] = str(bundle)
    file.write_text(json.dumps({**result, "tables": [x4]}))
    anew = [*options[1:3], f"--run={bundle}", f"--bundle={tmp_path / 'anew'}"]
    assert run("export", *anew, '--data=["all of it"]') == 0  # a new card for a bundle
    again, before = load_bundle(tmp_path / "anew"), load_bundle(bundle)
    assert again.sha256 == before.sha256
    assert again.recipe == {**before.recipe, "data": ["all of it"]}


def test_a_wrong_option_value_or_file_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path / "c.yaml", {"width": 0.25, "validation": {"sets": ["gone.json"]}})
    options = ["--config", config, "--data", str(data), "--out", str(tmp_path / "run")]
    assert main(["detector", *options]) == 1
    error = capsys.readouterr().err
    assert "gone.json" in error
    assert len(error.strip().splitlines()) == 1


def test_a_value_that_cannot_be_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path / "c.yaml", {"corruption": {"forward_motion": {"speed": [30, 5]}}})
    options = ["--config", config, "--data", str(data), "--out", str(tmp_path / "run")]
    assert main(["detector", *options]) == 1
    assert capsys.readouterr().err == (
        "tasksr-train: forward_motion.speed: expected 0 <= least <= greatest, got 30.0, 5.0\n"
    )


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_configs_are_understood(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = path.stem.replace("_", "-")  # the command's, or it starts with it
    command = next((c for c in COMMANDS if name.startswith(c)), "task-driven")
    folders = ["--data", "--out", *(["--runs"] if command == "compare-sr" else [])]
    options = [word for option in folders for word in (option, str(tmp_path))]
    if command == "study":
        monkeypatch.chdir(CONFIGS.parents[1])  # where the paths of bundles start from
        assert main([command, "--config", str(path), *options, "--plan"]) == 0
        return
    # all options are known and of the right type: the run goes on to look for the data
    assert main([command, "--config", str(path), *options]) == 1


def test_a_shipped_study_with_a_row_of_a_missing_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CONFIGS.parents[1])  # where the paths of bundles start from
    content = yaml.safe_load((CONFIGS / "study_shipped.yaml").read_text())
    content["tables"][0]["rows"][0]["detector"] = "gone"
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(content))
    options = [f"--config={config}", f"--data={tmp_path}", f"--out={tmp_path / 'out'}", "--plan"]
    assert main(["study", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        "tasksr-train: row 'bicubic + HR detector': expected the name of an earlier run ("
    )
    assert error.endswith("), got 'gone'\n")


def test_evaluation_sets_are_checked_before_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path / "detector.yaml", {"width": 0.25})
    content = json.loads((data / "val.json").read_text())
    content["images"][0]["file_name"] = "gone.png"
    bad = data / "bad.json"
    bad.write_text(json.dumps(content))
    study = {
        "runs": [{"name": "detector", "command": "detector", "config": config}],
        "judge": "detector",
        "sets": [{"path": "bad.json"}],
        "tables": [
            {
                "title": "Tiny",
                "baseline": "HR",
                "rows": [{"name": "HR", "upscaling": "hr", "detector": "detector"}],
            }
        ],
    }
    path, out = tmp_path / "study.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(study))
    assert main(["study", f"--config={path}", f"--data={data}", f"--out={out}"]) == 1
    bad.unlink()
    assert "bad.json: 1 x missing image (image 10 (gone.png))" in capsys.readouterr().err
    assert not (out / "runs").exists()
