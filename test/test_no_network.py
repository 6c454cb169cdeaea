"""What runs in the vehicle asks for no internet socket: not Python, not the native libraries.

ROS 2's own middleware does, of course: this is about everything else.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="the seccomp filter is written for Linux on x86_64 and aarch64",
)
GUARD = Path(__file__).with_name("no_network.py")


def guarded(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, GUARD, *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_the_guard_kills(family: str) -> None:
    run = guarded(sys.executable, "-c", f"import socket; socket.socket(socket.{family})")
    assert run.returncode == -signal.SIGSYS


def test_the_guard_leaves_local_sockets() -> None:
    run = guarded(sys.executable, "-c", "import socket; socket.socketpair(); print('alive')")
    assert run.stdout == "alive\n"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_detect_needs_no_network(engine: str, tiny_bundle: Path, tmp_path: Path) -> None:
    """With an empty cache and home, so that conversion and first use are seen as well."""
    pytest.importorskip(engine)
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    (tmp_path / "home").mkdir()
    command = ["detect", tmp_path / "image.png", "--out", tmp_path / "out"]
    options = ["--bundle", tiny_bundle, "--engine.name", engine, "--region.tile_overlap", "8"]
    run = guarded(
        *(sys.executable, "-m", "tasksr_ros.cli", *command, *options),
        HOME=str(tmp_path / "home"),
        XDG_CACHE_HOME=str(tmp_path / "home" / "cache"),
        CI="",
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out" / "predictions.json").is_file()
    assert not list((tmp_path / "home").rglob("*openvino_ga*")), "an identity for telemetry"


def test_only_one_module_imports_openvino(root: Path) -> None:
    """The others take it from there, where its telemetry is turned off."""
    importers = [
        path.relative_to(root).as_posix()
        for folder in ("tasksr_ros", "training/tasksr_training", "demo", "scripts")
        for path in sorted((root / folder).rglob("*.py"))
        if any(
            line.split()[:2] in (["import", "openvino"], ["from", "openvino"])
            for line in path.read_text(encoding="utf-8").splitlines()
        )
    ]
    assert importers == ["tasksr_ros/engines/openvino_library.py"]
