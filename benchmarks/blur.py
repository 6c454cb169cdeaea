"""Detection and the estimated blur on native images that are smeared by a known length.

Each image gets a motion of its own angle, the same at every length; then it goes the deployed way,
`tasksr replay`, region by region without the near pass. The camera's own blur comes on top.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tasksr_training.blur_kernels import MotionBlur

from benchmarks.yardstick_figures import BANDS, Figures, figures, match_file, pooled
from benchmarks.yardstick_replays import LEAST_SCORE, Set, find_sets
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.bundle import load_bundle
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import ReplayConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.stills import read_still
from tasksr_ros.options import build, option
from tasksr_ros.replay.job import Job
from tasksr_ros.replay.run import replay
from tasksr_ros.replay.run_file import beside, write_json

BAND = "12+"


@dataclass(frozen=True)
class BlurConfig:
    """AP50 and the error of the estimated blur against the length of a known motion."""

    data: str = option("", "folder of the sets, each with val.json and its images")
    sets: tuple[str, ...] = option(("camvid", "kitti_object"), "folders below data")
    bundles: tuple[str, ...] = option(("picodet-s-x2",), "names or folders")
    lengths: tuple[float, ...] = option((0.0, 2.0, 4.0, 8.0, 12.0, 16.0), "of the motion, image px")
    every: int = option(5, "use each n-th image", low=1)
    out: str = option("out/blur", "folder for the smeared images and the replays")
    region: str = option("far", "where to look, as of tasksr replay")
    engine: str = option("auto", "as of tasksr replay")
    threads: int = option(0, "CPU threads of the engine; 0: all cores", low=0, high=1024)


@dataclass(frozen=True)
class Row:
    """A bundle at one length.

    Attributes:
        bundle: its name.
        length: of the motion, image px.
        images: that were looked at.
        people: of 12 px and more in these.
        ap50: of them; None with hardly anyone.
        estimated: median of the frames' estimated lengths, image px; None without any.
        error: mean absolute error of the length, image px; None likewise.
        angle_error: mean absolute error of the angle, degrees, at most 90; None likewise, and
            without a motion. One that is guessed is 45 off.
    """

    bundle: str
    length: float
    images: int
    people: int
    ap50: float | None
    estimated: float | None
    error: float | None
    angle_error: float | None


def benchmark_blur(config: BlurConfig) -> list[Row]:
    """Smear, replay and evaluate.

    Raises:
        TaskSRError: if a folder or a bundle does not serve.
    """
    if not Path(config.data).is_dir():
        raise ConfigError(f"data must be a folder, got {config.data!r}")
    for length in config.lengths:
        if not 0 <= length <= 64:
            raise ConfigError(f"lengths must be from 0 to 64 px, got {length:g}")
    sets = find_sets(Path(config.data), config.sets)
    rows = []
    for length in config.lengths:
        smeared = [_smeared(of, length, config) for of in sets]
        rows += [_row(bundle, length, smeared, config) for bundle in config.bundles]
    return sorted(rows, key=lambda row: row.bundle)


def _row(bundle: str, length: float, smeared: Sequence[Set], config: BlurConfig) -> Row:
    name = load_bundle(bundle).name
    files = [_replayed(bundle, name, of, length, config) for of in smeared]
    matched = [match_file(of.truth, file) for of, file in zip(smeared, files, strict=True)]
    found: Figures = figures(pooled(matched))[BAND]
    estimates = [
        (frame["blur"]["length_px"], frame["blur"]["angle_deg"], angle_of(frame["file_name"]))
        for file in files
        for frame in _frames(file)
        if "blur" in frame
    ]
    errors = np.array([[e[0], off(e[1], e[2])] for e in estimates]).reshape(-1, 2)
    none = not estimates
    return Row(
        name,
        length,
        sum(len(_frames(file)) for file in files),
        found.people,
        found.ap50,
        None if none else float(np.median(errors[:, 0])),
        None if none else float(np.abs(errors[:, 0] - length).mean()),
        None if none or not length else float(errors[:, 1].mean()),
    )


def angle_of(file_name: str) -> float:
    """The angle of an image's motion, degrees: by its name, evenly from 0 to 180."""
    letters = np.frombuffer(Path(file_name).stem.encode(), np.uint8)
    return float(np.random.default_rng(letters.tolist()).uniform(0, 180))


def off(angle: float, true: float) -> float:
    """How far apart two directions are, degrees, at most 90."""
    return abs((angle - true + 90) % 180 - 90)


def smear(image: NDArray[np.uint8], length: float, angle: float) -> NDArray[np.uint8]:
    """An image (H, W, 3) with a motion; edges are repeated."""
    size = 2 * math.ceil(length / 2 + 1) + 1
    kernel = MotionBlur(length, angle).kernel(size)
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _smeared(of: Set, length: float, config: BlurConfig) -> Set:
    """Each n-th image of a set, smeared, with its ground truth."""
    folder = Path(config.out) / f"{of.name}-{length:g}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    truth: dict[str, Any] = json.loads(of.truth.read_text(encoding="utf-8"))
    images = truth["images"][:: config.every]
    for image in images:
        pixels = read_still(of.folder / image["file_name"]).image
        image["file_name"] = f"{Path(image['file_name']).stem}.png"
        turned = angle_of(image["file_name"])
        cv2.imwrite(str(folder / image["file_name"]), smear(pixels, length, turned))
    kept = {image["id"] for image in images}
    people = [a for a in truth["annotations"] if a["image_id"] in kept]
    write_json(folder / "val.json", {**truth, "images": images, "annotations": people})
    return Set(of.name, folder, folder / "val.json", of.image_size)


def _replayed(bundle: str, name: str, of: Set, length: float, config: BlurConfig) -> Path:
    out = Path(config.out) / "replays" / f"{name}-{of.name}-{length:g}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "near.width": 0,
        "engine.name": config.engine,
        "engine.threads": config.threads,
    }
    job = Job(
        input=of.folder,
        predictions=out,
        bundle=bundle,
        region=config.region,
        values=values,
        config=build(ReplayConfig, {"least_score": LEAST_SCORE}),
        ground_truth=(str(of.truth),),
        restart=True,
    )
    replay(job)
    return out


def _frames(predictions: Path) -> list[dict[str, Any]]:
    run = json.loads(beside(predictions, ".run.json").read_text(encoding="utf-8"))
    return list(run["frames"])


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


COLUMNS: Columns = {
    "bundle": lambda r: r.bundle,
    "motion, px": lambda r: f"{r.length:g}",
    "images": lambda r: f"{r.images}",
    f"people, {BANDS[BAND][0]:g}+ px": lambda r: f"{r.people}",
    "**AP50**": lambda r: _number(r.ap50, 3),
    "estimated, px": lambda r: _number(r.estimated, 1),
    "mean error, px": lambda r: _number(r.error, 1),
    "angle's mean error, deg": lambda r: _number(r.angle_error, 0),
}


def bars(rows: list[Row]) -> list[Bar]:
    """AP50 by length, and the error of the length."""
    return [
        Bar(f"{r.length:g} px of motion", r.bundle, r.ap50 or 0.0, _text(r))
        for r in sorted(rows, key=lambda row: row.length)
    ]


def _text(row: Row) -> str:
    estimated = "" if row.estimated is None else f", {row.estimated:.1f} px estimated"
    return f"{_number(row.ap50, 3)}{estimated}"


BENCHMARK = Benchmark("blur", BlurConfig, benchmark_blur, COLUMNS, bars, "AP50")


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
