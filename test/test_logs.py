"""Tests run where ROS 2's launch is installed: without its plugins, and what is logged is heard."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGIN = """
import logging
class Quiet(logging.Logger):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.propagate = False
logging.setLoggerClass(Quiet)
"""
"""As launch.logging, which the plugins launch_testing and launch_pytest import."""

TESTS = """
import logging, pytest
import tasksr_ros.io.natural_order

early = logging.getLogger("tasksr_ros.early")

def test_of_loggers_made_at_import(caplog):
    early.warning("early")
    assert caplog.messages == ["early"]

def test_of_loggers_made_late(caplog):
    logging.getLogger("tasksr_training.late").warning("late")
    assert caplog.messages == ["late"]
"""


class Quiet(logging.Logger):
    """Its loggers do not propagate."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.propagate = False


@pytest.fixture
def quiet() -> Iterator[logging.Logger]:
    """A logger of the package, made while launch's logger class was set."""
    logging.setLoggerClass(Quiet)
    logger = logging.getLogger("tasksr_ros.quiet")
    logger.__class__, logger.propagate = Quiet, False
    yield logger
    logging.setLoggerClass(logging.Logger)


def test_a_logger_that_does_not_propagate_is_heard(
    quiet: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    quiet.warning("heard")
    logging.getLogger("tasksr_ros.made_in_a_test").warning("heard, too")
    assert caplog.messages == ["heard", "heard, too"]


def test_afterwards_it_is_as_it_was(quiet: logging.Logger) -> None:
    assert quiet.propagate is False


def test_with_a_plugin_that_sets_the_class_before_all_else(tmp_path: Path, root: Path) -> None:
    (tmp_path / "quiet_plugin.py").write_text(PLUGIN)
    (tmp_path / "conftest.py").write_text((root / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "quiet_plugin", "test_it.py"]
    options = ("-p", "no:cacheprovider", "-o", f"pythonpath={root} {tmp_path}")
    run = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "2 passed" in run.stdout


@pytest.mark.parametrize("name", ["launch_testing", "launch_pytest", "launch_ros"])
def test_the_plugins_of_launch_are_left_out(tmp_path: Path, root: Path, name: str) -> None:
    """They import test files by name, and break pytest from 8.4 on."""
    installed = tmp_path / "fake_launch-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-launch\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = fake_launch\n")
    (tmp_path / "fake_launch.py").write_text("raise SystemExit('loaded')\n")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "test/test_motion.py"]
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    run = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "loaded" not in run.stderr
