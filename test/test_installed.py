"""What an installation by colcon can break; `make colcon` runs this file alone.

The commands run outside of the checkout, so that what they need must have been installed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasksr_ros.bundle import shipped_bundles


@pytest.fixture
def prefix() -> Path:
    """The folder that colcon installed the package into; skips without one."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix and (Path(prefix) / "lib" / "tasksr_ros").is_dir():
            return Path(prefix)
    pytest.skip("not installed by colcon: make colcon, or colcon test, checks this")


def run(folder: Path, *command: str | Path) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_that_is_shared_is_there(root: Path, prefix: Path) -> None:
    """Launch files, settings, models and message definitions, to the byte."""
    resources = prefix / "share" / "ament_index" / "resource_index" / "packages"
    assert (resources / "tasksr_ros").exists()
    shipped = [root / "package.xml", *(root / "launch").glob("*.launch.py")]
    for folder in ("config", "models", "interfaces/vision_msgs/msg"):
        shipped += [path for path in (root / folder).rglob("*") if path.is_file()]
    assert len(shipped) > 30
    for path in shipped:
        copy = prefix / "share" / "tasksr_ros" / path.relative_to(root)
        assert copy.read_bytes() == path.read_bytes()


def test_every_module_is_there_and_nothing_else(root: Path, prefix: Path, tmp_path: Path) -> None:
    code = "import tasksr_ros; print(tasksr_ros.__file__)"
    installed = Path(run(tmp_path, sys.executable, "-c", code).strip()).parent
    assert installed.is_relative_to(prefix)
    source = root / "tasksr_ros"
    modules = {path.relative_to(source) for path in source.rglob("*.py")}
    assert {path.relative_to(installed) for path in installed.rglob("*.py")} == modules
    beside = {path.name for path in installed.parent.iterdir()}
    assert not beside & {"benchmarks", "demo", "scripts", "test", "training"}


def test_message_definitions_are_found(prefix: Path, tmp_path: Path) -> None:
    code = "from tasksr_ros.io import message_types as m; m.message_types().types[m.DETECTIONS]"
    run(tmp_path, sys.executable, "-c", code)


def test_the_command_runs_and_finds_its_models(prefix: Path, tmp_path: Path) -> None:
    command = prefix / "lib" / "tasksr_ros" / "tasksr"
    assert "benchmark" in run(tmp_path, command, "--help")
    assert "--bundle" in run(tmp_path, command, "replay", "--help")
    listed = run(tmp_path, command, "models").splitlines()
    assert {line.split(":")[0] for line in listed} == {path.name for path in shipped_bundles()}


def test_the_node_starts_and_ends(prefix: Path, ros_env: dict[str, str], tmp_path: Path) -> None:
    command = [prefix / "lib" / "tasksr_ros" / "tasksr_node", "--ros-args"]
    command += ["-p", "engine.name:=torch", "-p", "bundle:=tdsr-ss-x2"]
    log = tmp_path / "log"
    with log.open("w") as file:
        node = subprocess.Popen(command, cwd=tmp_path, env=ros_env, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 90
        while "configured: bundle tdsr-ss-x2" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert node.poll() is None, log.read_text()
            time.sleep(0.1)
        node.send_signal(signal.SIGINT)
        assert node.wait(timeout=30) == 0, log.read_text()
    finally:
        node.kill()
