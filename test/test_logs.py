"""What is logged is heard in tests, also where ROS 2's launch sets its logger class."""

from __future__ import annotations

import logging
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
