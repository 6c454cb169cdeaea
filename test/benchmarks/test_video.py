"""Tests of benchmarks.video: the chosen frames, tracking as scores, and a tiny run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.video import (
    COLUMNS,
    STILL,
    TRACKED,
    VIDEO,
    VideoBenchmarkConfig,
    benchmark_video,
    rescored,
    write_drive,
)
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.config import EngineConfig, TrackingConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.io.recordings import open_recording

FRAMES = (100, 102, 104, 108)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Four frames of one drive, two of which follow a gap, and one of another."""
    images = []
    for k, (sequence, number) in enumerate([("a", n) for n in FRAMES] + [("b", 0)], 1):
        image = np.random.default_rng(k).integers(0, 256, (32, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{k}.png"), image)
        size = {"width": 64, "height": 32}
        images.append(
            {"id": k, "file_name": f"{k}.png", "sequence": sequence, "frame": number, **size}
        )
    people = [
        {"id": k, "image_id": k, "category_id": 1, "bbox": [20, 6, 8, 20], "ignore": 0}
        for k in range(1, 6)
    ]
    path = tmp_path / "train.json"
    categories = [{"id": 1, "name": "pedestrian"}]
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
    return path


def test_the_chosen_frames_have_the_time_of_their_numbers(truth: Path, tmp_path: Path) -> None:
    config = VideoBenchmarkConfig(
        ground_truth=str(truth), sequence="a", first_frame=102, frame_rate=20
    )
    (tmp_path / "drive").mkdir()
    chosen = json.loads(write_drive(config, tmp_path / "drive").read_text())
    assert [image["frame"] for image in chosen["images"]] == [102, 104, 108]
    assert [a["image_id"] for a in chosen["annotations"]] == [2, 3, 4]
    stamps = [frame.stamp_ns for frame in open_recording(tmp_path / "drive")]
    assert stamps == [image["stamp_ns"] for image in chosen["images"]]
    assert np.diff(stamps).tolist() == [100_000_000, 200_000_000]
    with pytest.raises(ConfigError, match="no image of c is chosen"):
        write_drive(VideoBenchmarkConfig(str(truth), sequence="c"), tmp_path / "drive")


def test_tracking_raises_what_continues_a_track() -> None:
    """At 0.8 of the threshold a weak detection goes on a track: .45 counts up to .45 / .8."""
    scores = [0.9, 0.9, 0.45, 0.9]
    entries = [
        {"image_id": k, "bbox": [10, 10, 20, 50], "score": s, "stamp_ns": (k + 1) * 10**8}
        for k, s in enumerate(scores)
    ]
    entries.append({**entries[2], "bbox": [300, 10, 20, 50]})  # nobody was there before
    found = [entry["score"] for entry in rescored(entries, TrackingConfig())]
    assert found[3] == 0.9 and found[4] == 0.45
    assert 0.52 < found[2] <= 0.45 / 0.8


def test_three_systems_on_one_drive(
    truth: Path, tmp_path: Path, video_bundle: Path, tiny_bundle: Path
) -> None:
    (tmp_path / "region.yaml").write_text("mode: full\ntile_overlap: 8\n")
    config = VideoBenchmarkConfig(
        ground_truth=str(truth),
        video=str(video_bundle),
        still=str(tiny_bundle),
        sequence="a",
        region=str(tmp_path / "region.yaml"),
        samples=20,
        out=str(tmp_path / "out"),
        engine=EngineConfig(name="torch", device="cpu"),
    )
    rows = {row.system: row for row in benchmark_video(config)}
    assert list(rows) == [STILL, VIDEO, TRACKED]
    assert {row.people for row in rows.values()} == {4}
    assert (rows[STILL].flow_ms, rows[STILL].over_still) == (0, (0, None))
    assert rows[TRACKED].over_tracked == (0, None)
    assert rows[VIDEO].flow_ms > 0
    for other in ("over_still", "over_tracked"):
        value, bounds = getattr(rows[VIDEO], other)
        assert bounds is not None and bounds[0] <= bounds[1]
        cell = f"| {value:+.3f} [{bounds[0]:+.3f}, {bounds[1]:+.3f}] |"
        assert cell in markdown(list(rows.values()), COLUMNS)
    with pytest.raises(ConfigError, match="video must have super-resolution of video"):
        benchmark_video(VideoBenchmarkConfig(video=str(tiny_bundle)))
