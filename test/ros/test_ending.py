"""Tests of tasksr_ros.ros.ending and of tasksr_ros.ros.process, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

WAIT_S = 60.0
BEGIN = """
import signal, threading, time
from tasksr_ros.ros import ending as module
from tasksr_ros.ros.ending import Ending
module.GRACE_S, module.RELEASE_S = 0.2, 0.5
stopped = threading.Event()
ending = Ending()
ending.watch()
release = lambda: print("released")
"""
HANGS = "print('runs', flush=True)\ntime.sleep(600)\n"
COMES = "print('runs', flush=True)\nstopped.wait()\nending.end(1)\n"
HOLDS = "ending.hold(stopped.set, release)\n"


def ended(
    program: str, *signals: signal.Signals, pause_s: float = 0.05, before: Callable[[], None] = int
) -> tuple[int, str, str]:
    """Status, stdout and stderr of a program that is sent signals once it runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )
    assert process.stdout is not None
    if signals:
        assert process.stdout.readline() == "runs\n"
    for sent in signals:
        process.send_signal(sent)
        time.sleep(pause_s)
    stdout, stderr = process.communicate(timeout=WAIT_S)
    return process.returncode, stdout, stderr


def test_its_own_end_has_its_status_and_gives_back() -> None:
    assert ended(HOLDS + "ending.end(3)") == (3, "released\n", "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_anything_is_held_a_signal_ends_at_once(sent: signal.Signals) -> None:
    assert ended(HANGS, sent) == (0, "", "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_main_thread_comes_to_its_end(sent: signal.Signals) -> None:
    """Its status is no matter then: it was asked to end."""
    assert ended(HOLDS + COMES, sent) == (0, "released\n", "")


def test_a_main_thread_that_hangs_is_not_waited_for() -> None:
    assert ended(HOLDS + HANGS, signal.SIGINT) == (0, "released\n", "")


@pytest.mark.parametrize("main", [COMES, HANGS])
def test_more_signals_change_nothing(main: str) -> None:
    several = (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    assert ended(HOLDS + main, *several) == (0, "released\n", "")


@pytest.mark.parametrize("main", [COMES, HANGS])
def test_what_cannot_be_given_back_does_not_keep_the_process(main: str) -> None:
    hangs = "ending.hold(stopped.set, lambda: time.sleep(600))\n"
    assert ended(hangs + main, signal.SIGINT) == (0, "", "")


def test_what_fails_on_the_way_does_not_keep_the_process() -> None:
    fails = "def fails(): raise RuntimeError('no')\nending.hold(fails, fails)\n"
    assert ended(fails + HANGS, signal.SIGINT) == (0, "", "")
    assert ended(fails + "ending.end(4)") == (4, "", "")


def test_a_thread_that_comes_back_late_does_not_break_the_end() -> None:
    """Python's own end would kill it where it next waits for Python's lock."""
    busy = "threading.Thread(target=lambda: [time.sleep(0.01) for _ in range(10**6)]).start()\n"
    assert ended(busy + HOLDS + COMES, signal.SIGINT) == (0, "released\n", "")


def test_nohup_is_respected() -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    status = ended(HOLDS + COMES, signal.SIGHUP, signal.SIGINT, pause_s=0.5, before=nohup)
    assert status == (0, "released\n", "")


def test_the_children_of_a_background_job_can_be_interrupted() -> None:
    """A shell without job control lets background jobs ignore SIGINT."""

    def background() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    status = ended(HOLDS + COMES, signal.SIGINT, before=background)
    assert status == (0, "released\n", "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["rclpy", "numpy", "cv2"])
def test_a_signal_while_modules_are_imported(
    ros_env: dict[str, str], sent: signal.Signals, module: str
) -> None:
    """The node says nothing and ends with 0; Python says here what it has imported so far."""
    command = [sys.executable, "-X", "importtime", "-m", "tasksr_ros.ros.process", "--ros-args"]
    process = subprocess.Popen(
        command, env=ros_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    watched = False
    for line in process.stderr:
        name = line.rpartition("|")[2].strip()
        watched |= name == "tasksr_ros.ros.ending"
        if watched and name.partition(".")[0] == module:
            break
    else:
        pytest.fail(f"{module} was not imported")
    process.send_signal(sent)
    stdout, rest = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert stdout == ""
    assert [line for line in rest.splitlines() if not line.startswith("import time:")] == []
    assert "tasksr_ros.ros.node" not in rest.split()


def test_the_command_looks_out_before_it_imports_anything_slow() -> None:
    program = "import sys, tasksr_ros.ros.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "tasksr_ros.ros.ending" in loaded
    assert not loaded & {"numpy", "torch", "cv2", "tasksr_ros.ros.node"}


def test_the_installed_command_is_that_one(root: os.PathLike[str]) -> None:
    text = (root / "setup.py").read_text()  # type: ignore[operator]
    assert '"tasksr_node = tasksr_ros.ros.process:main"' in text
