"""The command ``tasksr benchmark``: its options, and what they start."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from tasksr_ros.benchmarks.config import (
    EnginesConfig,
    NetworksConfig,
    NodeBenchmarkConfig,
    PipelineBenchmarkConfig,
    PredictConfig,
    SlicedConfig,
)
from tasksr_ros.errors import ConfigError


@dataclass(frozen=True)
class Benchmark:
    """One of the benchmarks.

    Attributes:
        text: what it measures.
        config: dataclass of its options.
        module: below `benchmarks`; has ``benchmark_<name>``.
        shown_by: module with ``COLUMNS`` and ``bars``.
        axis: what the bars are.
        needs_topics: whether it sends large images over topics.
    """

    text: str
    config: type
    module: str
    shown_by: str
    axis: str
    needs_topics: bool = False


BENCHMARKS: dict[str, Benchmark] = {
    "networks": Benchmark(
        "super-resolution alone, in every form and engine",
        NetworksConfig,
        "networks",
        "report",
        "wall time of one region, ms (median)",
    ),
    "engines": Benchmark(
        "super-resolution and detector: every engine, batches, sizes",
        EnginesConfig,
        "engines",
        "engines",
        "wall time for each region, ms (median)",
    ),
    "pipeline": Benchmark(
        "whole frames, raw and JPEG, against the engine alone; one and more cameras",
        PipelineBenchmarkConfig,
        "pipeline",
        "pipeline",
        "wall time of the frames of all cameras, ms (median)",
    ),
    "node": Benchmark(
        "the node over topics: age, processor time, memory, start",
        NodeBenchmarkConfig,
        "node",
        "node_report",
        "ms (see the names)",
        needs_topics=True,
    ),
    "sliced": Benchmark(
        "against sliced inference (sahi) on generated drives: recall and cost",
        SlicedConfig,
        "sliced",
        "sliced",
        "wall time of one frame, ms",
    ),
    "predict": Benchmark(
        "estimates for other devices, from operations, bytes and published peaks",
        PredictConfig,
        "predict",
        "predict",
        "estimated time of a call, ms",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each benchmark."""
    parser.add_argument(
        "--predict", nargs="+", metavar="DEVICE", help="short for predict --devices DEVICE"
    )
    parser.set_defaults(what=None)
    commands = parser.add_subparsers(dest="what", metavar="WHAT")
    for name, benchmark in BENCHMARKS.items():
        sub = commands.add_parser(name, help=benchmark.text, description=benchmark.text)
        if name == "networks":
            _add_networks(sub)
        else:
            _add_fields(sub, benchmark.config)
        sub.add_argument("--json", type=Path, help="file to write the figures to")
        sub.add_argument("--picture", type=Path, help="PNG or SVG to draw them in")
        sub.add_argument(
            "--record", type=Path, metavar="DOCUMENT.md", help="put the table between its marks"
        )


def run(options: argparse.Namespace, command: str) -> None:
    """Run a benchmark and show its figures.

    Args:
        options: as `add_arguments` defines them.
        command: as typed.

    Raises:
        ConfigError: without a benchmark, or for values that do not serve.
    """
    name, config = _chosen(options)
    benchmark = BENCHMARKS[name]
    if benchmark.needs_topics:
        from tasksr_ros.transport import restart_with_transport

        restart_with_transport()
    files = [getattr(options, kind, None) for kind in ("json", "picture", "record")]
    _check_files(*files)
    try:
        rows = _function(benchmark.module, f"benchmark_{name}")(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from None
    _show(name, rows, command, *files)


def _chosen(options: argparse.Namespace) -> tuple[str, Any]:
    if options.predict and options.what is None:
        return "predict", PredictConfig(devices=tuple(options.predict))
    if options.what is None or options.predict:
        raise ConfigError(f"one of {', '.join(BENCHMARKS)} must be named, or --predict DEVICE")
    if options.what == "networks":
        return options.what, _networks_config(options)
    config = BENCHMARKS[options.what].config
    given = {f.name: getattr(options, f.name) for f in fields(config)}
    values = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    return options.what, replace(config(), **{n: v for n, v in values.items() if v is not None})


def _check_files(json_file: Path | None, drawn: Path | None, document: Path | None) -> None:
    from tasksr_ros.recordings import make_folder

    for file in filter(None, (json_file, drawn)):
        make_folder(file.parent)
    if document is not None and not document.is_file():
        raise ConfigError(f"--record must be a document with marks, got {document}")


def _show(
    name: str,
    rows: list[Any],
    command: str,
    json_file: Path | None,
    drawn: Path | None,
    document: Path | None,
) -> None:
    from tasksr_ros.benchmarks.output import as_json, markdown, picture, record

    benchmark = BENCHMARKS[name]
    shown_by = import_module(f"tasksr_ros.benchmarks.{benchmark.shown_by}")
    table = markdown(rows, shown_by.COLUMNS)
    print(table)
    if json_file:
        json_file.write_text(json.dumps(as_json(rows), indent=1), encoding="utf-8")
    if drawn:
        picture(shown_by.bars(rows), drawn, benchmark.axis)
    if document:
        record(document, name, without_files(command), table)


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


def _function(module: str, name: str) -> Callable[[Any], list[Any]]:
    function: Callable[[Any], list[Any]] = getattr(
        import_module(f"tasksr_ros.benchmarks.{module}"), name
    )
    return function


def _add_fields(parser: argparse.ArgumentParser, config: type) -> None:
    """One option for each field."""
    types = get_type_hints(config)
    for f in fields(config):
        kind = types[f.name]
        several = get_origin(kind) is tuple
        default = f.default if not several else " ".join(map(str, f.default))  # type: ignore[arg-type]
        parser.add_argument(
            f"--{f.name.replace('_', '-')}",
            type=get_args(kind)[0] if several else kind,
            nargs="+" if several else None,
            metavar=f.name.upper(),
            help=f"{f.metadata['help']} ({default})",
        )


def _add_networks(parser: argparse.ArgumentParser) -> None:
    default = NetworksConfig()
    parser.add_argument(
        "--networks", nargs="+", default=default.networks, help="DBPN variants (dbpn-ss)"
    )
    parser.add_argument("--scale-factor", type=int, default=4, help="2, 4 or 8 (%(default)s)")
    parser.add_argument(
        "--region",
        nargs=2,
        type=int,
        default=default.region_hw,
        metavar=("HEIGHT", "WIDTH"),
        help="LR region, px (96 320)",
    )
    parser.add_argument("--threads", nargs="+", type=int, default=default.threads, help="(1 2)")
    parser.add_argument(
        "--rounds", type=int, default=default.rounds, help="timed runs of each (%(default)s)"
    )
    parser.add_argument(
        "--forms", nargs="+", default=default.forms, metavar="FORM", help="; ".join(default.forms)
    )
    parser.add_argument("--weights", default="", help="measure this bundle's network instead")
    parser.add_argument("--calibration", default="", help="images, video or bag, for int8")
    parser.add_argument("--images", default="", help="HR images for PSNR-Y, with --weights")


def _networks_config(options: argparse.Namespace) -> NetworksConfig:
    height, width = options.region
    return NetworksConfig(
        networks=tuple(options.networks),
        scale_factor=options.scale_factor,
        region_hw=(height, width),
        threads=tuple(options.threads),
        rounds=options.rounds,
        forms=tuple(options.forms),
        weights=options.weights,
        calibration=options.calibration,
        images=options.images,
    )
