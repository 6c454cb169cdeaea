"""What a study's file says: references, options, order, and what may not change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse.typing import Path_fr
from tasksr_training.checkpoints import LAST, save_checkpoint
from tasksr_training.cli import main
from tasksr_training.errors import CheckpointError, TrainingDataError, TrainingError
from tasksr_training.studies.config import RowConfig, RunConfig, SetConfig, TableConfig
from tasksr_training.studies.execute import _gpu_of
from tasksr_training.studies.outlook import describe, hours_left
from tasksr_training.studies.plan import (
    Run,
    Runs,
    check_holds,
    check_image_sets,
    check_not_trained_on,
    in_place_of,
    is_finished,
    merged,
    needed_by,
    resolve,
)
from tasksr_training.studies.provenance import MADE_OF, check_unchanged, made_of
from tasksr_training.studies.systems import check_parts, parts

from tasksr_ros.networks.detectors.fcos import Detector


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    path = tmp_path / "stage.yaml"
    options = {"sources": [{"path": "train.json"}], "patches": {}, "loop": {"max_minutes": 30}}
    path.write_text(yaml.safe_dump({**options, "stage": {}}))
    return path


def runs_of(stage: Path, *configs: dict[str, Any]) -> Runs:
    given = [RunConfig(**{"config": Path_fr(str(stage)), **c}) for c in configs]
    return resolve(given, {"loop": {"threads": 1}}, stage.parent / "runs", stage.parent)


DETECTOR = {"name": "det", "command": "detector"}


def checkpoint(run: Run, step: int = 10, minutes: float = 30, weight: float = 0.0) -> None:
    """As a study leaves a run after so much training."""
    run.folder.mkdir(parents=True, exist_ok=True)
    content = {"networks": {}, "model": {}, "ema": {"w": torch.tensor(weight)}}
    save_checkpoint(run.folder / LAST, {**content, "step": step, "seconds": 60 * minutes})


def started(runs: Runs, name: str) -> Run:
    run = runs[name][0]
    checkpoint(run)
    (run.folder / MADE_OF).write_text(json.dumps(made_of(run, by_name(runs))))
    return run


def by_name(runs: Runs) -> dict[str, Run]:
    return {run.name: run for seeds in runs.values() for run in seeds}


def test_nested_options_are_joined() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "e": {"f": 5}}) == {
        "a": {"b": 1, "c": 4},
        "d": 3,
        "e": {"f": 5},
    }


def test_references_seeds_and_overrides(stage: Path) -> None:
    follow = {"stage": {"detector_checkpoint": {"run": "det"}, "upscaling": "bicubic"}}
    runs = runs_of(
        stage,
        {**DETECTOR, "seeds": [3, 5]},
        {"name": "b", "command": "task-driven", "seeds": [5], "overrides": follow},
    )
    assert [run.name for run in runs["det"]] == ["det-3", "det-5"]
    (b,) = runs["b"]
    assert b.needs == ("det-5",)  # the one of its own seed
    assert b.options["stage"]["detector_checkpoint"] == str(runs["det"][1].folder)
    assert b.options["loop"] == {"max_minutes": 30, "threads": 1, "seed": 5}
    assert b.loop is not None and (b.loop.seed, b.loop.max_minutes, b.loop.batch_size) == (5, 30, 8)


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        (
            [
                {
                    "name": "b",
                    "command": "task-driven",
                    "overrides": {"stage": {"x": {"run": "det"}}},
                }
            ],
            r"run b: expected the name of an earlier run \(none\), got 'det'",
        ),
        (
            [
                {**DETECTOR, "seeds": [1, 2]},
                {**DETECTOR, "name": "b", "seeds": [3], "overrides": {"stage": {"run": "det"}}},
            ],
            "run b: expected a run det of seed 3",
        ),
        ([DETECTOR, DETECTOR], "run det: expected distinct names"),
        (
            [{**DETECTOR, "seeds": [1, 2]}, {**DETECTOR, "name": "det-1"}],
            "run det-1: expected distinct names with seeds",
        ),
        ([{**DETECTOR, "overrides": {"stage": {"widht": 2}}}], "run det: .*widht"),
        ([{**DETECTOR, "overrides": {"loop": {"max_minutes": 0}}}], "a budget: loop.max_steps or"),
        ([{"name": "x", "config": None, "trained": "nowhere"}], "expected a run or a bundle in"),
        ([{**DETECTOR, "trained": "nowhere"}], "expected either trained, or command"),
        ([{"name": "x", "config": None}], "expected command and config, or trained"),
        ([{**DETECTOR, "seeds": [1, 1]}], "expected distinct seeds"),
    ],
)
def test_what_cannot_be_is_one_line(
    stage: Path, configs: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(TrainingError, match=message) as error:
        runs_of(stage, *configs)
    assert "\n" not in str(error.value)


def test_finished_is_whose_budget_is_spent(stage: Path) -> None:
    (run,) = runs_of(stage, DETECTOR)["det"]
    assert not is_finished(run)
    checkpoint(run, minutes=29.9)
    assert not is_finished(run)
    assert "run 1 of 1: det: detector, 30 min, at step 10, 29.9 min" in describe([run], 1)
    checkpoint(run, minutes=30)
    assert is_finished(run)
    assert "det: detector, 30 min, finished" in describe([run], 1)


def test_changed_options_of_a_run_are_refused(stage: Path) -> None:
    runs = runs_of(stage, DETECTOR)
    run = started(runs, "det")
    check_unchanged(run, by_name(runs))
    aside = runs_of(stage, {**DETECTOR, "overrides": {"loop": {"validate_minutes": 1}}})
    check_unchanged(aside["det"][0], by_name(aside))  # has no part in what is learnt
    wider = runs_of(stage, {**DETECTOR, "overrides": {"stage": {"width": 2.0}}})
    with pytest.raises(CheckpointError, match=r"run det: stage.width has changed from None to 2.0"):
        check_unchanged(wider["det"][0], by_name(wider))
    (run.folder / LAST).unlink()
    check_unchanged(wider["det"][0], by_name(wider))  # nothing was learnt yet


def test_another_path_to_the_same_weights_is_no_change(stage: Path) -> None:
    follow = {"stage": {"detector_checkpoint": {"run": "det"}, "upscaling": "bicubic"}}
    configs = DETECTOR, {"name": "b", "command": "task-driven", "overrides": follow}
    runs = runs_of(stage, *configs)
    started(runs, "det")
    started(runs, "b")
    moved = stage.parent / "moved"
    (stage.parent / "runs").rename(moved)
    given = [RunConfig(**{"config": Path_fr(str(stage)), **c}) for c in configs]
    there = resolve(given, {"loop": {"threads": 1}}, moved, stage.parent)
    check_unchanged(there["b"][0], by_name(there))
    checkpoint(there["det"][0], weight=1.0)
    with pytest.raises(CheckpointError, match="det, which it starts from, has been trained anew"):
        check_unchanged(there["b"][0], by_name(there))


def test_what_a_stage_would_refuse_is_refused_before_training(stage: Path) -> None:
    follow = {"detector_checkpoint": {"run": "det"}}
    sees_lr = {"upscaling": "none", "distill_weight": 2}
    run = {"name": "b", "command": "task-driven"}
    with pytest.raises(TrainingError, match=r"run b: stage\.distill_weight: expected 0"):
        runs_of(stage, DETECTOR, {**run, "overrides": {"stage": {**follow, **sees_lr}}})
    of_200 = {"stage": {**follow, "upscaling": "bicubic"}, "patches": {"size": 200}}
    with pytest.raises(TrainingError, match=r"run b: patches\.size: expected a multiple of 32 px"):
        runs_of(stage, DETECTOR, {**run, "overrides": of_200})


def test_image_sets_that_are_not_there_are_named_before_training(stage: Path) -> None:
    data, validation = stage.parent, {"validation": {"sets": ["val.json"]}}
    sources = [{"path": "train.json", "predictions": "found.json"}]
    options = {"stage": validation, "sources": sources}
    (run,) = runs_of(stage, {**DETECTOR, "overrides": options})["det"]
    assert run.sources == ("train.json",)
    assert run.further_files == ("found.json", "val.json")
    for name in ("train.json", "found.json", "val.json"):
        with pytest.raises(TrainingDataError, match=f"run det: .*/{name}: expected a COCO JSON"):
            check_image_sets([run], data)
        (data / name).touch()
    check_image_sets([run], data)


def test_what_is_measured_on_is_not_trained_on(stage: Path) -> None:
    options = {
        "sources": [{"path": "drives/*.json"}],
        "stage": {"validation": {"sets": ["b.json"]}},
    }
    each = runs_of(stage, {**DETECTOR, "overrides": options})["det"]
    data = stage.parent
    (data / "drives").mkdir()
    (data / "drives" / "a.json").touch()
    check_not_trained_on(each, [SetConfig("b.json"), SetConfig("drives/c.json")], data)
    with pytest.raises(TrainingDataError, match=r"run det learns from drives/\.\./drives/a\.json"):
        check_not_trained_on(each, [SetConfig("drives/../drives/a.json", every=2)], data)


def shipped(name: str) -> str:
    return str(Path(__file__).resolve().parents[3] / "models" / name)


def test_a_start_that_does_not_fit_is_found_before_training(stage: Path) -> None:
    def start(**options: Any) -> None:
        after = {"name": "b", "command": "task-driven", "overrides": {"stage": options}}
        sr = {"name": "sr", "command": "super-resolution"}
        x2 = {"name": "sr-x2", "config": None, "trained": shipped("dbpn-ss-x2")}
        runs_of(stage, DETECTOR, sr, x2, after)

    detector = {"detector_checkpoint": {"run": "det"}}
    start(**detector, sr_checkpoint={"run": "sr"})
    start(detector_checkpoint=shipped("tdsr-ss-x4"), sr_checkpoint=shipped("tdsr-ss-x4"))
    with pytest.raises(TrainingError, match=r"sr_checkpoint: expected one with sr, got .*detector"):
        start(**detector, sr_checkpoint={"run": "det"})
    with pytest.raises(TrainingError, match=r"hr_detector_checkpoint: .* with detector, got .* sr"):
        start(**detector, sr_checkpoint={"run": "sr"}, hr_detector_checkpoint={"run": "sr-x2"})
    with pytest.raises(
        TrainingError, match=r"run b: stage.sr_.*: expected scale factor 4, got .* 2"
    ):
        start(**detector, sr_checkpoint={"run": "sr-x2"})
    with pytest.raises(TrainingError, match=r"expected scale factor 4, got .*dbpn-ss-x2 of 2"):
        start(**detector, sr_checkpoint=shipped("dbpn-ss-x2"))


def test_a_row_of_networks_that_a_run_does_not_hold_is_found_before_training(stage: Path) -> None:
    x2 = {"name": "sr-x2", "config": None, "trained": shipped("dbpn-ss-x2")}
    runs = runs_of(stage, DETECTOR, {"name": "sr", "command": "super-resolution"}, x2)
    with pytest.raises(TrainingError, match="row 'row': expected a run with detector, got sr with"):
        check_parts(RowConfig("row", "sr", "bicubic"), runs, 4)
    with pytest.raises(TrainingError, match="row 'row': expected a run with sr, got det with det"):
        check_parts(RowConfig("row", "det", sr="det"), runs, 4)
    with pytest.raises(TrainingError, match="row 'row': expected sr-x2 of scale factor 4, got 2"):
        check_parts(RowConfig("row", "det", sr="sr-x2"), runs, 4)
    with pytest.raises(TrainingError, match="judge: expected a run with detector, got sr-x2"):
        check_holds(runs["sr-x2"][0], "detector", "judge")


def test_runs_at_once_take_a_gpu_each_in_turn(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = runs_of(stage, DETECTOR)["det"]
    (several,) = runs_of(stage, {**DETECTOR, "overrides": {"loop": {"devices": 2}}})["det"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    gpus = [_gpu_of(one, place)["CUDA_VISIBLE_DEVICES"] for place in range(4)]
    assert gpus == ["0", "1", "2", "0"]
    assert _gpu_of(several, 1) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert _gpu_of(one, 1) == {"CUDA_VISIBLE_DEVICES": "7"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert _gpu_of(one, 1) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert _gpu_of(one, 1) == {}


def test_a_run_whose_start_was_trained_anew_is_refused(stage: Path) -> None:
    follow = {"stage": {"detector_checkpoint": {"run": "det"}, "upscaling": "bicubic"}}
    runs = runs_of(stage, DETECTOR, {"name": "b", "command": "task-driven", "overrides": follow})
    started(runs, "det")
    after = started(runs, "b")
    check_unchanged(after, by_name(runs))
    checkpoint(runs["det"][0], weight=1.0)
    with pytest.raises(CheckpointError, match="run b: det, which it starts from, has been trained"):
        check_unchanged(after, by_name(runs))


def test_a_folder_that_no_study_trained_is_refused(stage: Path) -> None:
    runs = runs_of(stage, DETECTOR)
    checkpoint(runs["det"][0])
    with pytest.raises(CheckpointError, match="was not trained by a study"):
        check_unchanged(runs["det"][0], by_name(runs))


def test_hours_follow_the_order_of_training(stage: Path) -> None:
    follow = {"stage": {"detector_checkpoint": {"run": "det"}, "upscaling": "bicubic"}}
    after = {"command": "task-driven", "overrides": follow}
    runs = runs_of(stage, DETECTOR, {"name": "b", **after}, {"name": "c", **after})
    each = [run for seeds in runs.values() for run in seeds]
    left = {"det": 30.0, "b": 30.0, "c": 20.0}
    assert hours_left(each, 1, left) == pytest.approx(80 / 60)
    assert hours_left(each, 2, left) == pytest.approx(60 / 60)  # b and c wait for det
    assert hours_left(each, 2, {**left, "det": 0.0}) == pytest.approx(30 / 60)


def test_hours_are_told_from_minutes_and_from_the_pace_of_steps(stage: Path) -> None:
    by_steps = {"overrides": {"loop": {"max_minutes": 0, "max_steps": 40}}}
    steps = runs_of(
        stage,
        {**DETECTOR, "name": "a", **by_steps},
        {**DETECTOR, "name": "b", **by_steps},
        {**DETECTOR, "name": "c", **by_steps},
    )
    each = [run for seeds in steps.values() for run in seeds]
    assert "0 of 3 runs finished" in describe(each, 1)
    assert "about 0.0 h with 1 at once, without detector, of which no run" in describe(each, 1)
    checkpoint(each[0], step=40, minutes=80)
    checkpoint(each[1], step=10, minutes=10)  # its own pace: 30 min left; c's is the mean of both
    text = describe(each, 1)
    assert "1 of 3 runs finished, trained for 1.5 h in sum; the rest takes about 1.7 h" in text
    assert "about 1.2 h with 2 at once" in describe(each, 2)
    (by_minutes,) = runs_of(stage, {**DETECTOR, "name": "d"})["d"]
    assert "the rest takes about 0.5 h" in describe([by_minutes], 1)
    both = {"overrides": {"loop": {"max_steps": 40}}}  # and 30 min, which are over before
    checkpoint(runs_of(stage, {**DETECTOR, "name": "e", **both})["e"][0], step=10, minutes=15)
    assert "takes about 0.2 h" in describe(
        runs_of(stage, {**DETECTOR, "name": "e", **both})["e"], 1
    )


def test_systems_of_a_row_are_paired_by_seed(stage: Path) -> None:
    runs = runs_of(
        stage,
        {"name": "sr", "command": "super-resolution"},
        {**DETECTOR, "seeds": [1, 2]},
        {**DETECTOR, "name": "other", "seeds": [1, 2, 3]},
    )
    both = parts(RowConfig("row", "det", sr="sr"), runs)
    assert [(p.sr and p.sr.name, p.detector.name) for p in both] == [
        ("sr", "det-1"),
        ("sr", "det-2"),
    ]
    row = RowConfig("row", "other", sr="det")
    with pytest.raises(TrainingError, match=r"the same seeds of det and other, got \[1, 2\] and"):
        check_parts(row, runs, 4)
    trained = {"det": runs["det"][1:], "other": runs["other"]}  # so far
    assert [(p.sr and p.sr.name, p.detector.name) for p in parts(row, trained)] == [
        ("det-2", "other-2")
    ]
    assert parts(row, {"det": runs["det"], "other": runs["other"][2:]}) == []
    with pytest.raises(TrainingError, match=r"row 'row': expected the name of an earlier run"):
        parts(RowConfig("row", "gone", upscaling="bicubic"), runs)
    with pytest.raises(TrainingError, match="with upscaling sr and only then"):
        parts(RowConfig("row", "det"), runs)


def test_a_network_of_another_scale_factor_is_found_before_training(stage: Path) -> None:
    x2 = {"stage": {"scale_factor": 2}}
    runs = runs_of(stage, {"name": "sr", "command": "super-resolution", "overrides": x2}, DETECTOR)
    row = RowConfig("row", "det", sr="sr")
    check_parts(row, runs, 2)
    with pytest.raises(TrainingError, match="row 'row': expected sr of scale factor 4, got 2"):
        check_parts(row, runs, 4)


def test_a_detector_trained_at_another_scale_factor_is_found_before_training(stage: Path) -> None:
    follow = {"stage": {"detector_checkpoint": {"run": "det"}, "upscaling": "bicubic"}}
    runs = runs_of(stage, DETECTOR, {"name": "b", "command": "task-driven", "overrides": follow})
    check_parts(RowConfig("row", "b", "bicubic"), runs, 4)  # the stage's default
    with pytest.raises(TrainingError, match="row 'row': expected b of scale factor 2, got 4"):
        check_parts(RowConfig("row", "b", "bicubic"), runs, 2)
    check_parts(RowConfig("row", "b", "hr"), runs, 2)
    check_parts(RowConfig("row", "det", "bicubic"), runs, 2)  # trained on HR images


def test_a_table_needs_the_runs_of_its_rows_and_those_they_start_from(stage: Path) -> None:
    start = {"stage": {"detector_checkpoint": {"run": "start"}, "upscaling": "bicubic"}}
    runs = runs_of(
        stage,
        {**DETECTOR, "name": "judge"},
        {**DETECTOR, "name": "start", "seeds": [1, 2]},
        {**DETECTOR, "name": "alone"},
        {"name": "one", "command": "task-driven", "seeds": [2], "overrides": start},
        {"name": "other", "command": "task-driven", "overrides": start},
    )
    table = TableConfig("table", [RowConfig("row", "one", upscaling="bicubic")], "row")
    assert list(needed_by([table], "judge", runs)) == ["judge", "start", "one"]
    assert list(needed_by([], "judge", runs)) == ["judge"]


def test_only_a_table_of_the_shipped_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(__file__).resolve().parents[2] / "configs" / "study_small.yaml"
    options = [f"--config={config}", f"--data={tmp_path}", f"--out={tmp_path / 'out'}"]
    assert main(["study", *options, "--plan", "--only=[2]"]) == 0
    printed = capsys.readouterr().out
    assert "run 7 of 10: hybrid-x2: task-driven, 3000 steps, not started, after sr-x2" in printed
    assert "hybrid-1" not in printed


def test_what_is_trained_already_takes_the_place_of_a_run(stage: Path) -> None:
    made = stage.parent / "elsewhere"
    configs = [RunConfig("det", "detector", Path_fr(str(stage)), seeds=[1, 2]), RunConfig("b")]
    assert in_place_of(configs, {"det": str(made)}) == [
        RunConfig("det", trained=str(made)),
        configs[1],
    ]
    with pytest.raises(TrainingError, match=r"expected names of runs \(det, b\), got c"):
        in_place_of(configs, {"c": str(made)})


@pytest.mark.parametrize("scale_factor", [2, 4])
def test_larger_detectors_of_the_shipped_studies_take_equal_operations(scale_factor: int) -> None:
    """Counted on tensors without content, as the table counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    from tasksr_ros.networks import build_sr

    def operations(network: torch.nn.Module, scale: int) -> int:
        images = torch.empty(1, 3, 96 * scale, 320 * scale, device="meta")
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.to("meta").eval()(images)
        return counter.get_total_flops()

    configs = Path(__file__).resolve().parents[2] / "configs"
    runs = yaml.safe_load((configs / "study_full.yaml").read_text())["runs"]
    name = "detector-large" if scale_factor == 4 else "detector-large-x2"
    width = next(r["overrides"]["stage"]["width"] for r in runs if r["name"] == name)
    small = yaml.safe_load((configs / "study_small.yaml").read_text())["runs"]
    widened = {r["name"]: r["overrides"]["stage"] for r in small if "bicubic-large" in r["name"]}
    assert widened[name.replace("detector", "bicubic")]["detector_width"] == width
    both = operations(build_sr("dbpn-ss", scale_factor), 1) + operations(Detector(), scale_factor)
    assert operations(Detector(width), scale_factor) / both == pytest.approx(1, abs=0.05)
