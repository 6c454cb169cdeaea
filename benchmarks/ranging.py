"""How good stated distances are, in images of several cameras: error and calibration by distance.

The boxes are those of a predictions file, or of the ground truth. The distances are worked out here
from the boxes and each image's camera, as the pipeline does (without what it learns of the pitch),
and measured by ``tasksr evaluate``.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tasksr_ros.benchmarks.output import Bar, Benchmark, Columns
from tasksr_ros.camera import CameraModel
from tasksr_ros.cli.benchmark import main
from tasksr_ros.config import EvaluationConfig, RangeConfig, RegionConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.evaluation.evaluate import evaluate
from tasksr_ros.evaluation.summary import RangeBin, RangeError
from tasksr_ros.options import build, option
from tasksr_ros.ranging import Ranging
from tasksr_ros.replay.run_file import beside, write_json

MOUNTING = ("camera_height", "camera_pitch")
INTRINSICS = ("fx", "fy", "cx", "cy")


@dataclass(frozen=True)
class RangingBenchmarkConfig:
    """How good stated distances are, in images of several cameras."""

    ground_truth: tuple[str, ...] = option(("",), "COCO files with distance_m; must be given")
    predictions: tuple[str, ...] = option(
        ("",), "COCO results of each; empty: the ground truth's own boxes"
    )
    cameras: str = option(
        "benchmarks/cameras.json",
        "JSON list of cameras: fx, fy, cx, cy, camera_height (m), camera_pitch (degrees), and what "
        "the entries of their images have (width, height, camera, sequence, ...)",
    )
    fppi: float = option(0.3, "operating point: false positives per image", low=0.001, high=100)
    range: RangeConfig = field(default_factory=RangeConfig)


@dataclass(frozen=True)
class Row:
    """People of one set between two distances.

    Attributes:
        set: its folder's name and file, and whose boxes.
        low: m.
        high: m.
        people: that were found.
        median_error: of the distance, a share of it.
        bias: likewise; positive is too far.
        deviation: that is stated, median, likewise.
        within_two_sigma: share of the people.
    """

    set: str
    low: float
    high: float
    people: int
    median_error: float
    bias: float
    deviation: float
    within_two_sigma: float


COLUMNS: Columns = {
    "set": lambda r: r.set,
    "m": lambda r: f"{r.low:g}-{r.high:g}",
    "people": lambda r: f"{r.people}",
    "median error": lambda r: f"{r.median_error:.1%}",
    "bias": lambda r: f"{r.bias:+.1%}",
    "stated sigma": lambda r: f"{r.deviation:.1%}",
    "within 2 sigma": lambda r: f"{r.within_two_sigma:.0%}",
}


def benchmark_ranging(config: RangingBenchmarkConfig) -> list[Row]:
    """Measure each set.

    Raises:
        TaskSRError: if a file does not serve, or an image has no camera.
    """
    truths = [Path(name) for name in config.ground_truth if name]
    found = [Path(name) if name else None for name in config.predictions]
    if not truths:
        raise ConfigError("ground_truth must be COCO files with distance_m, got none")
    if found == [None]:
        found *= len(truths)
    if len(found) != len(truths):
        raise ConfigError(
            f"predictions must be as many as ground_truth, got {len(found)} and {len(truths)}"
        )
    cameras = _read(Path(config.cameras))
    pairs = zip(truths, found, strict=True)
    return [row for truth, boxes in pairs for row in _rows(truth, boxes, cameras, config)]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} must be a JSON file, got {error}") from None


def _rows(
    truth: Path, found: Path | None, cameras: Any, config: RangingBenchmarkConfig
) -> list[Row]:
    everything = _read(truth)
    boxes = _read(found) if found else _truth_boxes(everything)
    images = {image["id"]: image for image in everything["images"]}
    of_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for box in boxes:
        of_image[box["image_id"]].append(box)
    told = [
        box
        for image_id, some in of_image.items()
        for box in _told(some, camera_of(images[image_id], cameras), config.range)
    ]
    error = _evaluated(truth, told, found, config.fppi)
    name = f"{truth.parent.name}/{truth.stem}" + ("" if found else ", true boxes")
    return [_row(name, one) for one in (error["near"], *error["by_distance"]) if one["people"]]


def _truth_boxes(everything: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = ("image_id", "category_id", "bbox")
    return [
        {**{name: a[name] for name in names}, "score": 1.0}
        for a in everything["annotations"]
        if not a.get("ignore")
    ]


def camera_of(image: Mapping[str, Any], cameras: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first of the cameras all of whose other keys the image has, with equal values.

    Raises:
        ConfigError: if there is none.
    """
    for camera in cameras:
        conditions = set(camera) - {*MOUNTING, *INTRINSICS}
        if all(image.get(name) == camera[name] for name in conditions):
            return camera
    raise ConfigError(f"cameras must have one for each image, got none for {dict(image)!r:.200}")


def _told(
    boxes: list[dict[str, Any]], camera: Mapping[str, Any], config: RangeConfig
) -> list[dict[str, Any]]:
    """The boxes of an image with the distances that are stated of them."""
    model = CameraModel(camera["width"], camera["height"], *(camera[name] for name in INTRINSICS))
    mounting = build(RegionConfig, {name: camera[name] for name in MOUNTING})
    xyxy = np.array([box["bbox"] for box in boxes], np.float64)
    xyxy[:, 2:] += xyxy[:, :2]
    ranges = Ranging(config, mounting, ("person",)).ranges(xyxy, np.zeros(len(boxes), int), model)
    return [
        {**box, "distance_m": float(depth), "distance_sd_m": float(sd)} if depth == depth else box
        for box, depth, sd in zip(boxes, ranges.depth, ranges.deviation, strict=True)
    ]


def _evaluated(
    truth: Path, told: list[dict[str, Any]], found: Path | None, fppi: float
) -> RangeError:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "predictions.json"
        write_json(file, told)
        if found and beside(found, ".run.json").is_file():
            run = _read(beside(found, ".run.json"))
            write_json(beside(file, ".run.json"), {"image_ids": run["image_ids"]})
        settings = build(EvaluationConfig, {"samples": 0, "fppi": fppi})
        error = evaluate(truth, [file], settings)["runs"][0]["range_error"]
    if error is None:
        raise ConfigError(f"{truth} must state distance_m of people, got nobody's who was found")
    return error


def _row(name: str, one: RangeBin) -> Row:
    values = [one["median_error"], one["bias"], one["deviation"], one["within_two_sigma"]]
    numbers = [float("nan") if value is None else value for value in values]
    return Row(name, one["low"], one["high"] or float("inf"), one["people"], *numbers)


def bars(rows: list[Row]) -> list[Bar]:
    """Median errors."""
    return [
        Bar(r.set, f"{r.low:g}-{r.high:g} m", r.median_error, f"{r.median_error:.1%}") for r in rows
    ]


BENCHMARK = Benchmark(
    "ranging",
    RangingBenchmarkConfig,
    benchmark_ranging,
    COLUMNS,
    bars,
    "median error, a share of the distance",
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
