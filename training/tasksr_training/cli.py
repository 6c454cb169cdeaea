"""`tasksr-train`: one command per stage."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from tasksr_ros.errors import TaskSRError
from tasksr_training import data_commands
from tasksr_training.checkpoints import LAST, OPTIONS
from tasksr_training.errors import TrainingError
from tasksr_training.options import as_yaml, differences
from tasksr_training.peers import command as peer_commands
from tasksr_training.whole_files import replace_text

COMMANDS = {
    "super-resolution": "stage_commands.super_resolution",
    "detector": "stage_commands.detector",
    "native-detector": "stage_commands.native_detector",
    "task-driven": "stage_commands.task_driven",
    "native-task-driven": "stage_commands.native_task_driven",
    "adapt": "adapt.command.adapt",
    "study": "studies.command.study",
    "study-page": "studies.page.study_page",
    "compare-sr": "studies.compare_sr_command.compare_sr",
    "export": "export.export",
    "export-sr": "export.export_sr",
    "export-joined": "joined_export.export_joined",
    "generated-drives": "drives.write_drives",
    "pseudo-labels": "pseudo_labels.write_pseudo_labels",
    "choose-native": "native_choice.choose_native",
    "export-native": "native_export.export_native",
}
"""Where the function of each command is; it is imported when the command is given."""

GROUPS = {"data": data_commands, "peers": peer_commands}
"""Words that have commands of their own."""

FLAGS = {
    "plan": "only say what would be done",
    "so_far": "train nothing, make the tables of what is trained",
}
"""Of `study`."""

PATHS = {"adapt": {"recordings": "bags, videos, folders of images"}}
"""Options that take any number of paths, by command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = ArgumentParser(prog="tasksr-train", description=__doc__)
    commands = parser.add_subcommands(dest="command")
    for name in COMMANDS:
        given = words[:1] == [name]
        commands.add_subcommand(name, _options(name) if given else ArgumentParser())
    for group in GROUPS.values():
        group.add_to(commands)
    parsed = parser.parse_args(words)
    try:
        arguments = parser.instantiate(parsed)
        if arguments.command in GROUPS:
            GROUPS[arguments.command].run(arguments[arguments.command])
            return 0
        values = dict(arguments[arguments.command])
        values.pop("config", None)
        if "loop" in values:
            _check(values)
            _keep(as_yaml({arguments.command: values}), values["out"])
        _function(arguments.command)(**values)
    except TaskSRError as error:
        from tqdm import tqdm

        # On a line of its own, also where a bar was being drawn.
        tqdm.write(f"tasksr-train: {error}", file=sys.stderr)
        return 1
    return 0


def _function(name: str) -> Callable[..., object]:
    module, function = COMMANDS[name].rsplit(".", 1)
    found: Callable[..., object] = getattr(
        importlib.import_module(f"tasksr_training.{module}"), function
    )
    return found


def _options(name: str) -> ArgumentParser:
    function = _function(name)
    command = ArgumentParser(description=(function.__doc__ or "").split("\n")[0])
    command.add_argument("--config", action="config", help="YAML file of these options")
    paths = PATHS.get(name, {})
    command.add_function_arguments(
        function, skip={*FLAGS, *paths}, as_positional=name == "study-page"
    )
    for path, text in paths.items():
        command.add_argument(f"--{path}", nargs="+", type=str, required=True, help=text)
    for flag, text in FLAGS.items() if name == "study" else ():
        command.add_argument(f"--{flag}", action="store_true", help=text)
    return command


def _check(values: dict[str, Any]) -> None:
    from tasksr_training.stage_commands import check_options

    if "stage" in values:
        check_options(values["stage"], values["patches"], values["loop"])


def _keep(text: str, out: Path) -> None:
    """Write the options of a run beside its checkpoints; say which it did not begin with.

    Of several processes the first does so.
    """
    from lightning_fabric.utilities.rank_zero import rank_zero_only  # takes seconds

    if rank_zero_only.rank:
        return
    path = out / OPTIONS
    if (out / LAST).exists() and path.exists():
        before = path.read_text(encoding="utf-8")
        for name, was, now in differences(*(yaml.safe_load(t) for t in (before, text))):
            print(f"tasksr-train: {out}: goes on with {name} {now}, was {was}", file=sys.stderr)
    try:
        out.mkdir(parents=True, exist_ok=True)
        replace_text(path, text)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
