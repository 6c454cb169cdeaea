"""The runs of a study: their options, in what order, and which are done."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from tasksr_ros.bundle import DESCRIPTION, WEIGHTS
from tasksr_training.checkpoints import LAST, load_checkpoint
from tasksr_training.coco import find_set
from tasksr_training.errors import CheckpointError, TrainingDataError, TrainingError
from tasksr_training.loop import LoopConfig, spent
from tasksr_training.options import differences
from tasksr_training.stage_commands import STAGES
from tasksr_training.stages.task_driven import TaskDrivenConfig, check_options, check_patch_size
from tasksr_training.study.config import RunConfig, TableConfig

MADE_OF = "study_run.json"
"""In a run's folder: the options and earlier runs that it was started with."""

ASIDE = ("threads", "workers", "log_every", "checkpoint_minutes", "validate_minutes")
"""Options of the loop that may change between two sessions of a run: what is learnt is the same."""


@dataclass(frozen=True)
class Run:
    """One run of a stage.

    Attributes:
        name: of the run.
        seed: of initialisation and data.
        folder: where its checkpoint is, or the bundle's folder.
        command: the stage; empty: trained elsewhere.
        options: of the command, without ``data`` and ``out``.
        loop: its loop's options, defaults filled in; None: trained elsewhere.
        needs: names of the earlier runs that it starts from.
        scale_factor: of what it is trained on; None: HR images, or trained elsewhere.
        image_sets: that it reads, and files of predictions on them, relative to the data folder.
    """

    name: str
    seed: int
    folder: Path
    command: str
    options: dict[str, Any]
    loop: LoopConfig | None
    needs: tuple[str, ...]
    scale_factor: int | None = None
    image_sets: tuple[str, ...] = ()


Runs = dict[str, list[Run]]
"""Runs by the name in the study's file, one per seed."""


def in_place_of(configs: Sequence[RunConfig], trained: Mapping[str, str]) -> list[RunConfig]:
    """Put runs or bundles that exist in place of runs to be trained.

    Args:
        configs: in the order of the study's file.
        trained: folders by the names of the runs whose place they take.

    Raises:
        TrainingError: for a name that no run has.
    """
    names = [config.name for config in configs]
    for name in trained:
        if name not in names:
            raise TrainingError(f"trained: expected names of runs ({', '.join(names)}), got {name}")
    return [
        RunConfig(config.name, trained=trained[config.name]) if config.name in trained else config
        for config in configs
    ]


def resolve(
    configs: Sequence[RunConfig], overrides: Mapping[str, Any], folder: Path, data: Path
) -> Runs:
    """Fill in each run's options and check them.

    Args:
        configs: in the order of the study's file.
        overrides: options of all runs; a run's own win.
        folder: of the runs' folders.
        data: folder of image sets.

    Raises:
        TrainingError: for a run that refers to none before it, or options that do not exist.
    """
    runs: Runs = {}
    for config in configs:
        if config.name in runs:
            raise TrainingError(f"run {config.name}: expected distinct names, it is there twice")
        if len(set(config.seeds)) != len(config.seeds) or not config.seeds:
            raise TrainingError(f"run {config.name}: expected distinct seeds, got {config.seeds}")
        if config.trained:
            runs[config.name] = [_trained(config)]
            continue
        runs[config.name] = [
            _run(config, seed, overrides, runs, folder, data) for seed in config.seeds
        ]
    names = [run.name for seeds in runs.values() for run in seeds]
    for name in names:
        if names.count(name) > 1:
            raise TrainingError(
                f"run {name}: expected distinct names with seeds, it is there twice"
            )
    return runs


def _trained(config: RunConfig) -> Run:
    if config.command or config.config or config.overrides:
        raise TrainingError(
            f"run {config.name}: expected either trained, or command and config, got both"
        )
    folder = Path(config.trained)
    if not (folder / LAST).is_file() and not (folder / DESCRIPTION).is_file():
        raise TrainingError(
            f"run {config.name}: expected a run or a bundle in {folder}, there is none"
        )
    return Run(config.name, config.seeds[0], folder, "", {}, None, ())


def _run(
    config: RunConfig,
    seed: int,
    overrides: Mapping[str, Any],
    runs: Runs,
    folder: Path,
    data: Path,
) -> Run:
    if not config.command or config.config is None:
        raise TrainingError(f"run {config.name}: expected command and config, or trained")
    name = f"{config.name}-{seed}" if len(config.seeds) > 1 else config.name
    options = yaml.safe_load(config.config.read_text())
    for more in (overrides, config.overrides, {"loop": {"seed": seed}}):
        options = merged(options, more)
    needs: list[str] = []
    options = _with_folders(options, seed, runs, name, needs)
    out = folder / name
    made = _checked(name, config.command, options, out, data)
    stage, after = made["stage"], tuple(dict.fromkeys(needs))
    scale_factor = getattr(stage, "scale_factor", None)
    sets = (
        *(path for s in made["sources"] for path in (s.path, s.predictions) if path),
        *getattr(stage.validation, "sets", stage.validation),
    )
    return Run(name, seed, out, config.command, options, made["loop"], after, scale_factor, sets)


def merged(options: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings joined; where both have a value, the second's."""
    result = dict(options)
    for key, value in more.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result


def _with_folders(value: Any, seed: int, runs: Runs, name: str, needs: list[str]) -> Any:
    """Replace each ``{run: NAME}`` by its folder; ``needs`` collects their names."""
    if isinstance(value, list):
        return [_with_folders(v, seed, runs, name, needs) for v in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) != {"run"}:
        return {k: _with_folders(v, seed, runs, name, needs) for k, v in value.items()}
    found = find(runs, value["run"], f"run {name}")
    same = [run for run in found if run.seed == seed] or (found if len(found) == 1 else [])
    if not same:
        raise TrainingError(f"run {name}: expected a run {value['run']} of seed {seed}, got none")
    needs.append(same[0].name)
    return str(same[0].folder)


def needed_by(tables: Sequence[TableConfig], judge: str, runs: Runs) -> Runs:
    """The runs that tables are made of, and all that those start from.

    Args:
        tables: whose rows.
        judge: name of the run that every table needs.
        runs: of the study, each after those it needs.
    """
    names = {judge, *(n for table in tables for row in table.rows for n in (row.sr, row.detector))}
    needs: set[str] = set()
    for name, seeds in reversed(runs.items()):
        if name in names or needs.intersection(run.name for run in seeds):
            names.add(name)
            needs.update(need for run in seeds for need in run.needs)
    return {name: seeds for name, seeds in runs.items() if name in names}


def find(runs: Runs, name: str, who: str) -> list[Run]:
    """The runs of a name, one per seed.

    Raises:
        TrainingError: when there is none.
    """
    if name not in runs:
        known = ", ".join(runs) or "none"
        raise TrainingError(f"{who}: expected the name of an earlier run ({known}), got {name!r}")
    return runs[name]


def _checked(name: str, command: str, options: dict[str, Any], out: Path, data: Path) -> Namespace:
    """The command's arguments, defaults filled in."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(STAGES[command])
    try:
        given = {**options, "out": str(out), "data": str(data)}
        parsed = parser.parse_object(copy.deepcopy(given))  # it writes into what it is given
    except (ArgumentError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"run {name}: {reason}") from error
    made: Namespace = parser.instantiate(parsed)
    if made["loop"].max_steps <= 0 and made["loop"].max_minutes <= 0:
        raise TrainingError(f"run {name}: expected loop.max_steps or loop.max_minutes")
    if isinstance(made["stage"], TaskDrivenConfig):
        try:
            check_options(made["stage"])
            check_patch_size(made["stage"], made["patches"].size)
        except TrainingError as error:
            raise TrainingError(f"run {name}: {error}") from error
    return made


def check_image_sets(runs: Iterable[Run], data: Path) -> None:
    """See that there is what runs train and validate on.

    Raises:
        TrainingDataError: naming the run and the set that is not there.
    """
    for run in runs:
        for path in run.image_sets:
            try:
                find_set(data, path)
            except TrainingDataError as error:
                raise TrainingDataError(f"run {run.name}: {error}") from error


def is_finished(run: Run) -> bool:
    """Whether the run's checkpoint has spent its budget.

    Raises:
        CheckpointError: for a checkpoint that cannot be read.
    """
    if run.loop is None:
        return True
    if not (run.folder / LAST).is_file():
        return False
    content = load_checkpoint(run.folder)
    return spent(content["step"], content["seconds"], run.loop) >= 1


def made_of(run: Run, by_name: Mapping[str, Run]) -> dict[str, Any]:
    """What a run's weights depend on: command, options, and the state of the runs before it."""
    options = {
        **run.options,
        "loop": {k: v for k, v in run.options.get("loop", {}).items() if k not in ASIDE},
    }
    return {
        "command": run.command,
        "options": options,
        "runs": {name: state_of(by_name[name].folder) for name in run.needs},
    }


def state_of(folder: Path) -> str:
    """SHA-256 of a run's checkpoint or a bundle's weights; empty where there is none yet."""
    for path in (folder / LAST, folder / WEIGHTS):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def check_unchanged(run: Run, by_name: Mapping[str, Run]) -> None:
    """Refuse a run that was started with other options, or from other weights, than now.

    Raises:
        CheckpointError: in that case.
    """
    if run.loop is None or not (run.folder / LAST).is_file():
        return
    path = run.folder / MADE_OF
    if not path.is_file():
        raise CheckpointError(
            f"run {run.name}: {run.folder} was not trained by a study; "
            f"expected a new folder, or the run as `trained: {run.folder}`"
        )
    before, now = json.loads(path.read_text()), made_of(run, by_name)
    folders = [str(by_name[name].folder) for name in run.needs]
    changed = _difference(before, json.loads(json.dumps(now)), folders)
    if changed:
        raise CheckpointError(
            f"run {run.name}: {changed} since it was started; "
            f"remove {run.folder} to train it again, or give it another name"
        )


def _difference(before: Any, now: Any, folders: Collection[str]) -> str:
    """The first difference of two nested values in words; empty where there is none.

    The folders of earlier runs may have other names than before, their weights are compared.
    """
    for where, was, value in differences(before, now):
        if value in folders:
            continue
        name = where.removeprefix("options.")
        if name.startswith("runs."):
            return f"{name.removeprefix('runs.')}, which it starts from, has been trained anew"
        return f"{name} has changed from {was!r} to {value!r}"
    return ""
