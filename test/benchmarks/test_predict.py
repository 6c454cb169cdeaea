"""Tests of benchmarks.predict and benchmarks.cost: what is estimated, and from what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cost import REACHED, Device, Layer, layers, megabytes, seconds
from benchmarks.predict import BENCHMARK, COLUMNS, PredictConfig, benchmark_predict
from tasksr_ros.benchmarks.engine_forms import random_bundle
from tasksr_ros.benchmarks.engines import multiply_adds
from tasksr_ros.benchmarks.output import markdown
from tasksr_ros.cli.benchmark import main

pytest.importorskip("openvino")


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
    assert "not measured" in markdown(rows[:1], COLUMNS)
    assert rows[2].measured_ms is not None
    assert rows[2].error == pytest.approx(rows[2].estimate_ms / rows[2].measured_ms - 1)


def test_an_unknown_device_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(BENCHMARK, ["--devices", "abacus"]) == 1
    assert "devices must be of cpu, orin-agx" in capsys.readouterr().err
