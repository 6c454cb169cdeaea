"""Tests of benchmarks.blur: known motions, the way back from them, and a tiny run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.blur import BENCHMARK, BlurConfig, angle_of, benchmark_blur, off, smear
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.blur import blur_of, second_moments
from tasksr_ros.errors import ConfigError


def test_a_point_is_smeared_along_its_line() -> None:
    point = np.zeros((31, 31, 3), np.uint8)
    point[15, 15] = 255
    smeared = smear(point, 10, 30)
    blur = blur_of(second_moments(smeared[None, :, :, 0].astype(np.float64))[0])
    assert blur.length == pytest.approx(10, abs=0.3)
    assert blur.angle == pytest.approx(30, abs=2)
    assert (smear(point, 0, 30) == point).all()


@pytest.mark.parametrize(
    ("angle", "true", "degrees"), [(10, 10, 0), (179, 1, 2), (0, 90, 90), (45, 170, 55)]
)
def test_directions_have_no_sense(angle: float, true: float, degrees: float) -> None:
    assert off(angle, true) == pytest.approx(degrees)
    assert off(true, angle) == pytest.approx(degrees)


def test_an_image_has_the_same_angle_at_every_length() -> None:
    assert angle_of("a/0001.png") == angle_of("0001.jpg") != angle_of("0002.png")
    assert all(0 <= angle_of(f"{k}.png") < 180 for k in range(20))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = []
    for k in (1, 2):
        cv2.imwrite(str(folder / f"{k}.png"), rng.integers(0, 256, (32, 64, 3), np.uint8))
        images.append({"id": k, "file_name": f"{k}.png", "width": 64, "height": 32})
    person = {"id": 1, "image_id": 2, "category_id": 1, "bbox": [8, 8, 8, 16], "height": 16}
    truth = {"images": images, "annotations": [person]}
    truth["categories"] = [{"id": 1, "name": "pedestrian"}]
    (folder / "val.json").write_text(json.dumps(truth))
    return folder.parent


def test_a_tiny_run(data: Path, blind_bundle: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    region = tmp_path / "region.yaml"
    region.write_text("/**:\n  ros__parameters:\n    region: {mode: full, tile_overlap: 8}\n")
    config = BlurConfig(
        data=str(data),
        sets=("tiny",),
        bundles=(str(tiny_bundle), str(blind_bundle)),
        lengths=(0.0, 4.0),
        every=1,
        out=str(tmp_path / "out"),
        region=str(region),
        engine="torch",
        threads=1,
    )
    rows = benchmark_blur(config)
    assert [(r.bundle, r.length, r.images, r.people) for r in rows] == [
        ("blind", 0, 2, 1), ("blind", 4, 2, 1), ("tiny", 0, 2, 1), ("tiny", 4, 2, 1),
    ]  # fmt: skip
    for blind in rows[:2]:
        run = tmp_path / "out" / "replays" / f"blind-tiny-{blind.length:g}.run.json"
        lengths = [f["blur"]["length_px"] for f in json.loads(run.read_text())["frames"]]
        assert blind.estimated == pytest.approx(np.mean(lengths))  # of two, the median
        assert blind.error == pytest.approx(np.mean([abs(x - blind.length) for x in lengths]))
    assert rows[0].angle_error is None
    assert rows[1].angle_error is not None and 0 <= rows[1].angle_error <= 90
    assert all(r.estimated is r.error is r.angle_error is None for r in rows[2:])
    assert "| tiny | 4 | 2 | 1 | - | - | - | - |" in markdown(rows, BENCHMARK.columns)


def test_what_does_not_serve_is_refused(data: Path) -> None:
    with pytest.raises(ConfigError, match="data must be a folder, got 'nowhere'"):
        benchmark_blur(BlurConfig(data="nowhere"))
    with pytest.raises(ConfigError, match="lengths must be from 0 to 64 px, got -1"):
        benchmark_blur(BlurConfig(data=str(data), lengths=(-1.0,)))
