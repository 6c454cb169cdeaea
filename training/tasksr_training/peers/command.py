"""`tasksr-train peers …`: the networks of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from tasksr_training.errors import CheckpointError

HEAD = "| file | output | largest difference, of the range |\n| --- | --- | --- |"


def check(files: list[Path]) -> None:
    """Compare our forms of published networks with reference outputs of the published code.

    Prints a table. Exit status 1 where an output is further off than 1e-4 of its range, or a file
    cannot be compared; the others are compared all the same.

    Args:
        files: safetensors files of weights, inputs and outputs.
    """
    from tasksr_training.peers.check import TOLERANCE, differences  # torch takes seconds
    from tasksr_training.peers.reference import read_reference

    print(HEAD, flush=True)
    bad = []
    for path in files:
        try:
            found = differences(read_reference(path))
        except CheckpointError as error:
            print(f"tasksr-train: {path}: {error}", file=sys.stderr)
            bad.append(path)
            continue
        for one in found:
            note = "" if one.small else f", above {TOLERANCE:.0e}"
            print(f"| {path.name} | {one.output} | {one.relative:.1e}{note} |", flush=True)
        if not all(one.small for one in found):
            bad.append(path)
    if bad:
        raise CheckpointError(
            f"expected outputs within {TOLERANCE:.0e} of their range in all of {len(files)} files, "
            f"not so in {len(bad)}: {', '.join(path.name for path in bad)}"
        )


def add_to(commands: Any) -> None:
    """Add ``peers`` with its own commands to those of ``tasksr-train``."""
    parser = ArgumentParser(description="Networks that others published.")
    commands.add_subcommand("peers", parser)
    actions = parser.add_subcommands(dest="action")
    action = ArgumentParser(description=(check.__doc__ or "").split("\n")[0])
    text = "safetensors files of a published network's weights, inputs and outputs"
    action.add_argument("files", type=Path, nargs="+", help=text)
    actions.add_subcommand("check", action)


def run(arguments: Namespace) -> None:
    """Run the chosen one."""
    check(arguments.check.files)
