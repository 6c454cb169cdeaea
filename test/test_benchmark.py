"""Tests of tasksr_ros.benchmark: that it measures what it says; never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasksr_ros.benchmark import FORMS, benchmark_networks
from tasksr_ros.cli import main

pytest.importorskip("openvino")


def test_every_form_is_measured_against_the_same_operations() -> None:
    rows = benchmark_networks(["dbpn-ss"], 2, (8, 12), threads=1, rounds=2, warm_up=1)
    assert [row.form for row in rows] == list(FORMS)
    # Per LR px: k²·nR²·(6T-3) + 27·n0 + n0·nR + 27·T·nR·s² multiply-adds, two operations each.
    macs = 36 * 18**2 * 9 + 27 * 64 + 64 * 18 + 27 * 2 * 18 * 4
    assert rows[0].gflop == pytest.approx(2 * macs * 8 * 12 / 1e9, rel=1e-6)
    assert rows[0].speedup == 1.0
    for row in rows:
        assert row.wall_ms > 0
        assert row.speedup == pytest.approx(rows[0].wall_ms / row.wall_ms)


def test_command_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    arguments = ["--region", "8", "12", "--scale-factor", "2", "--threads", "1", "--rounds", "1"]
    assert main(["benchmark", "networks", *arguments, "--json", str(file)]) == 0
    assert "| openvino lr-space |" in capsys.readouterr().out
    assert [row["form"] for row in json.loads(file.read_text())] == list(FORMS)


def test_networks_without_an_lr_space_form_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["benchmark", "networks", "--networks", "bicubic"]) == 1
    assert "got Bicubic" in capsys.readouterr().err
