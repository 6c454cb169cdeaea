"""Tests of launch/tasksr.launch.py, where ROS 2's launch is installed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch_ros is not installed (it has no wheel)")

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LocalSubstitution
from launch.utilities import perform_substitutions
from launch_ros.actions import LifecycleNode

from launch import LaunchContext
from tasksr_ros.config import NodeConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import flatten


@pytest.fixture
def launch_file(load_launch_file: Callable[[str], ModuleType]) -> ModuleType:
    return load_launch_file("tasksr.launch.py")


def context(launch_file: ModuleType, **given: str) -> LaunchContext:
    """A context in which the launch file's arguments were given so, or not."""
    made = LaunchContext()
    for entity in launch_file.generate_launch_description().entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(made)
    made.launch_configurations.update(given)
    return made


def test_arguments_of_the_contract_are_declared(launch_file: ModuleType) -> None:
    description = launch_file.generate_launch_description()
    names = {argument.name for argument in description.get_launch_arguments()}
    contract = {"image", "compressed", "bundle", "engine", "params_file", "autostart", "cameras"}
    assert contract <= names


def test_what_is_not_given_is_not_set(launch_file: ModuleType, root: Path) -> None:
    made = context(launch_file)
    assert launch_file.given_parameters(made) == {}
    assert launch_file.remappings(made) == []
    (node,) = launch_file.nodes(made)
    assert parameter_files(node, made) == [root / "config" / "tasksr.yaml"]
    assert node.node_name == "/tasksr"
    assert not node.expanded_remapping_rules


def test_the_node_is_what_the_arguments_say(
    launch_file: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_file, "transport_environment", transport)
    own = tmp_path / "own.yaml"
    own.write_text("{}")
    made = context(
        launch_file,
        params_file=str(own),
        namespace="car",
        image="/cam/image_raw/compressed",
        compressed="True",
        log_level="warn",
    )
    (node,) = launch_file.nodes(made)
    assert isinstance(node, LifecycleNode)
    assert (node.node_package, node.node_executable) == ("tasksr_ros", "tasksr_node")
    parameters = {"/car/tasksr": {"ros__parameters": {"input.transport": "compressed"}}}
    first, given = parameter_files(node, made)
    assert first == own
    assert yaml.safe_load(given.read_text()) == parameters
    assert node.node_name == "/car/tasksr"
    assert node.expanded_remapping_rules == [("image", "/cam/image_raw")]
    environment = {text(made, name): text(made, value) for name, value in node.additional_env}
    assert environment == {"SHARE": str(launch_file.get_package_share_directory("tasksr_ros"))}
    command = [text(made, part) for part in node.cmd[1:4]]
    assert command == ["--ros-args", "--log-level", "warn"]


def transport(share: Path, environment: Mapping[str, str]) -> dict[str, str]:
    assert "PATH" in environment
    return {"SHARE": str(share)}


def text(context: LaunchContext, parts: object) -> str:
    return perform_substitutions(context, parts)


def parameter_files(node: LifecycleNode, context: LaunchContext) -> list[Path]:
    """The node's parameter files, the strongest last."""
    node._perform_substitutions(context)  # as `execute` does before it starts a process
    # the name and the executable are known only once the node starts
    parts = [part for part in node.cmd[1:] if not isinstance(part[0], LocalSubstitution)]
    command = [text(context, part) for part in parts]
    return [Path(b) for a, b in itertools.pairwise(command) if a == "--params-file"]


@pytest.mark.parametrize("wrong", ["flase", "1", "yes"])
def test_a_mistyped_boolean_is_refused(launch_file: ModuleType, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"autostart must be true or false, got '{wrong}'"):
        launch_file.nodes(context(launch_file, autostart=wrong))


def test_a_missing_parameter_file_is_refused(launch_file: ModuleType, tmp_path: Path) -> None:
    made = context(launch_file, params_file=str(tmp_path / "none.yaml"))
    with pytest.raises(ValueError, match=r"params_file must be a YAML file, got '.*none\.yaml'"):
        launch_file.nodes(made)


def test_given_arguments_become_parameters_of_their_type(launch_file: ModuleType) -> None:
    made = context(
        launch_file, engine="torch", compressed="true", autostart="False", cameras="front, left"
    )
    parameters = launch_file.given_parameters(made)
    assert parameters == {
        "engine.name": "torch",
        "input.transport": "compressed",
        "autostart": False,
        "cameras": ["front", "left"],
    }
    assert set(parameters) <= set(flatten(NodeConfig()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"image": "/cam/image_raw"}, [("image", "/cam/image_raw")]),
        ({"image": "/cam/compressed"}, [("image", "/cam/compressed")]),
        ({"image": "/cam/compressed", "compressed": "TRUE"}, [("image", "/cam")]),
        ({"image": "/cam/compressed", "transport": "auto"}, [("image", "/cam")]),
        (
            {"cameras": "front,left", "image": "/a/image, /b/image", "camera_info": "/a/i,/b/i"},
            [
                ("front/image", "/a/image"),
                ("left/image", "/b/image"),
                ("front/camera_info", "/a/i"),
                ("left/camera_info", "/b/i"),
            ],
        ),
    ],
)
def test_topics_are_remapped(
    launch_file: ModuleType, given: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert launch_file.remappings(context(launch_file, **given)) == expected


def test_a_topic_for_each_camera_is_wanted(launch_file: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"each of 2 cameras \(front, left\), got '/a/image'$"):
        launch_file.remappings(context(launch_file, cameras="front,left", image="/a/image"))


def params_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return str(path)


def test_cameras_of_the_parameter_file(launch_file: ModuleType, tmp_path: Path) -> None:
    """Topics are those of its cameras, in their order; arguments come before the file."""
    file = params_file(
        tmp_path,
        "/**:\n  ros__parameters:\n    cameras: [front, left]\n    input: {transport: auto}\n"
        "    left: {input: {transport: raw}}\n",
    )
    topics = "/f/compressed, /l/compressed"
    made = context(launch_file, params_file=file, image=topics, camera_info="/f/i,/l/i")
    assert launch_file.remappings(made) == [
        ("front/image", "/f"),
        ("left/image", "/l/compressed"),
        ("front/camera_info", "/f/i"),
        ("left/camera_info", "/l/i"),
    ]
    other = context(launch_file, params_file=file, image="/r", cameras="right", transport="raw")
    assert launch_file.remappings(other) == [("right/image", "/r")]
    one = context(launch_file, params_file=file, image="/f")
    message = (
        r"^image must name a topic for each of 2 cameras \(front, left, of params_file\), got '/f'$"
    )
    with pytest.raises(ValueError, match=message):
        launch_file.remappings(one)
    assert launch_file.remappings(context(launch_file, params_file=file)) == []


def test_the_file_speaks_to_the_node_by_its_name(launch_file: ModuleType, tmp_path: Path) -> None:
    file = params_file(tmp_path, "/car/far:\n  ros__parameters: {cameras: [a, b]}\n")
    given = {"params_file": file, "image": "/x,/y"}
    named = context(launch_file, namespace="car", node_name="far", **given)
    assert launch_file.remappings(named) == [("a/image", "/x"), ("b/image", "/y")]
    with pytest.raises(ValueError, match="each of 1 cameras, got '/x,/y'"):
        launch_file.remappings(context(launch_file, **given))


def test_a_parameter_file_that_is_none_is_refused(launch_file: ModuleType, tmp_path: Path) -> None:
    made = context(launch_file, params_file=params_file(tmp_path, "a: [1"), image="/x")
    with pytest.raises(ConfigError, match=r"params\.yaml must be a YAML file"):
        launch_file.nodes(made)


def test_cameras_that_are_no_list_are_left_to_the_node(
    launch_file: ModuleType, tmp_path: Path
) -> None:
    file = params_file(tmp_path, "/**:\n  ros__parameters: {cameras: front}\n")
    assert launch_file.remappings(context(launch_file, params_file=file, image="/x")) == []


def test_more_arguments_become_parameters(launch_file: ModuleType) -> None:
    made = context(
        launch_file,
        precision="bf16",
        score_threshold="0",
        region_mode="full",
        transport="auto",
        use_sim_time="true",
    )
    assert launch_file.given_parameters(made) == {
        "engine.precision": "bf16",
        "detection.score_threshold": 0.0,
        "region.mode": "full",
        "input.transport": "auto",
        "use_sim_time": True,
    }
    with pytest.raises(ValueError, match=r"^score_threshold must be a number, got 'high'$"):
        launch_file.given_parameters(context(launch_file, score_threshold="high"))
    with pytest.raises(ValueError, match=r"^use_sim_time must be true or false, got '1'$"):
        launch_file.given_parameters(context(launch_file, use_sim_time="1"))


def test_choices_are_those_of_the_parameters(launch_file: ModuleType) -> None:
    description = launch_file.generate_launch_description()
    choices = {a.name: a.choices for a in description.get_launch_arguments() if a.choices}
    assert choices == {
        "engine": ["", "auto", "tensorrt", "torch", "openvino", "onnxruntime"],
        "precision": ["", "fp32", "fp16", "bf16", "int8"],
        "transport": ["", "raw", "compressed", "auto"],
        "region_mode": ["", "fixed", "distance", "full"],
    }


def test_name_respawn_and_patience(launch_file: ModuleType) -> None:
    made = context(launch_file, node_name="far", namespace="car", respawn="true")
    (node,) = launch_file.nodes(made)
    parameter_files(node, made)
    assert node.node_name == "/car/far"
    assert node._ExecuteLocal__respawn is True
    assert text(made, node._ExecuteLocal__sigterm_timeout) == "15"
    (plain,) = launch_file.nodes(context(launch_file))
    assert plain._ExecuteLocal__respawn is False
    own = context(launch_file, sigterm_timeout="3")
    (node,) = launch_file.nodes(own)
    assert text(own, node._ExecuteLocal__sigterm_timeout) == "3"
