"""The command ``tasksr benchmark``, and what benchmarks that are not installed share with it."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tasksr_ros.benchmarks.config import (
    EnginesConfig,
    NodeBenchmarkConfig,
    PipelineBenchmarkConfig,
)
from tasksr_ros.benchmarks.output import Benchmark, as_json, markdown, picture, record
from tasksr_ros.cli.arguments import add_config, exit_status, given
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import build

CONFIGS: dict[str, type] = {
    "engines": EnginesConfig,
    "pipeline": PipelineBenchmarkConfig,
    "node": NodeBenchmarkConfig,
}
"""Of the installed benchmarks: modules of `tasksr_ros.benchmarks`, which load slowly."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each installed benchmark."""
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, config in CONFIGS.items():
        text = _text(config)
        _add_options(commands.add_parser(name, help=text, description=text), config)


def run(options: argparse.Namespace, command: str) -> None:
    """Run an installed benchmark and show its figures.

    Args:
        options: as `add_arguments` defines them.
        command: as typed.

    Raises:
        ConfigError: for values that do not serve.
    """
    if options.what == "node":
        from tasksr_ros.ros.transport import restart_with_transport

        restart_with_transport()
    module = import_module(f"tasksr_ros.benchmarks.{options.what}")
    run_benchmark(module.BENCHMARK, options, command)


def main(benchmark: Benchmark, arguments: Sequence[str] | None = None) -> int:
    """Run a benchmark as a command of its own; returns its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    program = f"python -m benchmarks.{benchmark.name}"
    parser = argparse.ArgumentParser(prog=program, description=_text(benchmark.config))
    _add_options(parser, benchmark.config)
    options = parser.parse_args(arguments)
    typed = sys.argv[1:] if arguments is None else arguments
    command = shlex.join([*program.split(), *typed])
    return exit_status(program, lambda: run_benchmark(benchmark, options, command))


def run_benchmark(benchmark: Benchmark, options: argparse.Namespace, command: str) -> None:
    """Measure, print the table, and write the files asked for.

    Raises:
        ConfigError: for values that do not serve.
    """
    from tasksr_ros.io.recording import make_folder

    config: object = build(benchmark.config, given(options, benchmark.config))
    for file in filter(None, (options.json, options.picture)):
        make_folder(file.parent)
    if options.record and not options.record.is_file():
        raise ConfigError(f"--record must be a document with marks, got {options.record}")
    try:
        rows = benchmark.measure(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from None
    table = markdown(rows, benchmark.columns)
    print(table)
    if options.json:
        options.json.write_text(json.dumps(as_json(rows), indent=1), encoding="utf-8")
    if options.picture:
        picture(benchmark.bars(rows), options.picture, benchmark.axis)
    if options.record:
        record(options.record, benchmark.name, without_files(command), table)


def without_files(command: str) -> str:
    """The command without the files that somebody wanted beside the document."""
    kept: list[str] = []
    words = iter(shlex.split(command))
    for word in words:
        if word in ("--json", "--picture"):
            next(words, None)
        elif not word.startswith(("--json=", "--picture=")):
            kept.append(word)
    return shlex.join(kept)


def _add_options(parser: Any, config: type) -> None:
    add_config(parser, config)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--picture", type=Path, help="PNG or SVG to draw them in")
    parser.add_argument(
        "--record", type=Path, metavar="DOCUMENT.md", help="put the table between its marks"
    )


def _text(config: type) -> str:
    return (config.__doc__ or "").splitlines()[0]
