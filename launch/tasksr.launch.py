"""Launch the tasksr node.

An argument that is not given leaves the parameter to the parameter file, and to the default in
tasksr_ros/config.py where that does not name it either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription
from tasksr_ros.config import NodeConfig
from tasksr_ros.options import walk
from tasksr_ros.ros.transport import transport_environment

PARAMETERS = {
    "bundle": "bundle",
    "engine": "engine.name",
    "transport": "input.transport",
    "autostart": "autostart",
    "cameras": "cameras",
}
"""Launch arguments that set a parameter of the node, with its name."""


def given_parameters(context: LaunchContext) -> dict[str, Any]:
    """The node's parameters that were given as launch arguments, by type."""
    types = {name: type_ for name, type_, *_ in walk(NodeConfig)}
    parameters: dict[str, Any] = {}
    for argument, name in PARAMETERS.items():
        text = LaunchConfiguration(argument).perform(context)
        if not text:
            continue
        if types[name] is bool:
            parameters[name] = boolean(argument, text)
        elif name == "cameras":
            parameters[name] = [camera.strip() for camera in text.split(",")]
        else:
            parameters[name] = text
    compressed = LaunchConfiguration("compressed").perform(context)
    if compressed and "input.transport" not in parameters:
        wanted = boolean("compressed", compressed)
        parameters["input.transport"] = "compressed" if wanted else "raw"
    return parameters


def boolean(argument: str, text: str) -> bool:
    """A launch argument that is true or false."""
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{argument} must be true or false, got {text!r}")
    return text.lower() == "true"


def remappings(context: LaunchContext) -> list[tuple[str, str]]:
    """Topics given as launch arguments: one, or one for each camera in the order of cameras."""
    given = given_parameters(context)
    cameras = given.get("cameras", list(NodeConfig().cameras))
    found = []
    for argument in ("image", "camera_info"):
        text = LaunchConfiguration(argument).perform(context)
        if not text:
            continue
        topics = [topic.strip() for topic in text.split(",")]
        if len(topics) != len(cameras):
            raise ValueError(
                f"{argument} must name a topic for each of {len(cameras)} cameras, got {text!r}"
            )
        if argument == "image" and given.get("input.transport", "raw") != "raw":  # it appends it
            topics = [topic.removesuffix("/compressed") for topic in topics]
        found += [
            (f"{camera}/{argument}" if camera else argument, topic)
            for camera, topic in zip(cameras, topics, strict=True)
        ]
    return found


def nodes(context: LaunchContext) -> list[LifecycleNode]:
    """The node, as the arguments say."""
    share = Path(get_package_share_directory("tasksr_ros"))
    params_file = LaunchConfiguration("params_file").perform(context)
    if not Path(params_file).is_file():
        raise ValueError(f"params_file must be a YAML file, got {params_file!r}: there is none")
    given = given_parameters(context)
    return [
        LifecycleNode(
            package="tasksr_ros",
            executable="tasksr_node",
            name="tasksr",
            namespace=LaunchConfiguration("namespace").perform(context),
            output="screen",
            emulate_tty=True,
            parameters=[params_file, given] if given else [params_file],
            remappings=remappings(context),
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            additional_env=transport_environment(share, dict(os.environ)),
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments and node."""
    share = Path(get_package_share_directory("tasksr_ros"))
    described = {name: (default, option) for name, _, default, option in walk(NodeConfig)}
    arguments = [
        DeclareLaunchArgument(
            "image", default_value="", description="image topic, or one for each camera"
        ),
        DeclareLaunchArgument(
            "camera_info", default_value="", description="CameraInfo topic, likewise"
        ),
        DeclareLaunchArgument(
            "compressed", default_value="", description="true: short for transport:=compressed"
        ),
        DeclareLaunchArgument("namespace", default_value="", description="the node's namespace"),
        DeclareLaunchArgument("log_level", default_value="info", description="least level logged"),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(share / "config" / "tasksr.yaml"),
            description="YAML file of the node's parameters",
        ),
    ]
    for argument, name in PARAMETERS.items():
        default, option = described[name]
        shown = ",".join(default) if isinstance(default, tuple) else default
        arguments.append(
            DeclareLaunchArgument(
                argument,
                default_value="",
                description=f"{option.description} (unless in params_file: {shown})",
            )
        )
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])
