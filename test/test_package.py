"""The package as a whole: its version, its dependencies, which file may import what."""

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
    "pillow": "python3-pil",
    "platformdirs": "python3-platformdirs",
    "pyyaml": "python3-yaml",
    "rosbags": "python3-rosbags-pip",
    "simplejpeg": "python3-simplejpeg-pip",
    "torch": "python3-pytorch-pip",
    "tqdm": "python3-tqdm",
}
WITHOUT_ROSDEP_KEY = {"faster-coco-eval", "onnx", "openvino", "safetensors"}
ROS = {"rclpy", "launch", "launch_ros", "rosidl_runtime_py", "ament_index_python"}


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
        ("tasksr_ros/cli/main.py", "import launch_ros.actions", True),
        ("tasksr_ros/cli/main.py", "from tasksr_training.datasets import read_sources", True),
        ("training/tasksr_training/cli.py", "import tasksr_training", False),
        ("tasksr_ros/ros/node.py", "import rclpy", False),
        ("tasksr_ros/ros/messages.py", "from vision_msgs.msg import Detection2DArray", False),
        ("tasksr_ros/ros/diagnostics.py", "from diagnostic_msgs.msg import DiagnosticArray", False),
        ("demo/demo.py", "import rclpy", False),
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


def test_ros_stays_in_its_room_and_training_outside(root: Path) -> None:
    # The linter exempts whole files: this holds for the exempt ones as well.
    for path in (root / "tasksr_ros").rglob("*.py"):
        packages = set(imported_packages(path.read_text()))
        assert "tasksr_training" not in packages, path
        if path.relative_to(root / "tasksr_ros").parts[0] != "ros":
            assert not any(map(is_ros, packages)), path
    for path in (root / "training").rglob("*.py"):
        assert not any(map(is_ros, imported_packages(path.read_text()))), path


def test_nothing_below_the_studies_imports_them(root: Path) -> None:
    for path in (root / "training" / "tasksr_training").rglob("*.py"):
        if "studies" not in path.parts:
            modules = imported_modules(path.read_text())
            assert not [m for m in modules if f"{m}.".startswith("tasksr_training.studies.")], path


@pytest.mark.parametrize("name", ["tasksr", "tasksr-train"])
def test_commands_lie_beside_the_interpreter(name: str) -> None:
    command = in_virtual_environment() / name
    run = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert name in run.stdout


def test_node_lies_beside_the_interpreter() -> None:
    assert os.access(in_virtual_environment() / "tasksr_node", os.X_OK)


def imported_packages(source: str) -> Iterator[str]:
    """Top-level packages that a module imports anywhere, by absolute imports."""
    return (module.split(".")[0] for module in imported_modules(source))


def imported_modules(source: str) -> Iterator[str]:
    """Modules, and names in them, that a module imports anywhere, by absolute imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_ros(package: str) -> bool:
    return package in ROS or package.endswith(("_msgs", "_interfaces"))


def in_virtual_environment() -> Path:
    """The folder of the virtual environment's commands; skips outside of one."""
    if sys.prefix == sys.base_prefix:
        pytest.skip("not in the virtual environment that make setup makes")
    return Path(sys.executable).parent
