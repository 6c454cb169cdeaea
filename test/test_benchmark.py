"""Tests of tasksr_ros.benchmarks: that they measure what they say; never how fast."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.benchmarks import output, pipeline, predict
from tasksr_ros.benchmarks.command import without_files
from tasksr_ros.benchmarks.config import (
    FORMS,
    EnginesConfig,
    NetworksConfig,
    NodeBenchmarkConfig,
    PipelineBenchmarkConfig,
    PredictConfig,
    size_of,
)
from tasksr_ros.benchmarks.cost import REACHED, Device, Layer, layers, megabytes, seconds
from tasksr_ros.benchmarks.engine_forms import CHANNELS_FIRST, random_bundle
from tasksr_ros.benchmarks.engines import Case, cases, multiply_adds
from tasksr_ros.benchmarks.networks import Row, benchmark_networks
from tasksr_ros.benchmarks.output import markdown, record
from tasksr_ros.benchmarks.pipeline import benchmark_pipeline
from tasksr_ros.benchmarks.predict import benchmark_predict
from tasksr_ros.benchmarks.quality import psnr_y, to_images
from tasksr_ros.benchmarks.recall import score, share_of_same
from tasksr_ros.benchmarks.report import COLUMNS
from tasksr_ros.cli import main
from tasksr_ros.detections import Detections
from tasksr_ros.errors import ConfigError
from tasksr_ros.frames import Frame
from tasksr_ros.generated_drive import Annotation
from tasksr_ros.regions import distant_band, tiles

pytest.importorskip("openvino")

QUICK = tuple(f for f in FORMS if "compiled" not in f and "int8" not in f and "bf16" not in f)
SMALL = ["--region", "8", "12", "--scale-factor", "2", "--threads", "1", "--rounds", "1"]


def test_every_form_is_measured_against_the_same_operations() -> None:
    config = NetworksConfig(
        scale_factor=2, region_hw=(8, 12), threads=(1,), rounds=2, warm_up=1, forms=QUICK
    )
    rows = benchmark_networks(config)
    assert [row.form for row in rows] == list(QUICK)
    # Per LR px: k²·nR²·(6T-3) + 27·n0 + n0·nR + 27·T·nR·s² multiply-adds, two operations each.
    macs = 36 * 18**2 * 9 + 27 * 64 + 64 * 18 + 27 * 2 * 18 * 4
    assert rows[0].gflop == pytest.approx(2 * macs * 8 * 12 / 1e9, rel=1e-6)
    assert (rows[0].speedup, rows[0].cpu_speedup, rows[0].cpu_step) == (1, 1, 1)
    for before, row in pairwise(rows):
        assert row.wall_ms > 0
        assert row.speedup == pytest.approx(rows[0].wall_ms / row.wall_ms)
        assert row.cpu_step == pytest.approx(before.cpu_ms / row.cpu_ms)
        assert row.max_difference < 1e-5  # exact forms all


@pytest.mark.parametrize("name", ["rbpn-small-4", "kbpn-small"])
def test_video_and_blind_networks_are_measured_too(name: str) -> None:
    forms = ("torch LR space", "openvino LR space")
    config = NetworksConfig((name,), 2, (8, 12), (1,), rounds=1, warm_up=0, forms=forms)
    rows = benchmark_networks(config)
    assert [row.form for row in rows] == [FORMS[0], *forms]
    assert all(row.max_difference < 1e-4 for row in rows)


def test_command_prints_a_table_and_writes_json_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    figures, drawn = tmp_path / "new" / "figures.json", tmp_path / "figures.png"
    forms = ["--forms", "openvino LR space"]
    files = ["--json", str(figures), "--picture", str(drawn)]
    assert main(["benchmark", "networks", *SMALL, *forms, *files]) == 0
    assert "| openvino LR space |" in capsys.readouterr().out
    content = json.loads(figures.read_text())
    assert [row["form"] for row in content["rows"]] == [FORMS[0], "openvino LR space"]
    assert content["machine"]["cores"] >= 1
    assert cv2.imread(str(drawn)).shape[1] > 400


def test_quality_is_measured_with_a_bundles_weights(tiny_bundle: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    config = NetworksConfig(
        region_hw=(8, 12),
        threads=(1,),
        rounds=1,
        warm_up=0,
        forms=("torch LR space",),
        weights=str(tiny_bundle),
        images=str(tmp_path),
    )
    rows = benchmark_networks(config)
    assert rows[0].scale_factor == 2
    assert rows[0].psnr_y is not None
    assert rows[0].psnr_y == pytest.approx(rows[1].psnr_y, abs=1e-3)


def test_psnr_y_literal() -> None:
    """A difference of 10 in R alone is one of 65.481 / 255 · 10 in luma."""
    a = np.full((8, 9, 3), 100, np.uint8)
    b = a.copy()
    b[..., 0] += 10
    expected = 20 * np.log10(255 / (65.481 / 255 * 10))
    assert psnr_y(to_images(a), to_images(b), 2) == pytest.approx(expected, abs=1e-4)
    b[:2], b[-2:], b[:, :2], b[:, -2:] = 0, 0, 0, 0  # the border does not count
    assert psnr_y(to_images(a), to_images(b), 2) == pytest.approx(expected, abs=1e-4)
    assert psnr_y(to_images(a), to_images(a), 2) == float("inf")


def test_what_cannot_run_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    config = NetworksConfig(
        scale_factor=2, region_hw=(8, 12), threads=(1,), rounds=1, forms=(FORMS[-1],)
    )
    with caplog.at_level(logging.WARNING):
        rows = benchmark_networks(config)
    assert [row.form for row in rows] == [FORMS[0]]
    assert "int8 is left out: int8 needs calibration images" in caplog.text


def test_a_broken_compiler_is_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch

    def fail(*_: object, **__: object) -> object:
        def call(_: object) -> object:
            raise RuntimeError("no working C++ compiler\nsecond line")

        return call

    monkeypatch.setattr(torch, "compile", fail)
    config = NetworksConfig(
        scale_factor=2,
        region_hw=(8, 12),
        threads=(1,),
        rounds=1,
        forms=("torch LR space, compiled",),
    )
    with caplog.at_level(logging.WARNING):
        benchmark_networks(config)
    assert "torch.compile failed: no working C++ compiler" in caplog.text
    assert "second line" not in caplog.text


def test_table_literal() -> None:
    row = Row("net", 4, "form", 2, 12.4, 20.1, 1.5, 0.61, 3.0, 2.5, 1.25, 1e-6, 27.5)
    assert markdown([row], COLUMNS).splitlines()[-1] == (
        "| net x4 (1.5 GFLOP) | 2 | form | 12 | 20 | 61% | 3.00x | 2.50x | 1.25x "
        "| 1.0e-06 | 27.500 |"
    )


def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "networks", "--networks", "bicubic"]) == 1
    assert "got Bicubic" in capsys.readouterr().err
    assert main(["benchmark", "networks", "--forms", "fast"]) == 1
    assert "got 'fast'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["networks", "--threads", "0"], "threads must be at least 1, got 0"),
        (["networks", "--rounds", "0"], "rounds must be at least 1, got 0"),
        (["pipeline", "--cameras", "2", "0"], "cameras must be at least 1, got 0"),
        (["node", "--rate", "0"], "rate must be at least 1, got 0"),
        (["engines", "--warm-up", "-1"], "warm_up must be at least 0, got -1"),
        (["node", "--transports", "pigeon"], "transports must be of compressed; raw; compressed,"),
    ],
)
def test_wrong_numbers_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_wrong_names_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark"]) == 1
    assert "must be named, or --predict DEVICE" in capsys.readouterr().err
    assert main(["benchmark", "--predict", "abacus"]) == 1
    assert "devices must be of cpu, orin-agx" in capsys.readouterr().err
    assert main(["benchmark", "engines", "--engines", "steam", *TINY]) == 1
    assert "got 'steam'" in capsys.readouterr().err
    assert main(["benchmark", "pipeline", "--sizes", "big"]) == 1
    assert "a size must be WIDTHxHEIGHT in px, for example 320x96, got 'big'" in (
        capsys.readouterr().err
    )
    assert main(["benchmark", "networks", "--record", "nowhere.md"]) == 1
    assert "--record must be a document with marks, got nowhere.md" in capsys.readouterr().err


TINY = ["--networks", "dbpn-ss", "--scale-factors", "2", "--regions", "32x16"]


def test_engines_are_compared_with_the_reference_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the table goes between the marks of a document, nothing else of which is touched."""
    document, figures = tmp_path / "doc.md", tmp_path / "figures.json"
    marks = "<!-- benchmark engines -->\n{}<!-- end of benchmark engines -->"
    document.write_text("before\n" + marks.format("old\n") + "\nafter\n")
    arguments = [
        *("benchmark", "engines", *TINY, "--batches", "1", "2", "--rounds", "3", "--threads", "1"),
        *("--engines", "openvino fp32", "torch eager, LR space", CHANNELS_FIRST),
        *("--json", str(figures), "--record", str(document)),
    ]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    rows = {(r["engine"], r["batch"]): r for r in json.loads(figures.read_text())["rows"]}
    reference, eager, openvino = (
        "torch eager, reference graph",
        "torch eager, LR space",
        "openvino fp32",
    )
    assert set(rows) == {
        (reference, 1),
        (CHANNELS_FIRST, 1),
        *((e, b) for e in (eager, openvino) for b in (1, 2)),
    }
    single, pair = rows[openvino, 1], rows[openvino, 2]
    assert (single["to_singles"], rows[reference, 1]["speedup"]) == (1, 1)
    assert pair["to_singles"] == pytest.approx(pair["wall_ms"] / single["wall_ms"] / 2)
    assert pair["speedup"] == pytest.approx(2 * rows[reference, 1]["wall_ms"] / pair["wall_ms"])
    assert single["wall_ms"] <= single["p95_ms"] <= single["p99_ms"]
    assert pair["gmac"] == pytest.approx(2 * single["gmac"])
    text = document.read_text()
    assert text.startswith("before\n<!-- benchmark engines -->\n`")
    assert text.endswith(shown + "<!-- end of benchmark engines -->\nafter\n")
    assert "old" not in text
    assert "--json" not in text.split("`")[1]  # where somebody keeps figures tells nobody anything


def test_a_recorded_command_names_no_files() -> None:
    command = "tasksr benchmark node --json a.json --frames 9 --picture=b.png --record 'my doc.md'"
    expected = "tasksr benchmark node --frames 9 --record 'my doc.md'"
    assert without_files(command) == expected


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text("<!-- benchmark engines -->\nno end\n")
    with pytest.raises(ConfigError, match="must have the lines <!-- benchmark engines --> and"):
        record(document, "engines", "command", "| table |")


def test_engine_cases_change_one_thing_at_a_time() -> None:
    config = EnginesConfig(
        networks=("a", "b"), scale_factors=(4, 2), regions=("8x8", "9x9"), batches=(4, 2)
    )
    assert list(cases(config)) == [
        Case("a", 4, "8x8", (1, 2, 4)),
        Case("b", 4, "8x8", (1,)),
        Case("a", 2, "8x8", (1,)),
        Case("a", 4, "9x9", (1,)),
    ]


def test_whole_frames_are_timed_with_the_engine_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    config = PipelineBenchmarkConfig(
        bundle=str(tiny_bundle), sizes=("200x100",), cameras=(2,), rounds=3, warm_up=1
    )
    rows = benchmark_pipeline(config)
    assert [(r.size, r.input, r.cameras) for r in rows] == [
        ("200x100", "raw", 1),
        ("200x100", "raw", 2),
        ("200x100", "jpeg", 1),
        ("200x100", "jpeg", 2),
    ]
    for row in rows:
        assert row.ratio == pytest.approx(row.wall_ms / row.engine_ms)
        assert set(row.stages_ms) == {"decode", "regions", "merge"}
        assert all(ms > 0 for ms in row.stages_ms.values())
    assert rows[2].stages_ms["decode"] > rows[0].stages_ms["decode"]
    assert "| 200x100 | jpeg | 2 |" in markdown(rows, pipeline.COLUMNS)
    output.picture(pipeline.bars(rows), tmp_path / "drawn.png", "ms")
    assert cv2.imread(str(tmp_path / "drawn.png")).shape[1] > 400


@pytest.mark.parametrize("size", ["320x96", "1280x720", "1920x1080", "3840x2160"])
def test_one_region_is_one_in_images_of_all_sizes(size: str) -> None:
    band = distant_band(size_of(size), pipeline.ONE_REGION, None)
    assert len(tiles(band, size_of(size), (320, 96), 32)) == 1


def test_cost_of_a_layer_by_hand() -> None:
    """Of 1000 multiply-adds and 100 + 50 elements, or of 10 and 1000."""
    device = Device("abacus", 100.0, 200.0, 2, 0.0, "none")
    arithmetic, memory = Layer(1000, 100, 50), Layer(10, 1000, 0)
    assert seconds([arithmetic], device, 1) == pytest.approx(2 * 1000 / 100)
    assert seconds([memory], device, 1) == pytest.approx(1000 * 2 / 200)
    assert seconds([arithmetic, memory], device, 3) == pytest.approx(3 * 20 + 3 * 10)
    assert megabytes([arithmetic, memory], device, 3) == pytest.approx((350 + 3000) * 2 / 1e6)
    slow = replace(device, launch_s=25.0)
    assert seconds([arithmetic, memory], slow, 1) == pytest.approx(50)


def test_layers_have_the_operations_of_the_reference_graph(tmp_path: Path) -> None:
    """The LR-space form has the same multiply-adds but for the image's borders."""
    bundle = random_bundle(tmp_path, "dbpn-ss", 4, (64, 32))
    counted = sum(layer.macs for layer in layers(bundle))
    assert counted == pytest.approx(multiply_adds(bundle), rel=0.1)


def test_estimates_are_checked_on_this_cpu_and_marked_elsewhere() -> None:
    config = PredictConfig(
        devices=("orin-agx", "cpu"), networks=("dbpn-ss",), scale_factors=(2,), regions=("64x32",),
        batches=(1, 2), rounds=2,
    )  # fmt: skip
    rows = benchmark_predict(config)
    assert [(r.device, r.batch) for r in rows] == [
        ("orin-agx", 1), ("orin-agx", 2), ("cpu", 1), ("cpu", 2),
    ]  # fmt: skip
    for row in rows:
        assert row.estimate_ms == pytest.approx(row.bound_ms / REACHED)
    assert rows[0].measured_ms is None
    assert rows[0].error is None
    assert "not measured" in markdown(rows[:1], predict.COLUMNS)
    assert rows[2].measured_ms is not None
    assert rows[2].error == pytest.approx(rows[2].estimate_ms / rows[2].measured_ms - 1)


def test_sliced_inference_with_the_same_networks(tiny_bundle: Path) -> None:
    pytest.importorskip("sahi.predict", reason="sahi is not installed (pip install --no-deps sahi)")
    from tasksr_ros.benchmarks import sliced

    config = sliced.SlicedConfig(
        bundle=str(tiny_bundle), size="320x180", drives=1, frames=1, height=40
    )
    rows = {row.system: row for row in sliced.benchmark_sliced(config)}
    ours, same, sahi = rows[sliced.OURS], rows[sliced.SAME_SLICES], rows[sliced.SAHI]
    assert ours.times_ours == 1
    assert ours.slices < same.slices == sahi.slices == rows[sliced.SAHI_BICUBIC].slices
    assert sahi.same is not None
    assert 0 <= sahi.same <= 1


def test_recall_of_low_people_by_hand() -> None:
    frame = Frame(np.zeros((100, 100, 3), np.uint8))

    def person(x: float, height: float, ignore: bool = False) -> Annotation:
        return Annotation((x, 10, 10, height), height, 100.0, 1.0, 1, ignore)

    everyone = [person(0, 20), person(30, 20), person(60, 50), person(80, 20, ignore=True)]
    found = Detections.from_arrays(
        np.array([[0, 10, 10, 30], [60, 10, 70, 60], [80, 10, 90, 30], [45, 60, 55, 80]]),
        np.ones(4),
    )
    assert score([found], [(frame, everyone)], 24.0) == (2, 1, 1)
    moved = Detections.from_arrays(
        found.xyxy[:2] + np.array([[0.1, 0, 0.1, 0], [3, 0, 3, 0]]), np.ones(2)
    )
    assert share_of_same([found], [moved]) == 0.25


@pytest.mark.wire
@pytest.mark.slow
def test_the_node_is_measured_over_topics(tiny_bundle: Path, ros_domain: int) -> None:
    from tasksr_ros.benchmarks.node import benchmark_node

    config = NodeBenchmarkConfig(
        bundle=str(tiny_bundle), size="200x100", transports=("compressed, needed rows",), frames=45,
        idle_rate=20.0, idle_frames=20,
    )  # fmt: skip
    (row,) = benchmark_node(config)
    assert 0 < row.answered <= row.sent == 45
    assert row.engine_p50_ms <= row.age_p50_ms <= row.age_p99_ms
    assert row.limit_ms == pytest.approx(1e3 / 30 + 1.2 * row.engine_p99_ms)
    assert row.start_s > 0
    assert row.memory_mb > 10
    assert row.idle_answered > 0


def test_memory_grows_by_tenths() -> None:
    node = pytest.importorskip("tasksr_ros.benchmarks.node", reason="ROS 2 is not installed")
    memory = np.repeat([50.0, 100, 100, 100, 100, 100, 100, 100, 100, 103], 4)
    assert node.Run(1.0, [], 0.1, memory, 0.0).growth_mb == 3
    assert node.Run(1.0, [], 0.1, np.array([100.0, 101]), 0.0).growth_mb == 1
