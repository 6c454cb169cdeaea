"""The table's numbers, worked out by hand from predictions files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasksr_training.coco import LabelledImage
from tasksr_training.costs import NetworkCost
from tasksr_training.studies.config import RowConfig, TableConfig
from tasksr_training.studies.figures import BINS, NAMES, Figures
from tasksr_training.studies.measure import ImageSet, set_file, write_ground_truth
from tasksr_training.studies.plan import Run
from tasksr_training.studies.systems import Parts
from tasksr_training.studies.tables import (
    MeasuredRow,
    MeasuredSystem,
    Values,
    compare_rows,
    gap_share,
)

from tasksr_ros.evaluation.coco_ap import average_precision
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.evaluation.predictions import read_predictions

HEIGHTS = (40.0, 56.0, 80.0, 120.0)
"""HR px; at x4 10, 14, 20 and 30 px: one in each bin."""

Box = tuple[float, float, float, float]


def person(k: int) -> Box:
    """x, y, width, height of the k-th pedestrian of an image."""
    return (100.0 * k, 20.0, HEIGHTS[k] / 2, HEIGHTS[k])


NOBODY: Box = (450.0, 20.0, 20.0, 60.0)


def images(count: int = 10) -> ImageSet:
    """Images with four pedestrians each."""
    boxes = np.array([person(k) for k in range(4)], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    empty = np.zeros((4, 4, 3), np.uint8)
    labelled = [
        LabelledImage(empty, boxes, np.zeros(4, bool), i, f"{i}.png") for i in range(1, count + 1)
    ]
    content = {
        "images": [{"id": i.image_id, "file_name": i.name} for i in labelled],
        "annotations": [
            {"id": 4 * i.image_id + k, "image_id": i.image_id, "category_id": 1, "bbox": person(k)}
            for i in labelled
            for k in range(4)
        ],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    return ImageSet("set", labelled, content, "")


def detection(image_id: int, box: Box, score: float) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "bbox": list(box), "score": score}


def write(out: Path, label: str, detections: list[dict[str, Any]]) -> Path:
    path = set_file(out / "predictions" / label, "set")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"detections": detections}))
    return path


def found(*which: int, count: int = 10) -> list[dict[str, Any]]:
    """The same pedestrians in every image, the second image also with a false positive."""
    right = [detection(i, person(k), 0.9) for i in range(1, count + 1) for k in which]
    return [*right, detection(2, NOBODY, 0.8)]


def row(name: str, *labels: str, upscaling: Any = "bicubic", quality: str = "") -> MeasuredRow:
    run = Run("run", 1, Path("run"), "", {}, None, ())
    systems = [MeasuredSystem(Parts(None, run), label, quality) for label in labels]
    return MeasuredRow(
        RowConfig(name, "run", upscaling), systems, NetworkCost(1000, 2.0, 3.0, 1, "cpu")
    )


def value(figures: Figures, name: str) -> float:
    return float(figures.whole()[NAMES.index(name)])


def test_figures_by_hand(tmp_path: Path) -> None:
    write_ground_truth([images(2)], tmp_path)
    truth = read_ground_truth(tmp_path / "set.json")
    x, y, w, h = person(0)
    low = (x, y + 14, w, h)  # overlaps by 26 of 54 rows: IoU .48
    path = write(
        tmp_path,
        "a",
        [
            detection(1, person(2), 0.9),
            detection(2, NOBODY, 0.8),
            detection(1, person(3), 0.7),
            detection(2, low, 0.6),
        ],
    )
    predictions = read_predictions(path, truth)
    figures = Figures(truth, predictions, {}, 4, reach_recall=0.5)
    # 8 people. IoU .5: right, wrong, right, wrong: precision 1 to recall 1/8, 2/3 to 2/8.
    assert value(figures, "ap50") == pytest.approx((13 * 1 + 13 * 2 / 3) / 101)
    # IoU .3: the last is right as well: 3/4 from there on back to recall 1/8.
    assert value(figures, "ap30") == pytest.approx((13 * 1 + 25 * 3 / 4) / 101)
    library = average_precision(truth, predictions).values
    assert value(figures, "ap50") == pytest.approx(library["ap50"])
    assert value(figures, "ap30") == pytest.approx(library["ap30"])
    # Miss rate 7/8 up to an FPPI of .32; 1/2 FPPI is reached at 6/8 by the points .56 and 1.
    rates = [7 / 8] * 7 + [6 / 8] * 2
    assert value(figures, "miss_rate") == pytest.approx(math.exp(np.log(rates).mean()))
    # Of 32 to 96 px: 6 people, person(3) ignored.
    assert value(figures, "ap50_distant") == pytest.approx(17 / 101)
    assert value(figures, "miss_rate_distant") == pytest.approx(5 / 6)
    # No false positive is allowed at .1 FPPI in two images, two are at 1 FPPI.
    assert value(figures, "recall@0.1") == pytest.approx(1 / 8)
    assert value(figures, "recall@1") == pytest.approx(2 / 8)
    by_bin = [value(figures, f"recall@1/{b}") for b in BINS]
    assert by_bin == pytest.approx([0, 0, 0.5, 0.5])
    assert figures.pedestrians() == {"all": 8, **dict.fromkeys(BINS, 2)}
    assert math.isinf(value(figures, "least_height"))  # less than half of any are found
    assert math.isnan(value(figures, "psnr_y"))


def table(tmp_path: Path, samples: int = 200) -> dict[str, Any]:
    """Rows that find 2, 3 (and 4 with another seed) and 4 of four pedestrians."""
    one = images()
    write_ground_truth([one], tmp_path / "ground_truth")
    for label, which in {"base": (2, 3), "a": (1, 2, 3), "b": (0, 1, 2, 3)}.items():
        write(tmp_path, label, found(*which))
    folder = tmp_path / "quality" / "x4_sr"
    folder.mkdir(parents=True)
    quality = {
        str(i): {"psnr_y": 20.0 + i, "ssim_y": 0.5, "feature_distance": 0.1} for i in range(1, 11)
    }
    set_file(folder, "set").write_text(json.dumps({"images": quality}))
    rows = [
        row("base", "base", quality="x4_bicubic"),
        row("ours", "a", "b", quality="x4_sr"),
        row("hr", "b", upscaling="hr", quality="hr"),
    ]
    config = TableConfig(
        "T", [r.config for r in rows], "base", "hr", 4, subject="ours", rivals=["base", "hr"]
    )
    return compare_rows(config, rows, [one], ["set"], tmp_path, samples)


def test_rows_differences_and_gap_by_hand(tmp_path: Path) -> None:
    result = table(tmp_path)
    base, ours, hr = (entry["sets"]["set"] for entry in result["rows"])
    assert base["recall@0.1"]["value"] == pytest.approx(0.5)
    assert "difference" not in base["recall@0.1"]
    recall = ours["recall@0.1"]
    assert recall["seeds"] == pytest.approx([0.75, 1.0])
    assert recall["value"] == pytest.approx(0.875)
    assert recall["spread"] == pytest.approx(0.25 / math.sqrt(2))
    assert recall["difference"] == pytest.approx(0.375)
    # every image is alike but for the false positive: every sample is
    assert recall["interval"] == pytest.approx([0.375, 0.375])
    assert recall["share"] == pytest.approx(0.75)
    assert recall["share_interval"] == pytest.approx([0.75, 0.75])
    by_bin = {b: ours[f"recall@0.1/{b}"]["share"] for b in BINS}
    assert by_bin == {"8-12": 0.5, "12-16": 1.0, "16-24": None, "24-40": None}  # no gap: no share
    assert "share" not in hr["ap50"]
    assert ours["psnr_y"]["value"] == pytest.approx(25.5)
    assert base["psnr_y"]["value"] is None
    assert ours["psnr_y"]["difference"] is None
    # .9 of the bound's recall, which is 1: 20 px for the baseline, 14 and 10 px for the seeds
    assert result["reach_recall"]["set"] == pytest.approx(0.9)
    assert base["least_height"]["value"] == pytest.approx(20)
    assert ours["least_height"]["seeds"] == pytest.approx([14, 10])
    assert ours["more_range"]["value"] == pytest.approx(20 / 12 - 1)
    rivals = result["rivals"]["set"]
    assert rivals["base"]["recall@0.1"]["difference"] == pytest.approx(0.375)
    assert rivals["hr"]["recall@0.1"]["difference"] == pytest.approx(-0.125)
    assert rivals["hr"]["recall@0.1"]["interval"] == pytest.approx([-0.125, -0.125])
    assert rivals["hr"]["more_range"]["value"] == pytest.approx(10 / 12 - 1)
    thresholds = result["rows"][0]["systems"][0]["thresholds"]["set"]
    assert thresholds["0.1"] == 0.0  # one false positive in ten images may stay
    assert result["pedestrians"]["set"] == {"images": 10, "all": 40, **dict.fromkeys(BINS, 10)}


def values(mean: float, samples: list[float], name: str = "ap50") -> Values:
    k = NAMES.index(name)
    seeds, drawn = np.zeros((1, len(NAMES))), np.zeros((len(samples), len(NAMES)))
    seeds[0, k], drawn[:, k] = mean, samples
    return Values(seeds, drawn, [])


def test_share_of_the_gap() -> None:
    k = NAMES.index("ap50")
    base, bound = values(0.4, [0.4] * 10), values(0.6, [0.6] * 10)
    mine = values(0.55, [0.5] + [0.55] * 8 + [0.6])
    share = gap_share(mine, base, bound, k)
    assert share["share"] == pytest.approx(0.75)
    assert share["share_interval"] == pytest.approx([0.5, 1.0])
    unsure = values(0.6, [0.39] + [0.6] * 9)  # the gap's own interval holds 0
    assert gap_share(mine, base, unsure, k)["share_interval"] is None
    assert gap_share(mine, bound, base, k) == {"share": None, "share_interval": None}
    less = NAMES.index("miss_rate")  # less is better: from .5 down to .3
    share = gap_share(
        values(0.45, [0.45] * 9, "miss_rate"),
        values(0.5, [0.5] * 9, "miss_rate"),
        values(0.3, [0.3] * 9, "miss_rate"),
        less,
    )
    assert share["share"] == pytest.approx(0.25)
    assert share["share_interval"] == pytest.approx([0.25, 0.25])
