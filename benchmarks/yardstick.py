"""Bundles beside public detectors on native images: AP by height, and time, in one table.

Every row goes the deployed way: ``tasksr import-detector``, ``tasksr replay`` over whole images,
and the functions of ``tasksr evaluate``. A finished replay is not run again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.yardstick_figures import (
    Figures,
    Matched,
    compared,
    figures,
    match_file,
    pooled,
)
from benchmarks.yardstick_replays import (
    How,
    Set,
    find_sets,
    frame_gmac,
    fused,
    milliseconds,
    replayed,
)
from benchmarks.yardstick_report import ALL, Row, picture, reference, table
from benchmarks.yardstick_rows import FUSED, Runner, own_runners, public_runners
from tasksr_ros.benchmarks.output import machine, put
from tasksr_ros.cli.arguments import add_config, exit_status, given
from tasksr_ros.config import MODEL_SCORE_THRESHOLD
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.recording import make_folder
from tasksr_ros.options import build, option

PROGRAM = "python -m benchmarks.yardstick"


@dataclass(frozen=True)
class YardstickConfig:
    """Bundles beside public detectors on native images: AP by height, and time."""

    data: str = option("", "folder of the sets, each with val.json and its images")
    weights: str = option("", "folder of the public detectors' files")
    bundles: tuple[str, ...] = option(
        ("",),
        "bundles to measure, names or folders; @tiles behind: in tiles of their size; "
        "@node: as the node by default",
    )
    out: str = option("out/yardstick", "folder for the results")
    sets: tuple[str, ...] = option(("camvid", "bdd100k", "kitti_object"), "folders below data")
    against: str = option("", "row that all are compared with; empty: the best single public one")
    every: int = option(1, "use each n-th image", low=1)
    time_every: int = option(
        10, "time each n-th image, with the bundles' own score thresholds", low=1
    )
    time_again: bool = option(False, "time rows again that are timed, as when the machine is idle")
    threads: int = option(0, "CPU threads of the engine; 0: all cores", low=0, high=1024)
    samples: int = option(1000, "of the bootstrap over images; 0: no intervals", low=0)


@dataclass
class Measured:
    """What is known of a row before rows are compared.

    Attributes:
        kind: public, fused or ours.
        files: predictions by set.
        ms: of a frame, by set.
        gmac: of a frame, by set.
    """

    kind: str
    files: dict[str, Path] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)
    gmac: dict[str, float] = field(default_factory=dict)


def yardstick(config: YardstickConfig) -> list[Row]:
    """Replay and evaluate every row.

    Raises:
        TaskSRError: if a folder, a file or a bundle does not serve.
    """
    sets = find_sets(_folder("data", config.data), config.sets)
    out = Path(config.out)
    weights = _folder("weights", config.weights)
    own = own_runners(config.bundles)
    runners = public_runners(weights, out / "bundles") + own
    measured = _replay_all(runners, sets, config)
    measured = _with_fused(measured, out / "replays")
    matched = {
        name: {s.name: match_file(s.truth, row.files[s.name]) for s in sets}
        for name, row in tqdm(measured.items(), "matching", unit="row")
    }
    return _rows(measured, matched, config)


def _folder(name: str, value: str) -> Path:
    if not value or not Path(value).is_dir():
        raise ConfigError(f"{name} must be a folder, got {value!r}")
    return Path(value)


def _replay_all(
    runners: Sequence[Runner], sets: Sequence[Set], config: YardstickConfig
) -> dict[str, Measured]:
    found = {r.name: Measured("ours" if r.ours else "public") for r in runners}
    out = Path(config.out)
    curves = How(out / "replays", config.every, config.threads)
    times = How(out / "times", config.time_every, config.threads, MODEL_SCORE_THRESHOLD)
    times = replace(times, again=config.time_again)
    for of, runner in itertools.product(sets, runners):
        row = found[runner.name]
        row.files[of.name] = replayed(runner, of, curves)
        row.gmac[of.name] = frame_gmac(runner, of)
    for of, runner in itertools.product(sets, runners):
        found[runner.name].ms[of.name] = milliseconds(replayed(runner, of, times))
    return found


def _with_fused(measured: Mapping[str, Measured], out: Path) -> dict[str, Measured]:
    """The fused rows behind the public ones; they cost what their parts cost together."""
    rows = {name: row for name, row in measured.items() if row.kind == "public"}
    for names in FUSED:
        parts = [measured[name] for name in names]
        row = Measured("fused")
        for name in parts[0].files:
            row.files[name] = fused(" + ".join(names), [p.files[name] for p in parts], out / name)
            row.ms[name] = sum(p.ms[name] for p in parts)
            row.gmac[name] = sum(p.gmac[name] for p in parts)
        rows[" + ".join(names)] = row
    return {**rows, **measured}


def _rows(
    measured: Mapping[str, Measured],
    matched: Mapping[str, dict[str, Matched]],
    config: YardstickConfig,
) -> list[Row]:
    matched = {name: {**by, ALL: pooled(list(by.values()))} for name, by in matched.items()}
    rows = [
        Row(name, m.kind, m.ms, m.gmac, {s: figures(of) for s, of in matched[name].items()})
        for name, m in measured.items()
    ]
    other = reference(rows, config.against)

    def beside_other(row: Row) -> dict[str, dict[str, Figures]]:
        theirs, figures_of = matched[other.name], other.figures
        return {
            s: compared(of, row.figures[s], theirs[s], figures_of[s], config.samples)
            for s, of in matched[row.name].items()
        }

    return [
        row if row is other else replace(row, figures=beside_other(row))
        for row in tqdm(rows, "intervals", unit="row")
    ]


def said(config: YardstickConfig, rows: Sequence[Row], command: str) -> str:
    """What stands above the table: the command, the machine, and which row the best public is."""
    of, threads = machine(), config.threads or os.cpu_count()
    people = ", ".join(f"{s} {f['12+'].people}" for s, f in rows[0].figures.items() if s != ALL)
    return (
        f"`{command}`; {of['processor']}, {threads} threads, load at the end "
        f"{of['load_at_the_end']:.1f}; people of 12 px and more: {people}; "
        f"{'compared with' if config.against else 'best single public row'}: "
        f"{reference(rows, config.against).name}."
    )


def write(config: YardstickConfig, rows: Sequence[Row], command: str) -> str:
    """Write yardstick.json, .md and .png; returns the Markdown."""
    out = Path(config.out)
    text = f"{said(config, rows, command)}\n\n{table(rows, config.sets, config.against)}\n"
    values: dict[str, Any] = {
        "command": command,
        "config": asdict(config),
        "machine": machine(),
        "against": reference(rows, config.against).name,
        "rows": [asdict(row) for row in rows],
    }
    (out / "yardstick.json").write_text(json.dumps(values, indent=1), encoding="utf-8")
    (out / "yardstick.md").write_text(text, encoding="utf-8")
    picture(rows, out / "yardstick.png")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog=PROGRAM, description=YardstickConfig.__doc__)
    add_config(parser, YardstickConfig)
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DOCUMENT.md",
        help="put the table between its marks, <!-- yardstick --> and <!-- end of yardstick -->",
    )
    options = parser.parse_args(arguments)

    def run() -> None:
        config = build(YardstickConfig, given(options, YardstickConfig))
        if options.record and not options.record.is_file():
            raise ConfigError(f"--record must be a document with marks, got {options.record}")
        make_folder(Path(config.out))
        rows = yardstick(config)
        text = write(config, rows, _command(config))
        print(text)
        if options.record:
            put(options.record, "yardstick", text)

    return exit_status(PROGRAM, run)


def _command(config: YardstickConfig) -> str:
    """How anyone runs it: the folders are the reader's own."""
    words = ["make", "yardstick", "DATA=…", "WEIGHTS=…"]
    bundles = " ".join(filter(None, config.bundles))
    if config.against:
        words = [PROGRAM, "--data", "…", "--weights", "…", "--against", shlex.quote(config.against)]
        return " ".join([*words, *(["--bundles", bundles] if bundles else [])])
    return shlex.join(words).replace("'", "") + (f' BUNDLES="{bundles}"' if bundles else "")


if __name__ == "__main__":
    sys.exit(main())
