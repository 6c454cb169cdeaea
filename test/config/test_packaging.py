"""Tests of what surrounds the node: container, systemd unit, rviz and Foxglove configurations.

No container is built and no viewer started here: names, forms and lint are checked.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml


def tool(name: str) -> str:
    """Path of a program, beside this Python or on the PATH; skips without it."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def published(root: Path) -> set[str]:
    """Full names of topics that the node publishes: test_sros2_policy compares them with it."""
    policy = ElementTree.parse(root / "config" / "sros2" / "policy.xml")
    groups = [group for group in policy.iter("topics") if "publish" in group.attrib]
    names = [entry.text or "" for group in groups for entry in group]
    return {name if name.startswith("/") else f"/{name}" for name in names}


def topics_of(value: object) -> Iterator[str]:
    """Topics that a configuration names anywhere: texts that begin with one slash."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from topics_of(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from topics_of(entry)
    elif isinstance(value, str) and (match := re.match(r"(/[a-z_/]+)(\.|$)", value)):
        yield match[1]


def string_constants(folder: Path) -> set[str]:
    """All texts that stand in the code of a folder."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {node.value for node in nodes if isinstance(node.value, str)}


@pytest.fixture(scope="module")
def foxglove(root: Path) -> dict[str, Any]:
    layout: dict[str, Any] = json.loads((root / "config/foxglove/tasksr.json").read_text())
    return layout


def test_foxglove_shows_topics_that_the_node_publishes(
    foxglove: dict[str, Any], root: Path
) -> None:
    named = set(topics_of(foxglove["configById"]))
    assert named == {"/debug_image", "/latency", "/diagnostics", "/detections", "/rosout"}
    assert named <= published(root)


def test_foxglove_plots_stages_that_the_node_measures(foxglove: dict[str, Any], root: Path) -> None:
    paths = [entry["value"] for entry in foxglove["configById"]["Plot!latency"]["paths"]]
    stages = {re.fullmatch(r'.*\{key=="(\w+)"\}\.value', path)[1] for path in paths}  # type: ignore[index]
    assert len(stages) == len(paths) >= 4
    assert stages <= string_constants(root / "tasksr_ros")


def test_every_foxglove_panel_has_a_place(foxglove: dict[str, Any]) -> None:
    def leaves(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        else:
            assert node["direction"] in ("row", "column")
            yield from (*leaves(node["first"]), *leaves(node["second"]))

    placed = list(leaves(foxglove["layout"]))
    assert sorted(placed) == sorted(foxglove["configById"])
    assert all(re.fullmatch(r"[A-Za-z]+!\w+", name) for name in placed)


def test_rviz_shows_topics_that_the_node_publishes(root: Path) -> None:
    config = yaml.safe_load((root / "config/rviz/tasksr.rviz").read_text())
    displays = config["Visualization Manager"]["Displays"]
    assert {display["Topic"]["Value"] for display in displays} == {"/debug_image"}
    assert set(topics_of(config)) <= published(root)


def instructions(root: Path) -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile's last stage and the one before, in order."""
    text = (root / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    pairs = [line.split(maxsplit=1) for line in lines]
    return [(name, arguments) for name, arguments in pairs]


def test_container_runs_as_an_unprivileged_user_with_a_health_check(root: Path) -> None:
    stages = instructions(root)
    last = stages[max(k for k, (name, _) in enumerate(stages) if name == "FROM") :]
    names = [name for name, _ in last]
    user = dict(last)["USER"]
    assert user.isdigit()
    assert int(user) > 0
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "HEALTHCHECK" in names
    assert dict(stages)["ARG"] is not None


def test_whoever_stops_the_node_sends_sigint_and_waits_long_enough(root: Path) -> None:
    """`ros2 launch` leaves the node behind on SIGTERM; it kills the node itself after 15 + 5 s."""
    assert dict(instructions(root))["STOPSIGNAL"] == "SIGINT"
    unit = (root / "config/systemd/tasksr.service").read_text()
    assert "\nKillSignal=SIGINT\n" in unit
    waits = {
        name: int(s) for name, s in re.findall(r"^(TimeoutStopSec)=(\d+)$", unit, re.MULTILINE)
    }
    assert waits["TimeoutStopSec"] > 20
    assert 'SIGTERM_S = "15"' in (root / "launch" / "tasksr.launch.py").read_text()


def test_container_is_made_of_files_that_exist(root: Path) -> None:
    copied = [arguments.split()[:-1] for name, arguments in instructions(root) if name == "COPY"]
    sources = [source for part in copied if not part[0].startswith("--from") for source in part]
    assert len(sources) >= 4
    assert all((root / source).exists() for source in sources)
    text = (root / "docker" / "Dockerfile").read_text()
    for name in re.search(r"for name in ([\w ]+); do", text)[1].split():  # type: ignore[index]
        assert (root / "requirements" / f"{name}.txt").is_file()


def test_container_gets_what_package_xml_wants_of_ros(root: Path) -> None:
    text = (root / "docker" / "Dockerfile").read_text()
    in_ros_base = {
        "ament_index_python", "builtin_interfaces", "diagnostic_msgs", "launch", "lifecycle_msgs",
        "geometry_msgs", "rcl_interfaces", "rclpy", "ros2bag", "sensor_msgs", "std_msgs",
        "std_srvs", "visualization_msgs",
    }  # fmt: skip
    wanted = {
        element.text or ""
        for element in ElementTree.parse(root / "package.xml").getroot().iter("exec_depend")
    }
    ros = {name for name in wanted if not name.startswith("python3-")}
    missing = ros - in_ros_base
    assert missing
    assert all(f"ros-jazzy-{name.replace('_', '-')}" in text for name in missing)


def test_dockerfile_passes_hadolint(root: Path) -> None:
    run = subprocess.run(
        [tool("hadolint"), "docker/Dockerfile"], cwd=root, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", ["entrypoint.sh", "healthcheck.sh"])
def test_container_scripts_are_bash(root: Path, name: str) -> None:
    run = subprocess.run(
        [tool("bash"), "-n", root / "docker" / name], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_systemd_unit_is_valid_and_hardened(root: Path, tmp_path: Path) -> None:
    systemd = tool("systemd-analyze")
    unit = shutil.copy(root / "config/systemd/tasksr.service", tmp_path)
    run = subprocess.run([systemd, "verify", unit], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    run = subprocess.run(
        [systemd, "security", "--offline=yes", unit], capture_output=True, text=True
    )
    exposure = re.search(r"Overall exposure level .*: ([\d.]+)", run.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= 3.0  # of 10: "OK"
