"""Drive the node with the real `ros2 launch | run | param | lifecycle | service | bag`.

`make ros2-tools-check`: the package is built as colcon does and installed below build/; what the
tools say of it is compared. Where a tool is not installed, a line says what was left out: ROS 2's
wheels have none of them, a sourced distribution has all.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import colcon_test

ROOT = Path(__file__).resolve().parents[1]
WORKSPACE = ROOT / "build" / "ros2_tools"
START_S = 180.0
"""For the node to come up; the first start converts the model."""
CALL_S = 60.0
ENDS = "process has finished cleanly"
BAD = ("Traceback", "terminate called", "escalating", "died")
PARAMETERS = """
/**:
  ros__parameters:
    cameras: [front, left]
    bundle: picodet-s-x1
    region: {min_distance: 45}
"""


class CheckError(Exception):
    """A tool did not say what it should."""


class Tools:
    """The tools, in an environment that has the installed package.

    Args:
        prefix: where the package is installed.
    """

    def __init__(self, prefix: Path) -> None:
        (packages,) = prefix.glob("lib/python3*/site-packages")
        before = {**colcon_test.environment(), "PYTHONUNBUFFERED": "1"}
        self.environment = {
            **before,
            "AMENT_PREFIX_PATH": f"{prefix}{os.pathsep}{before['AMENT_PREFIX_PATH']}",
            "PYTHONPATH": f"{packages}{os.pathsep}{before.get('PYTHONPATH', '')}",
            "ROS_DOMAIN_ID": before.get("ROS_DOMAIN_ID", "88"),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_LOG_DIR": str(WORKSPACE / "log" / "ros"),
        }

    def say(self, *command: str, seconds: float = CALL_S) -> tuple[int, str]:
        """Status and output of ``ros2`` with these arguments."""
        run = subprocess.run(
            ["ros2", *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        return run.returncode, run.stdout

    def expect(self, said: str, *command: str, fails: bool = False) -> None:
        """Check that ``ros2`` says so.

        Raises:
            CheckError: if it does not, or its status is another.
        """
        status, output = self.say(*command)
        if said not in output or (status != 0) != fails:
            raise CheckError(f"ros2 {' '.join(command)}: expected {said!r}, got {status}, {output}")
        print(f"ok: ros2 {' '.join(command[:4])}: {said}", flush=True)

    @contextmanager
    def running(self, log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """``ros2`` in a process group of its own, as in a terminal; killed if it does not end."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["ros2", *command],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def main() -> int:
    """Build, drive and compare; returns 0 if all is as it should be or there are no tools."""
    if not has_tools():
        print(
            "ros2-tools-check: skipped: there is no ros2 with launch, run, param, lifecycle and "
            "service here: source a ROS 2 distribution"
        )
        return 0
    shutil.rmtree(WORKSPACE, ignore_errors=True)
    folders = ("--build-base", WORKSPACE / "build", "--install-base", WORKSPACE / "install")
    build = colcon_test.colcon("build", "--base-paths", ROOT, *folders)
    run = subprocess.run(
        build,
        cwd=ROOT,
        env=colcon_test.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode:
        print(f"{run.stdout}\nros2-tools-check: colcon build failed", file=sys.stderr)
        return 1
    tools = Tools(WORKSPACE / "install" / "tasksr_ros")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for check in (check_arguments, check_launch, check_run, check_replay):
                check(tools, Path(folder))
    except (CheckError, subprocess.TimeoutExpired) as error:
        print(f"ros2-tools-check: {error}", file=sys.stderr)
        return 1
    finally:
        tools.say("daemon", "stop")  # the tools started one in this domain
    return 0


def has_tools() -> bool:
    """Whether there is a ``ros2`` with the commands that are driven."""
    environment = colcon_test.environment()
    if shutil.which("ros2", path=environment["PATH"]) is None:
        return False
    run = subprocess.run(["ros2", "--help"], env=environment, capture_output=True, text=True)
    there = set(re.findall(r"^  (\w+) ", run.stdout, re.MULTILINE))
    return {"launch", "run", "param", "lifecycle", "service", "node"} <= there


def check_arguments(tools: Tools, _: Path) -> None:
    """What the launch files tell of themselves, and what they refuse."""
    for file, argument in (("tasksr", "region_mode"), ("replay", "rate")):
        tools.expect(f"'{argument}':", "launch", "tasksr_ros", f"{file}.launch.py", "--show-args")
    launch = ("launch", "tasksr_ros", "tasksr.launch.py")
    tools.expect("raw", *launch, "transport:=shared", fails=True)
    tools.expect("must name a topic for each of 1 cameras", *launch, "image:=/a,/b", fails=True)


def check_launch(tools: Tools, folder: Path) -> None:
    """Two cameras of a parameter file, asked and changed with the tools; Ctrl-C.

    The node gets that twice: as one of the process group, and from `ros2 launch`.
    """
    (folder / "p.yaml").write_text(PARAMETERS)
    given = (f"params_file:={folder / 'p.yaml'}", "image:=/f/raw,/l/raw", "node_name:=far")
    log = folder / "launch.log"
    with tools.running(log, "launch", "tasksr_ros", "tasksr.launch.py", *given) as process:
        wait_active(tools, "/far", process, log)
        tools.expect("/l/raw: sensor_msgs/msg/Image", "node", "info", "/far")
        tools.expect("Double value is: 45.0", "param", "get", "/far", "region.min_distance")
        setting = ("param", "set", "/far")
        tools.expect("Set parameter successful", *setting, "region.min_distance", "50")
        tools.expect("Double value is: 50.0", "param", "get", "/far", "region.min_distance")
        tools.expect("Setting parameter failed", *setting, "region.tile_overlap", "3.5")
        tools.expect("cameras must name at least one camera", *setting, "cameras", "[]")
        enable = ("service", "call", "/far/enable", "std_srvs/srv/SetBool")
        tools.expect("message='disabled'", *enable, "{data: false}")
        tools.expect("message='enabled'", *enable, "{data: true}")
        tools.expect("Transitioning successful", "lifecycle", "set", "/far", "deactivate")
        tools.expect("inactive", "lifecycle", "get", "/far")
        tools.expect("Transitioning successful", "lifecycle", "set", "/far", "activate")
        end(process, log)
    if ENDS not in log.read_text():
        raise CheckError(f"the node did not end cleanly: {log.read_text()}")


def check_run(tools: Tools, folder: Path) -> None:
    """`ros2 run`, and Ctrl-C."""
    log = folder / "run.log"
    given = ("--ros-args", "-p", "bundle:=picodet-s-x1")
    with tools.running(log, "run", "tasksr_ros", "tasksr_node", *given) as process:
        wait_active(tools, "/tasksr", process, log)
        end(process, log)


def check_replay(tools: Tools, folder: Path) -> None:
    """A bag played by `ros2 bag`, kept and evaluated; the launch's status says how it went."""
    if tools.say("bag", "play", "--help")[0] != 0:
        print("skipped: replay.launch.py: there is no `ros2 bag play` here")
        return
    drive, bag = str(folder / "drive"), str(folder / "bag")
    for command in (("make-drive", drive, "--frames", "4"), ("make-bag", drive, bag)):
        subprocess.run(
            [sys.executable, "-m", "tasksr_ros.cli", *command], env=tools.environment, check=True
        )
    given = ("image:=/camera/image", f"predictions:={folder / 'p.json'}", "bundle:=picodet-s-x1")
    replay = ("launch", "tasksr_ros", "replay.launch.py", f"bag:={bag}", *given, "rate:=0.2")
    status, output = tools.say(*replay, f"ground_truth:={drive}/ground_truth.json", seconds=600)
    if status != 0 or not (folder / "p.evaluation.json").is_file():
        raise CheckError(f"the replay ended with {status}: {output}")
    print("ok: ros2 launch tasksr_ros replay.launch.py: evaluated, status 0")


def wait_active(tools: Tools, node: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until `ros2 lifecycle get` says that the node is active."""
    deadline = time.monotonic() + START_S
    while "active [3]" not in (said := tools.say("lifecycle", "get", node)[1]):
        if process.poll() is not None or time.monotonic() > deadline:
            raise CheckError(f"{node} is not active: {said} {log.read_text()}")
        time.sleep(1)
    print(f"ok: ros2 lifecycle get {node}: active [3]", flush=True)


def end(process: subprocess.Popen[bytes], log: Path) -> None:
    """Ctrl-C, which the whole process group gets; the status must be 0 and nothing be said."""
    os.killpg(process.pid, signal.SIGINT)
    status = process.wait(timeout=CALL_S)
    text = log.read_text()
    if status != 0 or any(bad in text for bad in BAD):
        raise CheckError(f"Ctrl-C ended with status {status}: {text}")
    print("ok: Ctrl-C: status 0", flush=True)


if __name__ == "__main__":
    sys.exit(main())
