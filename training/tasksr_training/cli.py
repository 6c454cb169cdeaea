"""`tasksr-train`: one command per stage."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentParser
from lightning_fabric.utilities.rank_zero import rank_zero_only

from tasksr_ros.errors import TaskSRError
from tasksr_training import compare_sr_report, data_commands
from tasksr_training.checkpoints import LAST
from tasksr_training.compare_sr import ComparisonConfig
from tasksr_training.compare_sr import compare as measure_sr
from tasksr_training.drives import write_drives
from tasksr_training.export import export, export_sr
from tasksr_training.options import differences
from tasksr_training.precision import precision_predictions
from tasksr_training.stage_commands import STAGES, check_options
from tasksr_training.study.command import study
from tasksr_training.whole_files import replace_text


def compare_sr(
    out: Path,
    data: Path,
    runs: Path,
    comparisons: list[ComparisonConfig],
    threads: int = 1,
) -> None:
    """Compare super-resolution networks: size, cost, PSNR and SSIM beside bicubic.

    Args:
        out: folder for ``compare_sr.json``, the table, the plot, training curves and panels.
        data: folder that the paths of image sets start from.
        runs: folder that the paths of training runs start from.
        comparisons: systems on the same LR images.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    result, panels = measure_sr(comparisons, data, runs)
    (out / "compare_sr.json").write_text(json.dumps(result, indent=1))
    table = compare_sr_report.markdown(result)
    (out / "compare_sr.md").write_text(table)
    compare_sr_report.plot(result, out / "compare_sr.png")
    compare_sr_report.curves(comparisons, runs, out / "curves.png")
    for index, panel in enumerate(panels):
        compare_sr_report.draw_panel(panel, out / f"panel_{index + 1:02}.png")
    print(table)


COMMANDS: dict[str, Callable[..., object]] = {
    **STAGES,
    "study": study,
    "compare-sr": compare_sr,
    "precision-predictions": precision_predictions,
    "export": export,
    "export-sr": export_sr,
    "generated-drives": write_drives,
}

OPTIONS = "config.yaml"
"""The options of a run, in its folder."""

FLAGS = {
    "plan": "only say what would be done",
    "so_far": "train nothing, make the tables of what is trained",
}
"""Of `study`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = ArgumentParser(prog="tasksr-train", description=__doc__)
    commands = parser.add_subcommands(dest="command")
    for name, function in COMMANDS.items():
        command = ArgumentParser(description=(function.__doc__ or "").split("\n")[0])
        command.add_argument("--config", action="config", help="YAML file of these options")
        command.add_function_arguments(function, skip=set(FLAGS))
        for flag, text in FLAGS.items() if function is study else ():
            command.add_argument(f"--{flag}", action="store_true", help=text)
        commands.add_subcommand(name, command)
    data_commands.add_to(commands)
    parsed = parser.parse_args(argv)
    try:
        arguments = parser.instantiate(parsed)
        if arguments.command == "data":
            data_commands.run(arguments.data)
            return 0
        values = dict(arguments[arguments.command])
        values.pop("config", None)
        if "loop" in values:
            check_options(values["stage"], values["patches"], values["loop"])
            _keep(parser.dump(parsed), values["out"])
        COMMANDS[arguments.command](**values)
    except TaskSRError as error:
        print(f"tasksr-train: {error}", file=sys.stderr)
        return 1
    return 0


@rank_zero_only
def _keep(text: str, out: Path) -> None:
    """Write the options of a run beside its checkpoints; say which it did not begin with.

    Of several processes the first does so.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / OPTIONS
    if (out / LAST).exists() and path.exists():
        before = path.read_text(encoding="utf-8")
        for name, was, now in differences(*(yaml.safe_load(t) for t in (before, text))):
            print(f"tasksr-train: {out}: goes on with {name} {now}, was {was}", file=sys.stderr)
    replace_text(path, text)


if __name__ == "__main__":
    sys.exit(main())
