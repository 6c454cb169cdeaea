"""The tables of a study whose runs are not all trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tasksr_training.checkpoints import LAST
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig
from tasksr_training.studies.command import _check
from tasksr_training.studies.config import RowConfig, SetConfig, TableConfig
from tasksr_training.studies.plan import Run, Runs
from tasksr_training.studies.so_far import tables_so_far, trained_so_far

ROWS = [
    RowConfig("bicubic", "bicubic", "bicubic"),
    RowConfig("SR", "bicubic", "sr", "sr"),
    RowConfig("TDSR", "tdsr", "sr", "tdsr"),
    RowConfig("HR", "detector", "hr"),
]
TABLE = TableConfig(
    "Main", ROWS, "bicubic", "HR", 4, ["SR", "TDSR"], "TDSR", ["SR", "HR"], ["HR", "SR", "bicubic"]
)


def run(folder: Path, name: str, seed: int = 1, steps: int = 0) -> Run:
    """A run with a budget of 10 steps, of which it has made so many."""
    path = folder / f"{name}-{seed}"
    if steps:
        path.mkdir()
        content = {"networks": {}, "ema": {}, "model": {}, "step": steps, "seconds": 1.0}
        torch.save(content, path / LAST)
    networks = {"sr": None, "detector": None}
    return Run(name, seed, path, "task-driven", {}, LoopConfig(max_steps=10), (), networks)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return {
        "detector": [run(tmp_path, "detector", steps=10)],
        "sr": [run(tmp_path, "sr")],
        "bicubic": [run(tmp_path, "bicubic", seed, 5 * seed) for seed in (1, 2)],
        "tdsr": [run(tmp_path, "tdsr", steps=9)],
    }


def test_only_runs_that_spent_their_budget_are_trained(runs: Runs) -> None:
    trained = trained_so_far(runs)
    assert {name: [r.seed for r in seeds] for name, seeds in trained.items()} == {
        "detector": [1],
        "bicubic": [2],
    }


def test_a_table_keeps_what_is_trained(runs: Runs) -> None:
    tables, left_out = tables_so_far([TABLE], trained_so_far(runs))
    rows = [ROWS[0], ROWS[3]]
    nobody = replace(TABLE, equal_macs=[], subject="", rivals=[])
    assert tables == [replace(nobody, rows=rows, panels=["HR", "bicubic"])]
    assert left_out == ["row 'SR' of 'Main'", "row 'TDSR' of 'Main'"]


def test_a_table_without_its_bound_has_none(runs: Runs) -> None:
    trained = {"bicubic": runs["bicubic"], "tdsr": runs["tdsr"]}
    tables, _ = tables_so_far([TABLE], trained)
    assert (tables[0].bound, tables[0].subject, tables[0].rivals) == ("", "TDSR", [])


@pytest.mark.parametrize("subject", ["", "SR"])
def test_rivals_need_a_subject_that_is_none_of_them(runs: Runs, subject: str) -> None:
    table = replace(TABLE, subject=subject)
    with pytest.raises(TrainingError, match="rivals: expected rows other than the subject"):
        _check([table], runs, "detector", 1, [SetConfig("val.json")])


@pytest.mark.parametrize(
    ("table", "sets", "message"),
    [
        (replace(TABLE, rows=[*ROWS, ROWS[3]]), ["val"], "table 'Main': expected distinct rows"),
        (TABLE, ["val", "val"], "sets: expected distinct ones, none called 'all', got val, val"),
        (TABLE, ["val", "all"], "got val, all"),
        (TABLE, ["a/val", "a_val"], "got a_val, a_val"),
    ],
)
def test_names_that_would_replace_one_another(
    runs: Runs, table: TableConfig, sets: list[str], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        _check([table], runs, "detector", 1, [SetConfig(f"{name}.json") for name in sets])


@pytest.mark.parametrize("missing", ["bicubic", "others"])
def test_a_table_that_compares_nothing_is_left_out(runs: Runs, missing: str) -> None:
    trained = {k: v for k, v in runs.items() if (k == "bicubic") != (missing == "bicubic")}
    assert tables_so_far([TABLE], trained) == ([], ["table 'Main'"])
