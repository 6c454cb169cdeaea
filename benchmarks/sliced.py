"""Far people found, and what that costs: whole frames, sliced inference (sahi), and the pipeline.

All systems look at the same images in turns, in one process, with engines of this package: public
detectors as ``tasksr import-detector`` takes them. Sahi looks at the whole image besides, as it
does by default, merges by NMS, and its slices are enlarged twice. Images come decoded.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.attention import shares
from benchmarks.sliced_systems import (
    STEP_NS,
    Setting,
    System,
    check_sahi,
    own_sliced,
    own_systems,
    public_systems,
)
from benchmarks.yardstick_figures import FAR, match_file
from benchmarks.yardstick_replays import Set, find_sets
from tasksr_ros.benchmarks.config import BUNDLE
from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.cli.benchmark import main
from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError
from tasksr_ros.evaluation.metrics import Matches
from tasksr_ros.evaluation.summary import Interval
from tasksr_ros.io.frames import Frame, crop_rgb
from tasksr_ros.io.stills import read_still
from tasksr_ros.model import load_model
from tasksr_ros.options import option
from tasksr_ros.replay.run_file import beside, write_json


@dataclass(frozen=True)
class SlicedConfig:
    """Far people found, and what that costs: whole frames, sliced (sahi), and the pipeline."""

    data: str = option("", "folder of the sets, each with val.json and its images")
    weights: str = option("", "folder of the public detectors' files")
    sets: tuple[str, ...] = option(("camvid", "kitti_object"), "folders below data")
    every: tuple[int, ...] = option((4, 10), "of each set, use each n-th image", low=1)
    time_every: int = option(
        8, "of these, time what finds the same (further engines and cameras) on each n-th", low=1
    )
    bundle: str = option(BUNDLE, "model")
    engines: tuple[str, ...] = option(
        ("openvino", "onnxruntime"), "for the public detectors; ours runs in the first"
    )
    threads: int = option(1, "CPU threads of the engines; 0: all cores", low=0, high=1024)
    budgets: tuple[int, ...] = option((2,), "values of region.budget", low=1)
    cameras: tuple[int, ...] = option((1, 2, 4), "cameras of a call of the pipeline", low=1)
    slice: int = option(320, "side of sahi's slices, px", low=64)
    overlap: float = option(0.2, "of the slices, share of their side", low=0, high=0.9)
    least_score: float = option(0.1, "of a detection", low=0.01, high=1)
    fppi: float = option(0.3, "false positives per image", low=0.001, high=100)
    samples: int = option(1000, "of the bootstrap over images; 0: no intervals", low=0)
    out: str = option("out/sliced", "folder for imported detectors and predictions")


@dataclass(frozen=True)
class Row:
    """One system on one set.

    Attributes:
        set: which.
        system: which.
        engine: that ran the networks.
        cameras: whose frames went into one call.
        images: of the set.
        people: of 12 to 60 px.
        recall: of them, at IoU 0.3 and the false positives asked for; None: see the same system
            with another engine or one camera.
        share: of the recall of this package's default.
        share_interval: 95 %, of the same images drawn for both.
        wall_ms: median for a frame of one camera.
        cpu_ms: likewise, processor time.
        times_ours: median ratio to this package's default, processor time for the same frames.
    """

    set: str
    system: str
    engine: str
    cameras: int
    images: int
    people: int
    recall: float | None
    share: float | None
    share_interval: Interval
    wall_ms: float
    cpu_ms: float
    times_ours: float


def _share(row: Row) -> str:
    low_high = row.share_interval
    if row.share is None:
        return "-"
    return f"{row.share:.2f}" + (f" [{low_high[0]:.2f}, {low_high[1]:.2f}]" if low_high else "")


COLUMNS: Columns = {
    "set": lambda r: f"{r.set}, {r.images} images, {r.people} people",
    "system": lambda r: r.system + (f", {r.cameras} cameras" if r.cameras > 1 else ""),
    "engine": lambda r: r.engine,
    "recall": lambda r: "-" if r.recall is None else f"{r.recall:.3f}",
    "of ours": _share,
    "ms per frame": lambda r: f"{r.wall_ms:.0f}",
    "CPU ms": lambda r: f"{r.cpu_ms:.0f}",
    "CPU, times ours": lambda r: f"{r.times_ours:.2f}x",
}


def benchmark_sliced(config: SlicedConfig) -> list[Row]:
    """Run every system over the same images, in turns.

    Raises:
        TaskSRError: without sahi, or if a file or a value does not serve.
    """
    check_sahi()
    for name in ("data", "weights"):
        if not Path(getattr(config, name) or "-").is_dir():
            raise ConfigError(f"{name} must be a folder, got {getattr(config, name)!r}")
    if len(config.every) != len(config.sets):
        raise ConfigError(
            f"every must have a number for each set, got {len(config.every)} for "
            f"{len(config.sets)} sets"
        )
    rows = []
    for of, every in zip(find_sets(Path(config.data), config.sets), config.every, strict=True):
        rows += _measure(of, every, config)
        gc.collect()  # the engines of its systems
    return rows


def _measure(of: Set, every: int, config: SlicedConfig) -> list[Row]:
    setting = Setting(
        of.image_size, config.slice, config.overlap, config.threads, config.least_score
    )
    bundles = Path(config.out) / "bundles"
    engine = config.engines[0]
    model = load_model(config.bundle, setting.engine(engine, 0, 0))
    own = own_systems(model, engine, setting, config.budgets, config.cameras)
    public = [
        system
        for name in config.engines
        for system in public_systems(Path(config.weights), bundles, name, setting, name != engine)
    ]
    systems = [*own, own_sliced(model, engine, setting), *public]
    images = json.loads(of.truth.read_text(encoding="utf-8"))["images"][::every]
    files = [of.folder / image["file_name"] for image in images]
    looks = [_Looks(system) for system in systems]
    _run(looks, files, config.time_every)
    ids = [image["id"] for image in images]
    out = Path(config.out) / of.name
    ours = _matches(of, ids, looks[0].found, out / "0.json")
    rows = []
    for k, one in enumerate(looks):
        same = one.system.timed
        matches = None if same else _matches(of, ids, one.found, out / f"{k}.json")
        rows.append(_row(of.name, one, looks[0], matches, ours, config))
    return rows


@dataclass(frozen=True, eq=False)
class _Looks:
    """What a system did.

    Attributes:
        system: which.
        found: in each image, unless only times are asked for.
        taken: wall and processor time, s, and the indices of the images, of each look.
    """

    system: System
    found: list[Detections] = field(default_factory=list)
    taken: list[tuple[float, float, range]] = field(default_factory=list)

    def look(self, frames: Sequence[Frame], number: int) -> None:
        """At the frames up to the ``number``-th image; the first look is no measure."""
        if not self.taken:
            self.system.look(frames)
        wall, cpu = time.perf_counter(), time.process_time()
        found = self.system.look(frames)
        taken = time.perf_counter() - wall, time.process_time() - cpu
        self.taken.append((*taken, range(number - len(frames), number)))
        if not self.system.timed:
            self.found.extend(found)


def _run(looks: Sequence[_Looks], files: Sequence[Path], time_every: int) -> None:
    """All systems on each image in turn."""
    waiting: list[Frame] = []
    most = max(one.system.cameras for one in looks)
    for number, file in enumerate(tqdm(files, "images", unit="image", file=sys.stderr), 1):
        waiting = [*waiting, Frame(_read(file), stamp_ns=number * STEP_NS)][-most:]
        for one in looks:
            cameras = one.system.cameras
            if number >= cameras and (number % time_every == 0 or not one.system.timed):
                one.look(waiting[-cameras:], number)


def _read(file: Path) -> np.ndarray:
    still = read_still(file)
    return crop_rgb(still, 0, 0, *still.size)


def _matches(of: Set, ids: Sequence[int], found: Sequence[Detections], file: Path) -> Matches:
    """Of people of 12 to 60 px."""
    results = [
        {
            "image_id": image_id,
            "category_id": 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(score),
        }
        for image_id, detections in zip(ids, found, strict=True)
        for (x0, y0, x1, y1), score in zip(
            detections.xyxy.astype(float).tolist(), detections.score, strict=True
        )
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, results)
    write_json(beside(file, ".run.json"), {"image_ids": list(ids)})
    return match_file(of.truth, file).iou30[FAR]


def _row(
    name: str,
    looks: _Looks,
    ours: _Looks,
    matches: Matches | None,
    of_ours: Matches,
    config: SlicedConfig,
) -> Row:
    recall: float | None = None
    share: float | None = None
    span: Interval = None
    if matches is not None:
        block = np.arange(matches.num_images)
        recall, share, span = shares(of_ours, matches, config.fppi, block, config.samples)
    cameras = looks.system.cameras
    wall, cpu = (np.array([taken[k] for taken in looks.taken]) for k in (0, 1))
    cpu_of_ours = [taken[1] for taken in ours.taken]
    same_frames = [sum(cpu_of_ours[k] for k in taken[2]) for taken in looks.taken]
    return Row(
        set=name,
        system=looks.system.name,
        engine=looks.system.engine,
        cameras=cameras,
        images=of_ours.num_images,
        people=len(of_ours.height),
        recall=recall,
        share=share,
        share_interval=None if looks is ours else span,
        wall_ms=float(np.median(wall)) * 1e3 / cameras,
        cpu_ms=float(np.median(cpu)) * 1e3 / cameras,
        times_ours=float(np.median(cpu / np.array(same_frames))),
    )


def bars(rows: list[Row]) -> list[Bar]:
    """Processor time of a frame, with the recall beside it; the best recall above."""
    known = {(r.set, r.system): r.recall or 0.0 for r in rows if r.recall is not None}
    found = [(r, known[r.set, r.system]) for r in rows]
    return [
        Bar(
            f"{r.set}: recall of people of 12 to 60 px; processor time, ms; times ours",
            f"{COLUMNS['system'](r)} ({r.engine})",
            r.cpu_ms,
            f"{recall:.2f}; {r.cpu_ms:.0f}; {r.times_ours:.1f}x",
        )
        for r, recall in sorted(found, key=lambda pair: (pair[0].set, -pair[1], pair[0].cpu_ms))
    ]


BENCHMARK = Benchmark(
    "sliced", SlicedConfig, benchmark_sliced, COLUMNS, bars, "processor time of one frame, ms"
)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
