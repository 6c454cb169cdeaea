"""What `tasksr evaluate` takes, on generated files: time and memory over the number of images."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.cli.benchmark import main
from tasksr_ros.options import option

DETECTIONS, PEOPLE = 10, 4
"""Of each image."""
FOCAL, PERSON = 1663.0, 1.7


@dataclass(frozen=True)
class EvaluateConfig:
    """`tasksr evaluate` on generated files: time and memory over the number of images."""

    images: tuple[int, ...] = option(
        (2500, 5000, 10000), "rising: memory is the most so far", low=1
    )
    runs: int = option(1, "predictions files", low=1)
    protocol: str = option("citypersons", "of the evaluation")


@dataclass(frozen=True)
class Row:
    """One evaluation, in a process of its own.

    Attributes:
        images: in the ground truth.
        runs: predictions files.
        wall_s: time passed.
        cpu_s: processor time.
        memory_mib: the most that this or an earlier evaluation had.
    """

    images: int
    runs: int
    wall_s: float
    cpu_s: float
    memory_mib: float


COLUMNS: Columns = {
    "images": lambda r: f"{r.images}",
    "predictions files": lambda r: f"{r.runs}",
    "s": lambda r: f"{r.wall_s:.1f}",
    "CPU s": lambda r: f"{r.cpu_s:.1f}",
    "memory MiB": lambda r: f"{r.memory_mib:.0f}",
}


def benchmark_evaluation(config: EvaluateConfig) -> list[Row]:
    """Evaluate generated files of each size."""
    return [_measure(images, config) for images in config.images]


def _measure(images: int, config: EvaluateConfig) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        files = [write(Path(folder), images, seed) for seed in range(config.runs)]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [
                *(sys.executable, "-m", "tasksr_ros.cli", "evaluate"),
                *("--ground-truth", str(Path(folder) / "truth.json")),
                *("--predictions", *files),
                *("--protocol", config.protocol),
                *("--json", str(Path(folder) / "out.json")),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wall_s = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Linux gives KiB, of the largest child so far.
    return Row(images, config.runs, wall_s, cpu_s, after.ru_maxrss / 1024)


def write(folder: Path, images: int, seed: int) -> str:
    """Write truth.json (always the same) and a predictions file; return the latter's path."""
    rng = np.random.default_rng(7)
    number = images * PEOPLE
    distance = rng.uniform(8, 160, number)
    height = FOCAL * PERSON / distance
    box = np.stack(
        [rng.uniform(0, 1800, number), rng.uniform(300, 600, number), 0.41 * height, height], 1
    ).round(2)
    image = np.repeat(np.arange(images), PEOPLE) + 1
    annotations = [
        {
            "id": k + 1,
            "image_id": int(image[k]),
            "category_id": 1,
            "bbox": box[k].tolist(),
            "ignore": int(k % 17 == 0),
            "vis_ratio": round(float(rng.uniform(0.3, 1)), 2),
            "distance_m": round(float(distance[k]), 2),
            "track_id": f"{image[k] // 50}-{k % PEOPLE}",
        }
        for k in range(number)
    ]
    entries = [
        {
            "id": k + 1,
            "file_name": f"{k:06d}.jpg",
            "width": 1920,
            "height": 1080,
            "sequence": f"drive-{k // 500}",
            "stamp_ns": 10**18 + k * 10**8,
        }
        for k in range(images)
    ]
    truth = {
        "images": entries,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    path = folder / f"predictions_{seed}.json"
    path.write_text(json.dumps(_predictions(box, image, images, seed)))
    return str(path)


def _predictions(
    box: NDArray[np.float64], image: NDArray[np.int64], images: int, seed: int
) -> list[dict[str, object]]:
    """Most people, the taller the surer, and false positives up to DETECTIONS per image."""
    rng = np.random.default_rng(seed)
    sure = np.clip(box[:, 3] / 80, 0.05, 0.95)
    found = np.flatnonzero(rng.random(len(box)) < sure)
    near = box[found] + rng.normal(size=(len(found), 4)) * box[found, 2:3] * 0.06
    near[:, 2:] = near[:, 2:].clip(2)
    hits = np.bincount(image[found] - 1, minlength=images)
    where = np.repeat(np.arange(images) + 1, DETECTIONS - hits)
    tall = rng.uniform(8, 200, len(where))
    far = np.stack([rng.uniform(0, 1800, len(where)), rng.uniform(200, 700, len(where))], 1)
    boxes = np.concatenate([near, np.column_stack([far, 0.41 * tall, tall])]).round(2)
    score = np.concatenate([rng.beta(3, 2, len(found)), rng.beta(1, 4, len(where))])
    ids = np.concatenate([image[found], where])
    order = np.argsort(ids, kind="stable")
    return [
        {"image_id": int(i), "category_id": 1, "bbox": b, "score": s}
        for i, b, s in zip(
            ids[order], boxes[order].tolist(), score[order].round(5).tolist(), strict=True
        )
    ]


def bars(rows: list[Row]) -> list[Bar]:
    """Times."""
    return [Bar(f"{r.runs} file(s)", f"{r.images}", r.wall_s, f"{r.wall_s:.1f} s") for r in rows]


BENCHMARK = Benchmark("evaluation", EvaluateConfig, benchmark_evaluation, COLUMNS, bars, "s")


if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
