"""Tests of benchmarks.networks: that it measures what it says; never how fast."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.forms import FORMS, Form
from benchmarks.networks import BENCHMARK, NetworksConfig, benchmark_networks
from benchmarks.networks_report import COLUMNS, Row
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.cli.benchmark import main

pytest.importorskip("openvino")

QUICK = tuple(f for f in FORMS if "compiled" not in f and "int8" not in f and "bf16" not in f)
SMALL = ["--region", "12x8", "--scale_factor", "2", "--threads", "1", "--rounds", "1"]


def test_every_form_is_measured_against_the_same_operations() -> None:
    config = NetworksConfig(
        scale_factor=2, region="12x8", threads=(1,), rounds=2, warm_up=1, forms=QUICK
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
    forms: tuple[Form, ...] = ("torch LR space", "openvino LR space")
    config = NetworksConfig((name,), 2, "12x8", (1,), rounds=1, warm_up=0, forms=forms)
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
    assert main(BENCHMARK, [*SMALL, *forms, *files]) == 0
    assert "| openvino LR space |" in capsys.readouterr().out
    content = json.loads(figures.read_text())
    assert [row["form"] for row in content["rows"]] == [FORMS[0], "openvino LR space"]
    assert content["machine"]["cores"] >= 1
    assert cv2.imread(str(drawn)).shape[1] > 400


def test_quality_is_measured_with_a_bundles_weights(tiny_bundle: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    config = NetworksConfig(
        region="12x8",
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


def test_what_cannot_run_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    config = NetworksConfig(
        scale_factor=2, region="12x8", threads=(1,), rounds=1, forms=(FORMS[-1],)
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
        region="12x8",
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


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    wrong = {
        "got Bicubic": ["--networks", "bicubic"],
        "--record must be a document with marks, got nowhere.md": ["--record", "nowhere.md"],
        f"cannot write to {tmp_path}/file": ["--json", str(tmp_path / "file" / "x.json")],
        "a size must be WIDTHxHEIGHT in px, for example 320x96, got 'big'": ["--region", "big"],
        "threads must be at least 1, got 0": ["--threads", "0"],
        "rounds must be at least 1, got 0": ["--rounds", "0"],
    }
    for message, arguments in wrong.items():
        assert main(BENCHMARK, arguments) == 1, message
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("python -m benchmarks.networks: ")
        assert message in line
    with pytest.raises(SystemExit):
        main(BENCHMARK, ["--forms", "fast"])
    assert "invalid choice: 'fast'" in capsys.readouterr().err
