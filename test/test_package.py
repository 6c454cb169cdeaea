"""The package as a whole: its version, its dependencies, which file may import what, and what an
installation by colcon or pip contains.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tasksr_ros import __version__
from tasksr_ros.config import NodeConfig
from tasksr_ros.options import build

ROSDEP_KEYS = {
    "jinja2": "python3-jinja2",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "opencv-python-headless": "python3-opencv",
    "platformdirs": "python3-platformdirs",
    "pyyaml": "python3-yaml",
    "rosbags": "python3-rosbags-pip",
    "torch": "python3-pytorch-pip",
    "tqdm": "python3-tqdm",
}
WITHOUT_ROSDEP_KEY = {"faster-coco-eval", "openvino", "safetensors", "simplejpeg"}
ROS = {"rclpy", "launch", "launch_ros", "rosidl_runtime_py", "ament_index_python"}
ROS_FILES = {
    "node.py",
    "node_parameters.py",
    "activity.py",
    "topics.py",
    "messages.py",
    "diagnostics.py",
    "replay/session.py",
}


def package_xml(root: Path) -> ElementTree.Element:
    return ElementTree.parse(root / "package.xml").getroot()


def requirements(root: Path) -> set[str]:
    """Names of what the deployed package requires, without versions."""
    lines: list[str] = []
    for name in ("torch.txt", "runtime.txt"):
        lines += (root / "requirements" / name).read_text().splitlines()
    stated = [line for line in lines if line and not line.startswith("#")]
    return {re.split(r"[=<>\[]", line)[0] for line in stated}


def test_version_is_the_same_everywhere(root: Path) -> None:
    assert package_xml(root).findtext("version") == __version__
    training = (root / "training" / "pyproject.toml").read_text()
    assert re.findall(r'^version = "(.+)"$', training, re.MULTILINE) == [__version__]
    changelog = (root / "CHANGELOG.rst").read_text().splitlines()
    newest = next(line for line, under in pairwise(changelog) if set(under) == {"-"})
    assert newest.split()[0] == __version__


def test_setup_py_finds_the_version(root: Path) -> None:
    command = [sys.executable, "setup.py", "--version"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == __version__


def test_package_xml_is_valid(root: Path) -> None:
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not installed")
    warnings: list[str] = []
    parsed = package.parse_package(str(root), warnings=warnings)
    assert (parsed.name, parsed.package_format, warnings) == ("tasksr_ros", 3, [])


def test_every_requirement_is_in_package_xml(root: Path) -> None:
    assert requirements(root) == set(ROSDEP_KEYS) | WITHOUT_ROSDEP_KEY
    keys = {element.text for element in package_xml(root).iter("exec_depend")}
    assert set(ROSDEP_KEYS.values()) <= keys
    text = (root / "package.xml").read_text()
    named = re.search(r"<!-- Without a rosdep key, .*?: (.+?)\. -->", text, re.DOTALL)
    assert named is not None
    assert set(re.split(r",\s+", named.group(1))) == WITHOUT_ROSDEP_KEY


def test_every_ros_package_that_is_imported_is_in_package_xml(root: Path) -> None:
    keys = {element.text for element in package_xml(root).iter("exec_depend")}
    files = [*(root / "tasksr_ros").rglob("*.py"), *(root / "launch").glob("*.py")]
    imported = {name for path in files for name in imported_packages(path.read_text())}
    assert {name for name in imported if is_ros(name)} <= keys


def test_example_parameters_are_known_ones(root: Path) -> None:
    text = (root / "config" / "tasksr.yaml").read_text()
    assert yaml.safe_load(text) is None, "the file states overrides, and nothing is overridden"
    example = text[text.index("# /**:") :].replace("# ", "")
    parameters = yaml.safe_load(example)["/**"]["ros__parameters"]
    assert len(parameters) >= 3
    build(NodeConfig, parameters)


@pytest.mark.parametrize(
    ("file", "statement", "banned"),
    [
        ("tasksr_ros/pipeline.py", "import rclpy", True),
        ("tasksr_ros/pipeline.py", "from rclpy.node import Node", True),
        ("tasksr_ros/engines/torch.py", "from sensor_msgs.msg import Image", True),
        ("tasksr_ros/cli.py", "import launch_ros.actions", True),
        ("tasksr_ros/cli.py", "from tasksr_training.datasets import read_sources", True),
        ("training/tasksr_training/cli.py", "import tasksr_training", False),
        ("tasksr_ros/node.py", "import rclpy", False),
        ("tasksr_ros/messages.py", "from vision_msgs.msg import Detection2DArray", False),
        ("tasksr_ros/diagnostics.py", "from diagnostic_msgs.msg import DiagnosticArray", False),
        ("demo/player.py", "import rclpy", False),
        ("launch/tasksr.launch.py", "import launch", False),
    ],
)
def test_linter_bans_imports(root: Path, file: str, statement: str, banned: bool) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed beside this Python")
    command = [ruff, "check", "--select", "TID251", "--stdin-filename", file, "-"]
    run = subprocess.run(command, cwd=root, input=f"{statement}\n", capture_output=True, text=True)
    assert run.returncode == int(banned), run.stdout + run.stderr
    assert ("TID251" in run.stdout) == banned


def test_ros_stays_in_its_files_and_training_outside(root: Path) -> None:
    # The linter exempts whole files: this holds for the exempt ones as well.
    for path in (root / "tasksr_ros").rglob("*.py"):
        packages = set(imported_packages(path.read_text()))
        assert "tasksr_training" not in packages, path
        if path.relative_to(root / "tasksr_ros").as_posix() not in ROS_FILES:
            assert not any(map(is_ros, packages)), path
    for path in (root / "training").rglob("*.py"):
        assert not any(map(is_ros, imported_packages(path.read_text()))), path


@pytest.mark.parametrize("name", ["tasksr", "tasksr-train"])
def test_commands_lie_beside_the_interpreter(name: str) -> None:
    command = in_virtual_environment() / name
    run = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert name in run.stdout


def test_node_lies_beside_the_interpreter() -> None:
    assert os.access(in_virtual_environment() / "tasksr_node", os.X_OK)


def test_colcon_installs_what_ros2_looks_for(root: Path) -> None:
    prefix = colcon_prefix()
    for name in ("tasksr", "tasksr_node"):
        assert os.access(prefix / "lib" / "tasksr_ros" / name, os.X_OK)
    resources = prefix / "share" / "ament_index" / "resource_index" / "packages"
    assert (resources / "tasksr_ros").exists()
    share = prefix / "share" / "tasksr_ros"
    shipped = [root / "package.xml", *(root / "launch").glob("*.launch.py")]
    for folder in ("config", "models"):
        shipped += [path for path in (root / folder).rglob("*") if path.is_file()]
    for path in shipped:
        assert (share / path.relative_to(root)).read_bytes() == path.read_bytes()


def test_command_installed_by_colcon_runs_outside_the_checkout(tmp_path: Path) -> None:
    prefix = colcon_prefix()
    code = "import tasksr_ros; print(tasksr_ros.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(where.stdout.strip()).is_relative_to(prefix)
    command = [prefix / "lib" / "tasksr_ros" / "tasksr", "models"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def imported_packages(source: str) -> Iterator[str]:
    """Top-level packages that a module imports anywhere, by absolute imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


def is_ros(package: str) -> bool:
    return package in ROS or package.endswith(("_msgs", "_interfaces"))


def in_virtual_environment() -> Path:
    """The folder of the virtual environment's commands; skips outside of one."""
    if sys.prefix == sys.base_prefix:
        pytest.skip("not in the virtual environment that make setup makes")
    return Path(sys.executable).parent


def colcon_prefix() -> Path:
    """The folder that colcon installed the package into; skips without one."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix and (Path(prefix) / "lib" / "tasksr_ros").is_dir():
            return Path(prefix)
    pytest.skip("not installed by colcon: make colcon, or colcon test, checks this")
