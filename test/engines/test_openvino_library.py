"""Tests of tasksr_ros.engines.openvino_library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

BUILD_TWO_AND_INTERRUPT = """
import os, signal, sys
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import EngineConfig
from tasksr_ros.engines import build_engine

bundle, config = load_bundle(sys.argv[1]), EngineConfig(name="openvino", cache_dir=sys.argv[2])
first = build_engine(bundle, config)
second = build_engine(bundle, config)
del first, second
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_after_engines_were_let_go_is_no_crash(tiny_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD_TWO_AND_INTERRUPT, str(tiny_bundle), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
