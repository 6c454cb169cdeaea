"""How far the conversion to TensorRT can be shown without TensorRT and without a GPU."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")


def test_all_operators_of_the_networks_are_convertible_in_one_block(root: Path) -> None:
    """TensorRT itself has the last word; it was not asked."""
    if importlib.util.find_spec("torch_tensorrt") is None:
        pytest.skip(
            "torch_tensorrt is not installed; its Python part alone is enough here: "
            "pip install --no-deps 'torch-tensorrt==2.13.*' dllist"
        )
    command = [sys.executable, str(root / "test/nodes/tensorrt_dry_run.py"), "dbpn-ss", "dbpn-s"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    reports = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert [(report["sr"], report["form"]) for report in reports] == [
        ("dbpn-ss", "reference"),
        ("dbpn-ss", "lr_space"),
        ("dbpn-s", "reference"),
        ("dbpn-s", "lr_space"),
    ], run.stderr[-2000:]
    for report in reports:
        assert report["supported"] == report["total"] > 100
        assert report["blocks"] == ["_run_on_acc_0"]
