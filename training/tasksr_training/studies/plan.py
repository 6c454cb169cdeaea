"""The runs of a study: their options, in what order, and which are finished."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from tasksr_ros.bundle import DESCRIPTION
from tasksr_training.checkpoints import LAST, load_checkpoint, networks_of
from tasksr_training.coco import find_set, paths_of
from tasksr_training.errors import TrainingDataError, TrainingError
from tasksr_training.loop import spent
from tasksr_training.loop_config import LoopConfig
from tasksr_training.stage_commands import STAGES, check_options
from tasksr_training.studies.config import RunConfig, SetConfig, TableConfig


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
        networks: ``sr``, ``detector`` or both, whatever it holds, with the scale factor of what
            each learns on; None: HR images, or not known.
        sources: image sets that it learns from, relative to the data folder.
        further_files: that it reads, likewise: validation sets and predictions on the sources.
    """

    name: str
    seed: int
    folder: Path
    command: str
    options: dict[str, Any]
    loop: LoopConfig | None
    needs: tuple[str, ...]
    networks: Mapping[str, int | None] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    further_files: tuple[str, ...] = ()


Runs = dict[str, list[Run]]
"""Runs by the name in the study's file, one per seed."""

HOLDS = {"super-resolution": ("sr",), "detector": ("detector",), "task-driven": ("sr", "detector")}
"""The networks of what each command trains."""

STARTS_FROM = {
    "sr_checkpoint": "sr",
    "detector_checkpoint": "detector",
    "hr_detector_checkpoint": "detector",
}
"""Options of a stage that name an earlier run, and the network that is taken from there."""


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
    networks = _networks_in(folder)
    return Run(config.name, config.seeds[0], folder, "", {}, None, (), networks)


def _networks_in(folder: Path) -> dict[str, int | None]:
    return {part: made.get("scale_factor") for part, made in networks_of(folder).items()}


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
    stage, sources = made["stage"], made["sources"]
    _check_start(name, stage, runs)
    networks = dict.fromkeys(HOLDS[config.command], getattr(stage, "scale_factor", None))
    further = (
        *(source.predictions for source in sources if source.predictions),
        *getattr(stage.validation, "sets", stage.validation),
    )
    return Run(
        name,
        seed,
        out,
        config.command,
        options,
        made["loop"],
        tuple(dict.fromkeys(needs)),
        networks,
        tuple(source.path for source in sources),
        further,
    )


def _check_start(name: str, stage: Any, runs: Runs) -> None:
    """See that the runs that a stage starts from hold what it takes from them."""
    by_folder = {str(run.folder): run for seeds in runs.values() for run in seeds}
    for option, part in STARTS_FROM.items():
        path = getattr(stage, option, "")
        if not path:
            continue
        held = by_folder[path].networks if path in by_folder else _networks_in(Path(path))
        who = f"run {name}: stage.{option}: expected"
        if part not in held:
            raise TrainingError(f"{who} one with {part}, got {path} with {' and '.join(held)}")
        if part == "sr" and held[part] not in (None, stage.scale_factor):
            raise TrainingError(
                f"{who} scale factor {stage.scale_factor}, got {path} of {held[part]}"
            )


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


def check_holds(run: Run, part: str, who: str) -> None:
    """See that a run's weights are those of ``sr`` or ``detector``.

    Raises:
        TrainingError: naming who needs that network.
    """
    if part not in run.networks:
        raise TrainingError(
            f"{who}: expected a run with {part}, got {run.name} with {' and '.join(run.networks)}"
        )


@functools.cache
def _parser(command: str) -> ArgumentParser:
    """Of a command's options; a study has dozens of runs of each."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(STAGES[command])
    return parser


def _checked(name: str, command: str, options: dict[str, Any], out: Path, data: Path) -> Namespace:
    """The command's arguments, defaults filled in."""
    parser = _parser(command)
    try:
        given = {**options, "out": str(out), "data": str(data)}
        parsed = parser.parse_object(copy.deepcopy(given))  # it writes into what it is given
    except (ArgumentError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"run {name}: {reason}") from error
    made: Namespace = parser.instantiate(parsed)
    try:
        check_options(made["stage"], made["patches"], made["loop"])
    except TrainingError as error:
        raise TrainingError(f"run {name}: {error}") from error
    return made


def check_image_sets(runs: Iterable[Run], data: Path) -> None:
    """See that there is what runs train and validate on.

    Raises:
        TrainingDataError: naming the run and the set that is not there.
    """
    for run in runs:
        for path in (*run.sources, *run.further_files):
            try:
                find_set(data, path)
            except TrainingDataError as error:
                raise TrainingDataError(f"run {run.name}: {error}") from error


def check_not_trained_on(runs: Iterable[Run], sets: Sequence[SetConfig], data: Path) -> None:
    """See that no run learns from what is measured on.

    Raises:
        TrainingDataError: naming the run and the set.
    """
    measured = {(data / one.path).resolve(): one.path for one in sets}
    for run in runs:
        for path in (p.resolve() for source in run.sources for p in paths_of(data, source)):
            if path in measured:
                raise TrainingDataError(
                    f"sets: expected images that nothing is trained on, run {run.name} learns "
                    f"from {measured[path]}"
                )


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
