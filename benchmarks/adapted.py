"""Super-resolution for a detector's sake, on native images: every network before every detector.

A row is a detector behind nothing, behind bicubic enlargement, or behind the network of a bundle.
All go the deployed way, as in the yardstick, and are compared with bicubic enlargement before the
same detector, image by image.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tasksr_training.adapt.export import export_before
from tqdm import tqdm

from benchmarks.adapted_psnr import psnr_of
from benchmarks.reduced_sets import reduced
from benchmarks.yardstick_figures import (
    FAR,
    FARTHEST,
    NEAR,
    Figures,
    Matched,
    compared,
    figures,
    match_file,
    pooled,
)
from benchmarks.yardstick_replays import How, Set, find_sets, replayed
from benchmarks.yardstick_rows import Runner
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.bundle import find_bundle, load_bundle
from tasksr_ros.cli.arguments import add_config, exit_status, given
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.recording import make_folder
from tasksr_ros.options import build, option

PROGRAM = "python -m benchmarks.adapted"
ALONE, BICUBIC, ALL = "alone", "bicubic", "all"
BANDS = (FARTHEST, FAR, NEAR)


@dataclass(frozen=True)
class AdaptedConfig:
    """Networks before detectors on native images: AP50 by height, less bicubic, and PSNR."""

    data: str = option("", "folder of the sets, each with val.json and its images")
    detectors: tuple[str, ...] = option(("",), "bundles whose detectors look")
    networks: tuple[str, ...] = option(("",), "bundles whose super-resolution is tried")
    out: str = option("out/adapted", "folder for the results")
    sets: tuple[str, ...] = option(("camvid", "bdd100k", "kitti_object"), "folders below data")
    view: Literal["whole", "tiles", "node"] = option(
        "whole", "how images are seen, as in the yardstick"
    )
    alone: bool = option(True, "also without anything before the detector")
    every: int = option(1, "use each n-th image", low=1)
    reduced: int = option(1, "how many times the images are reduced first", low=1, high=8)
    psnr_every: int = option(10, "PSNR of each n-th image, reduced and enlarged again", low=1)
    threads: int = option(0, "CPU threads of the engine; 0: all cores", low=0, high=1024)
    samples: int = option(1000, "of the bootstrap over images; 0: no intervals", low=0)


@dataclass
class Row:
    """A detector behind something.

    Attributes:
        detector: name of its bundle.
        before: ``ALONE``, ``BICUBIC``, or the name of the network's bundle.
        figures: by set and band, with differences to ``BICUBIC``.
        psnr: of what is before, dB, mean of the sets' images; None for nothing.
    """

    detector: str
    before: str
    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    psnr: float | None = None


def adapted(config: AdaptedConfig) -> list[Row]:
    """Replay and compare every pair.

    Raises:
        TaskSRError: if a folder or a bundle does not serve.
    """
    _check(config)
    sets = find_sets(Path(config.data), config.sets)
    names = {_name(text): find_bundle(text) for text in config.networks if text}
    factor = _scale_factor(names)
    seen, how = sets, How(Path(config.out) / "replays" / config.view, config.every, config.threads)
    if config.reduced > 1:
        folder = Path(config.out) / f"reduced-{config.reduced}-{config.every}"
        seen = [reduced(of, config.reduced, config.every, folder) for of in sets]
        how = replace(how, out=folder / "replays" / config.view, every=1)
    rows = []
    for text in config.detectors:
        found = _of_detector(text, names, factor, seen, how, config)
        rows += _rows(_name(text), found, config.samples)
    psnr = {
        name: psnr_of(path, factor, sets, config.psnr_every)
        for name, path in {BICUBIC: None, **names}.items()
    }
    return [replace(row, psnr=psnr.get(row.before)) for row in rows]


def _check(config: AdaptedConfig) -> None:
    if not config.data or not Path(config.data).is_dir():
        raise ConfigError(f"data must be a folder, got {config.data!r}")
    if not any(config.detectors):
        raise ConfigError("detectors must be bundles, got none")
    for what in (config.detectors, config.networks):
        named = [_name(text) for text in what if text]
        twice = next((n for n in named if named.count(n) > 1), None)
        if twice:
            raise ConfigError(f"bundles must have names of their own, got {twice} twice")


def _name(text: str) -> str:
    """A bundle's name; of a run's, which all have one name, the run's."""
    folder = find_bundle(text)
    return folder.parent.name if folder.name == "bundle" else load_bundle(folder).name


def _scale_factor(networks: Mapping[str, Path]) -> int:
    """Of all networks; 2 where there are none."""
    found = {}
    for name, path in networks.items():
        sr = load_bundle(path).sr
        if sr is None:
            raise ConfigError(f"networks must be bundles with super-resolution, {name} has none")
        found[name] = round(sr.scale_factor)
    if len(set(found.values())) > 1:
        raise ConfigError(f"networks must have one scale factor, got {found}")
    return next(iter(found.values()), 2)


def _of_detector(
    text: str,
    networks: Mapping[str, Path],
    factor: int,
    sets: Sequence[Set],
    how: How,
    config: AdaptedConfig,
) -> dict[str, dict[str, Matched]]:
    """What it finds behind what, by set."""
    detector, out = load_bundle(find_bundle(text)), Path(config.out)
    before: dict[str, Path | int | None] = {BICUBIC: factor, **networks}
    if config.alone:
        before = {ALONE: None, **before}
    found = {}
    for name, sr in before.items():
        folder = out / "bundles" / f"{_name(text)}-{name}"
        export_before(detector, sr, folder)
        runner = Runner(folder.name, str(folder), True, config.view)
        found[name] = {s.name: match_file(s.truth, replayed(runner, s, how)) for s in sets}
    return found


def _rows(detector: str, found: Mapping[str, dict[str, Matched]], samples: int) -> list[Row]:
    matched = {name: {**by, ALL: pooled(list(by.values()))} for name, by in found.items()}
    beside = {s: figures(of) for s, of in matched[BICUBIC].items()}
    rows = []
    for name, by in tqdm(matched.items(), "intervals", unit="row"):
        own = {s: figures(of) for s, of in by.items()}
        if name != BICUBIC:
            own = {
                s: compared(of, own[s], matched[BICUBIC][s], beside[s], samples, BANDS)
                for s, of in by.items()
            }
        rows.append(Row(detector, name, own))
    return rows


def table(rows: Sequence[Row], sets: Sequence[str]) -> str:
    """AP50 of each set and of all, by band, and how much that is more than behind bicubic."""

    def text(figure: Figures) -> str:
        if figure.ap50 is None:
            return "-"
        said = f"{figure.ap50:.3f}"
        if figure.difference is not None:
            said += f", {figure.difference:+.3f}"
        if figure.interval is not None:
            said += f" [{figure.interval[0]:+.3f}, {figure.interval[1]:+.3f}]"
        return said.replace("0.", ".").replace("-", "\N{MINUS SIGN}")

    def column(of: str, band: str) -> Any:
        return lambda row: text(row.figures[of][band])

    columns: dict[str, Any] = {
        "detector": lambda row: row.detector,
        "behind": lambda row: row.before,
        "PSNR, dB": lambda row: "-" if row.psnr is None else f"{row.psnr:.2f}",
    }
    for of in (ALL, *sets):
        columns |= {f"{of}, {band} px": column(of, band) for band in BANDS}
    return markdown(rows, columns)


def write(config: AdaptedConfig, rows: Sequence[Row]) -> str:
    """Write adapted.json and adapted.md; returns the Markdown."""
    text = table(rows, config.sets) + "\n"
    values = {"config": asdict(config), "rows": [asdict(row) for row in rows]}
    out = Path(config.out)
    (out / "adapted.json").write_text(json.dumps(values, indent=1), encoding="utf-8")
    (out / "adapted.md").write_text(text, encoding="utf-8")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog=PROGRAM, description=AdaptedConfig.__doc__)
    add_config(parser, AdaptedConfig)
    options = parser.parse_args(arguments)

    def run() -> None:
        config = build(AdaptedConfig, given(options, AdaptedConfig))
        make_folder(Path(config.out))
        print(write(config, adapted(config)))

    return exit_status(PROGRAM, run)


if __name__ == "__main__":
    sys.exit(main())
