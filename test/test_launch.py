"""Tests of launch/tasksr.launch.py, where ROS 2's launch is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed (it has no wheel)")

from launch.actions import DeclareLaunchArgument

from launch import LaunchContext
from tasksr_ros.config import NodeConfig, flatten


@pytest.fixture
def launch_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("launched", root / "launch/tasksr.launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "get_package_share_directory", lambda _: str(root))
    return module


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


def test_what_is_not_given_is_not_set(launch_file: ModuleType) -> None:
    made = context(launch_file)
    assert launch_file.given_parameters(made) == {}
    assert launch_file.remappings(made) == []
    assert launch_file.nodes(made)


def test_given_arguments_become_parameters_of_their_type(launch_file: ModuleType) -> None:
    made = context(
        launch_file, engine="torch", compressed="true", autostart="False", cameras="front, left"
    )
    parameters = launch_file.given_parameters(made)
    assert parameters == {
        "engine.name": "torch",
        "compressed": True,
        "autostart": False,
        "cameras": ["front", "left"],
    }
    assert set(parameters) <= set(flatten(NodeConfig()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"image": "/cam/image_raw"}, [("image", "/cam/image_raw")]),
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
    with pytest.raises(ValueError, match="a topic for each of 2 cameras, got '/a/image'"):
        launch_file.remappings(context(launch_file, cameras="front,left", image="/a/image"))
