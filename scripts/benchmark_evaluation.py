"""Measure `tasksr evaluate` on generated files: time and memory over the number of images.

`python scripts/benchmark_evaluation.py --images 10000 5000` writes a ground truth and predictions
with 10 detections per image into a temporary folder and evaluates them in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DETECTIONS, PEOPLE = 10, 4
FOCAL, PERSON = 1663.0, 1.7


def main() -> None:
    """Print one line per number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[2500, 5000, 10000])
    parser.add_argument("--runs", type=int, default=1, help="predictions files (%(default)s)")
    parser.add_argument("--protocol", default="citypersons")
    options = parser.parse_args()
    for images in options.images:
        with tempfile.TemporaryDirectory() as folder:
            files = [write(Path(folder), images, seed) for seed in range(options.runs)]
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [
                    *(sys.executable, "-m", "tasksr_ros.cli", "evaluate"),
                    *("--ground-truth", str(Path(folder) / "truth.json")),
                    *("--predictions", *files),
                    *("--protocol", options.protocol),
                    *("--json", str(Path(folder) / "out.json")),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        memory = after.ru_maxrss / 1024  # Linux gives KiB, of the largest child so far
        print(
            f"{images} images, {DETECTIONS} detections each, {options.runs} run(s): "
            f"{seconds:.1f} s ({cpu:.1f} s of CPU), at most {memory:.0f} MiB",
            flush=True,
        )


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
    box: np.ndarray, image: np.ndarray, images: int, seed: int
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


if __name__ == "__main__":
    main()
