"""The yardstick's predictions files: of the deployed path, and fused of two."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fusion import fuse
from benchmarks.operations import region_gmac
from benchmarks.yardstick_rows import Runner, engine_values, slug
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import NearConfig, RegionConfig, ReplayConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.evaluation.matching import Floats
from tasksr_ros.model import near_bundle
from tasksr_ros.options import build
from tasksr_ros.regions import Rect, distant_band, tiles
from tasksr_ros.replay.job import Job
from tasksr_ros.replay.run import replay
from tasksr_ros.replay.run_file import beside, write_json

logger = logging.getLogger(__name__)

LEAST_SCORE = 0.001
"""Of scores that are probabilities; a raw score of .01 is further up."""


@dataclass(frozen=True)
class Set:
    """Labelled images.

    Attributes:
        name: its folder's.
        folder: with the images.
        truth: COCO file.
        image_size: the largest (width, height), px.
    """

    name: str
    folder: Path
    truth: Path
    image_size: tuple[int, int]


def find_sets(data: Path, names: Sequence[str]) -> list[Set]:
    """The validation sets ``NAME/val.json`` of a folder.

    Raises:
        ConfigError: if one is missing, or says no sizes of its images.
    """
    return [_find_set(data / name) for name in names]


def _find_set(folder: Path) -> Set:
    truth = folder / "val.json"
    if not truth.is_file():
        raise ConfigError(f"data must be a folder with {folder.name}/val.json, got {folder.parent}")
    try:
        images = json.loads(truth.read_text(encoding="utf-8"))["images"]
        size = max(int(i["width"]) for i in images), max(int(i["height"]) for i in images)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{truth} must be COCO JSON with width and height of each image, got {error!r}"
        ) from None
    return Set(folder.name, folder, truth, size)


@dataclass(frozen=True)
class How:
    """How images are replayed.

    Attributes:
        out: folder of the predictions files.
        every: use each n-th image.
        threads: of the engine.
        least_score: of the detections that are kept; -1: the bundle's own.
        again: run what is finished, too.
    """

    out: Path
    every: int
    threads: int
    least_score: float = LEAST_SCORE
    again: bool = False


def replayed(runner: Runner, of: Set, how: How) -> Path:
    """The predictions file of one row and set; a replay that is finished is not run again.

    Raises:
        TaskSRError: if the bundle or the engine does not serve.
    """
    bundle = load_bundle(runner.bundle)
    name = f"{slug(runner.name)}-{bundle.sha256[:8]}-{how.every}.json"
    values = engine_values(runner, bundle, of.image_size) | {"engine.threads": how.threads}
    logger.info("%s, %s", of.name, runner.name)
    chosen = {"every": how.every, "least_score": how.least_score}
    job = Job(
        input=of.folder,
        predictions=how.out / of.name / name,
        bundle=runner.bundle,
        region="full",
        values=values,
        config=build(ReplayConfig, chosen),
        ground_truth=(str(of.truth),),
        restart=how.again,
    )
    replay(replace(job, command=_command(job, {**chosen, **values})))
    return job.predictions


def _command(job: Job, values: Mapping[str, object]) -> str:
    """The same replay by hand."""
    fixed = {"predictions": job.predictions, "bundle": job.bundle, "region": job.region}
    given = {**fixed, "ground-truth": job.ground_truth[0], **values}
    words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    return shlex.join(["tasksr", "replay", str(job.input), *words])


def milliseconds(predictions: Path) -> float:
    """Median time for a frame: decoding, regions, engine and merge."""
    run = json.loads(beside(predictions, ".run.json").read_text(encoding="utf-8"))
    return float(np.median(run["latency_ms"]["total"]))


def frame_gmac(runner: Runner, of: Set) -> float:
    """10^9 multiply-adds for a frame."""
    bundle = load_bundle(runner.bundle)
    values = engine_values(runner, bundle, of.image_size)
    size = (
        int(str(values.get("engine.region_width", bundle.region_size[0]))),
        int(str(values.get("engine.region_height", bundle.region_size[1]))),
    )
    seen = Rect(0, 0, *of.image_size)
    if runner.view == "node":
        seen = distant_band(of.image_size, RegionConfig(), None)
    number = len(tiles(seen, of.image_size, size, RegionConfig().tile_overlap))
    near = near_bundle(bundle, NearConfig()) if "near.width" not in values else None
    gmac = number * region_gmac(replace(bundle, region_size=size))
    return gmac + (region_gmac(near) if near is not None else 0)


def fused(name: str, parts: Sequence[Path], out: Path) -> Path:
    """Write a predictions file of weighted boxes fusion of others of the same images."""
    entries = [json.loads(part.read_text(encoding="utf-8")) for part in parts]
    run = json.loads(beside(parts[0], ".run.json").read_text(encoding="utf-8"))
    results: list[dict[str, Any]] = []
    by_image = [_by_image(some) for some in entries]
    for image_id in run["image_ids"]:
        found = [some.get(image_id, _NOTHING) for some in by_image]
        boxes, scores = fuse([b for b, _ in found], [s for _, s in found])
        boxes[:, 2:] -= boxes[:, :2]
        results += [
            {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
            for box, score in zip(boxes.round(3).tolist(), scores.round(6).tolist(), strict=True)
        ]
    path = out / f"{slug(name)}.json"
    write_json(path, results)
    write_json(beside(path, ".run.json"), {"name": name, "image_ids": run["image_ids"]})
    return path


_NOTHING: tuple[Floats, Floats] = np.zeros((0, 4)), np.zeros(0)


def _by_image(entries: list[dict[str, Any]]) -> dict[Any, tuple[Floats, Floats]]:
    """Boxes (xyxy) and scores of each image's pedestrians."""
    lists: dict[Any, list[dict[str, Any]]] = {}
    for entry in entries:
        if entry["category_id"] == 1:
            lists.setdefault(entry["image_id"], []).append(entry)
    found = {}
    for image_id, some in lists.items():
        boxes = np.array([e["bbox"] for e in some], float)
        boxes[:, 2:] += boxes[:, :2]
        found[image_id] = boxes, np.array([e["score"] for e in some], float)
    return found
