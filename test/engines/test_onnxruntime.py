"""Tests of tasksr_ros.engines.onnxruntime."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines.onnxruntime import OnnxRuntimeEngine


def test_threads_sleep_while_they_wait(tiny_bundle: Path, tmp_path: Path) -> None:
    config = EngineConfig(name="onnxruntime", threads=2, cache_dir=str(tmp_path))
    options = OnnxRuntimeEngine(load_bundle(tiny_bundle), config)._session.get_session_options()
    assert options.intra_op_num_threads == 2
    assert [
        options.get_session_config_entry(f"session.{pool}.allow_spinning")
        for pool in ("intra_op", "inter_op")
    ] == ["0", "0"]
