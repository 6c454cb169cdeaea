"""`tasksr-train study`: from a YAML file to the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tasksr_training.checkpoints import LAST, load_checkpoint, load_network
from tasksr_training.costs import COST_HW, NetworkCost
from tasksr_training.errors import TrainingError
from tasksr_training.studies import plots, systems
from tasksr_training.studies.config import RunConfig, SetConfig, TableConfig
from tasksr_training.studies.execute import alone, execute
from tasksr_training.studies.measure import (
    ALL,
    ImageSet,
    measure_quality,
    predict,
    read_image_set,
    set_file,
    write_ground_truth,
    write_json,
)
from tasksr_training.studies.outlook import describe
from tasksr_training.studies.page import page, summary
from tasksr_training.studies.panels import write_panels
from tasksr_training.studies.plan import (
    Run,
    Runs,
    check_holds,
    check_not_trained_on,
    find,
    in_place_of,
    needed_by,
    resolve,
)
from tasksr_training.studies.provenance import check_unchanged
from tasksr_training.studies.so_far import tables_so_far, trained_so_far
from tasksr_training.studies.tables import MeasuredRow, MeasuredSystem, compare_rows

PAGE = "study.html"


def study(
    out: Path,
    data: Path,
    runs: list[RunConfig],
    tables: list[TableConfig],
    judge: str,
    sets: list[SetConfig],
    overrides: dict[str, Any] | None = None,
    trained: dict[str, str] | None = None,
    parallel: int = 1,
    threads: int = 0,
    samples: int = 1000,
    only: list[int] | None = None,
    plan: bool = False,
    so_far: bool = False,
) -> None:
    """Train all runs of a study that are not finished, measure its rows, write its tables.

    Args:
        out: folder of the study; one that was stopped or killed goes on from there.
        data: folder that the paths of image sets start from.
        runs: what is trained, each after those it starts from.
        tables: what is compared.
        judge: run of the detector on HR images whose features are compared.
        sets: images to measure on, none of them trained on.
        overrides: options of all runs in place of their files'.
        trained: folders of runs or bundles that exist, by the names of the runs whose place they
            take.
        parallel: how many runs are trained at once.
        threads: CPU threads for measuring; 0: all.
        samples: sets of images drawn for the intervals.
        only: numbers of the tables to make, from 1, with the runs that they need; none: all.
        plan: only print the runs, their budgets and the total.
        so_far: train nothing, and make the tables of the runs that are finished.

    Raises:
        TrainingError: at the end, when runs failed: the tables are of the others.
    """
    runs = in_place_of(runs, trained or {})
    resolved = resolve(runs, overrides or {}, out / "runs", data)
    _check(tables, resolved, judge, parallel, sets)
    if only:
        tables = _chosen(tables, only)
        resolved = needed_by(tables, judge, resolved)
    each = [run for seeds in resolved.values() for run in seeds]
    check_not_trained_on(each, sets, data)
    by_name = {run.name: run for run in each}
    for run in each:
        check_unchanged(run, by_name)
    print(describe(each, parallel))
    if plan:
        return
    if threads:
        torch.set_num_threads(threads)
    with alone(out) as lock:
        images = [read_image_set(one, data) for one in sets]  # a bad one shows at once
        names = write_ground_truth(images, out / "ground_truth")
        failures = [] if so_far else execute(each, data, parallel, lock)
        try:
            if so_far or failures:
                resolved = trained_so_far(resolved)
                tables = _tables_so_far(tables, resolved, judge)
            print(summary(_measure(out, images, names, tables, resolved, judge, samples)))
            print(f"\nall figures: {out / PAGE}")
        except TrainingError as error:
            raise TrainingError("; ".join([*failures, str(error)])) from error
    if failures:
        raise TrainingError("; ".join(failures))


def _check(
    tables: Sequence[TableConfig],
    runs: Runs,
    judge: str,
    parallel: int,
    sets: Sequence[SetConfig],
) -> None:
    """Find what would fail only after hours of training."""
    for run in find(runs, judge, "judge"):
        check_holds(run, "detector", "judge")
    if parallel < 1 or not sets or not tables:
        raise TrainingError("expected parallel >= 1, and at least one of sets and of tables")
    files = [set_file(Path(), name).stem for name in (ALL, *(one.name for one in sets))]
    if len(set(files)) < len(files):
        raise TrainingError(
            f"sets: expected distinct ones, none called {ALL!r}, got {', '.join(files[1:])}"
        )
    for table in tables:
        names = [row.name for row in table.rows]
        if len(set(names)) < len(names):
            raise TrainingError(f"table {table.title!r}: expected distinct rows, got {names}")
        wanted = {"baseline": [table.baseline], "bound": [table.bound] if table.bound else []}
        wanted |= {"subject": [table.subject] if table.subject else [], "panels": table.panels}
        wanted |= {"equal_macs": table.equal_macs, "rivals": table.rivals}
        for what, given in wanted.items():
            for name in given:
                if names.count(name) != 1:
                    raise TrainingError(
                        f"table {table.title!r}: {what}: expected the name of one row "
                        f"({', '.join(names)}), got {name!r}"
                    )
        if len(table.equal_macs) not in (0, 2):
            raise TrainingError(f"table {table.title!r}: equal_macs: expected two rows")
        if table.rivals and table.subject in ("", *table.rivals):
            raise TrainingError(
                f"table {table.title!r}: rivals: expected rows other than the subject, "
                f"got subject {table.subject!r}"
            )
        for row in table.rows:
            systems.check_parts(row, runs, table.scale_factor)


def _chosen(tables: Sequence[TableConfig], only: Sequence[int]) -> list[TableConfig]:
    for number in only:
        if not 1 <= number <= len(tables):
            raise TrainingError(
                f"only: expected numbers of tables, 1 to {len(tables)}, got {number}"
            )
    return [table for number, table in enumerate(tables, 1) if number in only]


def _tables_so_far(tables: Sequence[TableConfig], runs: Runs, judge: str) -> list[TableConfig]:
    kept, left_out = tables_so_far(tables, runs)
    if judge not in runs or not kept:
        raise TrainingError(
            f"expected at least {judge}, and a table's baseline and another row, to be trained; "
            f"trained: {', '.join(runs) or 'none'}"
        )
    if left_out:
        print(f"not trained yet: {', '.join(left_out)}")
    return kept


def _measure(
    out: Path,
    images: Sequence[ImageSet],
    names: Sequence[str],
    tables: Sequence[TableConfig],
    runs: Runs,
    judge: str,
    samples: int,
) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    judging = load_network(runs[judge][0].folder, "detector")[0].to(device)
    result: dict[str, Any] = {
        "cost_hw": COST_HW,
        "samples": samples,
        "runs": {run.name: _trained(run) for seeds in runs.values() for run in seeds},
        "tables": [],
    }
    measured_rows: list[list[MeasuredRow]] = []
    costs: dict[tuple[str, ...], NetworkCost] = {}
    for table in tables:
        rows = []
        for row in table.rows:
            loaded = [systems.load(row, part, table, device) for part in systems.parts(row, runs)]
            for system in loaded:
                predict(system, images, out / "predictions" / system.label)
                if row.upscaling in ("sr", "bicubic"):
                    folder = out / "quality" / system.image_label
                    measure_quality(system, judging, images, folder)
            made_of = systems.parts(row, runs)
            measured = [
                MeasuredSystem(part, system.label, system.image_label)
                for part, system in zip(made_of, loaded, strict=True)
            ]
            key = systems.architecture(loaded[0])
            if key not in costs:
                costs[key] = systems.cost(loaded[0])
            rows.append(MeasuredRow(row, measured, costs[key]))
        entry = compare_rows(table, rows, images, names, out, samples)
        entry["equal_macs"] = table.equal_macs
        result["tables"].append(entry)
        measured_rows.append(rows)
    write_json(out / "study.json", result)
    (out / PAGE).write_text(page(result), encoding="utf-8")
    for index, (table, rows) in enumerate(zip(tables, measured_rows, strict=True), 1):
        entry = result["tables"][index - 1]
        _plot(entry, names, out, index)
        if table.subject and table.panels:
            write_panels(table, entry, rows, images, out, index, device)
    return result


def _plot(table: dict[str, Any], names: Sequence[str], out: Path, index: int) -> None:
    for name in names:
        end = f"{index}_{name.replace('/', '_')}.png"
        plots.quality_plot(table, name, out / f"psnr_ap_{end}")
        plots.cost_plot(table, name, out / f"cost_ap_{end}")
        plots.height_plot(table, name, out / f"recall_{end}")


def _trained(run: Run) -> dict[str, Any]:
    """What a run was, for the study's JSON."""
    entry: dict[str, Any] = {"command": run.command, "options": run.options, "needs": run.needs}
    if (run.folder / LAST).is_file():
        content = load_checkpoint(run.folder)
        entry |= {key: content.get(key) for key in ("step", "seconds", "ran_on")}
        entry["loop"] = asdict(run.loop) if run.loop else None
    return entry
