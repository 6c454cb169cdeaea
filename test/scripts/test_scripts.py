"""The scripts behind make: what stops them is one line, and no tests are not a success."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest


def load(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script, which lies outside of any package."""
    monkeypatch.syspath_prepend(str(root / "scripts"))
    spec = importlib.util.spec_from_file_location(name, root / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("distribution", "said"),
    [
        ("humble", "ROS 2 humble is sourced, expected jazzy or kilted"),
        ("jazzy", "sudo apt install ros-jazzy-rclpy ros-jazzy-vision-msgs"),
    ],
)
def test_unusable_distribution_is_one_line(root: Path, distribution: str, said: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    # Without site packages, as on a machine where the distribution lacks them.
    command = [sys.executable, "-I", "-S", "-c", RUN_SETUP, str(root / "scripts")]
    environment = {**kept, "ROS_DISTRO": distribution}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("make setup: error: ")
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


RUN_SETUP = """
import sys
sys.path.insert(0, sys.argv.pop())
import setup_environment
sys.exit(setup_environment.main())
"""


def test_steps_notice_changed_inputs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup_environment = load(root, "setup_environment", monkeypatch)

    def fingerprint(*inputs: Path | str) -> str:
        return str(setup_environment.Step("step", "Step", print, inputs).fingerprint())

    (tmp_path / "a.msg").write_text("float64 x\n")
    first = fingerprint(tmp_path, "jazzy")
    assert fingerprint(tmp_path, "jazzy") == first
    assert fingerprint(tmp_path, "kilted") != first
    (tmp_path / "a.msg").write_text("float64 y\n")
    assert fingerprint(tmp_path, "jazzy") != first
    (tmp_path / "a.msg").write_text("float64 x\n")
    (tmp_path / "b.msg").write_text("")
    assert fingerprint(tmp_path, "jazzy") != first


def test_a_step_beside_the_others_is_waited_for(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = load(root, "setup_environment", monkeypatch)
    monkeypatch.setattr(setup, "DONE", tmp_path / "done.json")
    monkeypatch.setattr(setup, "PYTHON", Path(sys.executable))
    next_one, done = threading.Event(), []

    def compiled() -> None:
        assert next_one.wait(60)  # for ever, if the next step waited for it
        done.append("compiled")

    def fails() -> None:
        raise setup.SetupError("no compiler")

    steps = [
        setup.Step("compile", "Compile", compiled, (), beside=True),
        setup.Step("install", "Install", next_one.set, ()),
    ]
    setup._do(steps)
    assert done == ["compiled"]
    assert sorted(json.loads((tmp_path / "done.json").read_text())) == ["compile", "install"]

    (tmp_path / "done.json").unlink()
    with pytest.raises(setup.SetupError, match="no compiler"):
        setup._do([setup.Step("compile", "Compile", fails, (), beside=True), steps[1]])
    assert sorted(json.loads((tmp_path / "done.json").read_text())) == ["install"]


@pytest.mark.parametrize(
    ("tests", "attributes", "status"),
    [
        ("", 'tests="0" errors="0" failures="0" skipped="0"', 1),
        ('<testcase name="a"/>', 'tests="1" errors="0" failures="0" skipped="0"', 0),
        (
            '<testcase name="a"><skipped message="b"/></testcase>',
            'tests="1" errors="0" failures="0" skipped="1"',
            1,
        ),
        (
            '<testcase name="a"><failure message="b"/></testcase>',
            'tests="1" errors="0" failures="1" skipped="0"',
            1,
        ),
    ],
)
def test_colcon_results_are_counted(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tests: str,
    attributes: str,
    status: int,
) -> None:
    pytest.importorskip("colcon_test_result", reason="colcon is not installed")
    colcon_test = load(root, "colcon_test", monkeypatch)
    results = tmp_path / "build" / "tasksr_ros"
    results.mkdir(parents=True)
    (results / "pytest.xml").write_text(f'<testsuite name="t" {attributes}>{tests}</testsuite>')
    monkeypatch.setattr(colcon_test, "WORKSPACE", tmp_path)
    assert colcon_test.count_tests() == status


def test_without_the_tools_the_check_says_that_it_is_skipped(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = load(root, "ros2_tools_check", monkeypatch)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check.main() == 0
    said = capsys.readouterr().out
    assert said.startswith("ros2-tools-check: skipped: there is no ros2 with launch, run, param")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("commands", "there"),
    [
        ("launch run param lifecycle service node", True),
        ("run param lifecycle service node", False),  # no ros2launch
    ],
)
def test_which_tools_the_check_needs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: str, there: bool
) -> None:
    check = load(root, "ros2_tools_check", monkeypatch)
    program = tmp_path / "ros2"
    lines = "".join(f"  {name}  what it does\\n" for name in commands.split())
    program.write_text(f"#!/bin/sh\nprintf 'Commands:\\n{lines}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert check.has_tools() is there
