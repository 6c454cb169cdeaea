"""Every module of benchmarks/ that is a command is one under its own name, with its help."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tasksr_ros.cli.benchmark import main

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
COMMANDS = sorted(p.stem for p in FOLDER.glob("*.py") if "BENCHMARK = " in p.read_text())


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "transport":
        pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
    benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    assert benchmark.name == name
    with pytest.raises(SystemExit) as ended:
        main(benchmark, ["--help"])
    assert ended.value.code == 0
    assert f"usage: python -m benchmarks.{name} " in capsys.readouterr().out


def test_there_are_commands() -> None:
    assert {"networks", "sliced", "predict"} < set(COMMANDS)
