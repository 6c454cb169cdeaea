"""Tests of benchmarks.attention."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.attention import (
    COLUMNS,
    AttentionBenchmarkConfig,
    benchmark_attention,
    shares,
)
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.errors import ConfigError
from tasksr_ros.evaluation.metrics import Matches, match_images
from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.config import DriveConfig
from tasksr_ros.synthetic.drive import GeneratedDrive

PERSON, NOBODY = [0, 0, 10, 20], [50, 50, 60, 70]


def matches(*images: tuple[float, float]) -> Matches:
    """One person in each image, found with the first score; nobody with the second; 0: not."""
    found = []
    for scores in images:
        kept = [k for k in (0, 1) if scores[k]]
        boxes = np.array([(PERSON, NOBODY)[k] for k in kept], np.float64).reshape(-1, 4)
        found.append((boxes, np.array([scores[k] for k in kept])))
    truth = [(np.array([PERSON], np.float64), np.zeros(1, bool))] * len(images)
    return match_images(found, truth, 0.3)


def test_the_share_is_of_the_recall_at_as_many_false_positives() -> None:
    whole = matches((0.9, 0.0), (0.8, 0.0), (0.7, 0.0), (0.6, 0.65))
    part = matches((0.9, 0.85), (0.8, 0.0), (0.7, 0.0), (0.0, 0.0))
    block = np.arange(4)
    assert shares(whole, part, 0.25, block, 0) == (0.75, 0.75, None)  # one false one in 4 images
    recall, share, _ = shares(whole, part, 0.1, block, 0)  # none: scores above .65, and .85
    assert (recall, share) == (0.25, pytest.approx(1 / 3))


def test_a_run_compared_with_itself_has_no_spread() -> None:
    whole = matches((0.9, 0.0), (0.8, 0.3), (0.0, 0.0), (0.6, 0.65))
    assert shares(whole, whole, 1.0, np.array([0, 0, 1, 1]), 50) == (0.75, 1.0, [1.0, 1.0])


def test_recordings_are_replayed_with_and_without_a_budget(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    names = []
    for seed in (1, 2):
        folder = tmp_path / f"drive-{seed}"
        drive = DriveConfig(width=320, height=180, num_frames=3, seed=seed)
        write_coco(GeneratedDrive(drive), folder)
        names.append(str(folder))
    region = tmp_path / "region.yaml"
    region.write_text("tile_overlap: 8\n")
    config = AttentionBenchmarkConfig(
        tuple(names),
        (1,),
        str(region),
        bundle=str(tiny_bundle),
        out=str(tmp_path / "out"),
        samples=9,
    )
    rows = benchmark_attention(config)
    assert [(row.recording, row.budget) for row in rows] == [
        *(("drive-1", 0), ("drive-1", 1)),
        *(("drive-2", 0), ("drive-2", 1)),
        *(("all", 0), ("all", 1)),
    ]
    people = [row.people for row in rows]
    assert people[0] + people[2] == people[4] > 0
    assert rows[0].engine_share == 1
    run = json.loads((tmp_path / "out" / "drive-1-1-2.run.json").read_text())
    assert run["config"]["region.budget"] == 1
    assert "| drive-1 | all |" in markdown(rows, COLUMNS)


def test_what_cannot_be_measured_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recordings must name at least one folder"):
        benchmark_attention(AttentionBenchmarkConfig())
    (tmp_path / "ground_truth.json").write_text(
        json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []})
    )
    with pytest.raises(ConfigError, match="must state the stamp_ns of each image"):
        benchmark_attention(AttentionBenchmarkConfig((str(tmp_path),)))
