"""Launch the tasksr node.

An argument that is not given leaves the parameter to the parameter file, and to the default in
tasksr_ros/config.py where that does not name it either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription
from tasksr_ros.config import NodeConfig
from tasksr_ros.options import walk
from tasksr_ros.ros.parameter_file import parameters_of
from tasksr_ros.ros.transport import transport_environment

PARAMETERS = {
    "bundle": "bundle",
    "engine": "engine.name",
    "precision": "engine.precision",
    "transport": "input.transport",
    "region_mode": "region.mode",
    "score_threshold": "detection.score_threshold",
    "autostart": "autostart",
    "cameras": "cameras",
}
"""Launch arguments that set a parameter of the node, with its name."""

SIGTERM_S = "15"
"""To wait for the node's own end on Ctrl-C, which takes 8 s at most, before it is sent SIGTERM."""
RESPAWN_S = 2.0
"""Between the node's end and its next start."""


def value(context: LaunchContext, argument: str) -> str:
    """A launch argument's value; empty where it is not given."""
    return str(LaunchConfiguration(argument).perform(context))


def given_parameters(context: LaunchContext) -> dict[str, Any]:
    """The node's parameters that were given as launch arguments, by type."""
    types = {name: type_ for name, type_, *_ in walk(NodeConfig)}
    parameters: dict[str, Any] = {}
    for argument, name in PARAMETERS.items():
        text = value(context, argument)
        if text:
            parameters[name] = typed(argument, text, types[name])
    compressed = value(context, "compressed")
    if compressed and "input.transport" not in parameters:
        wanted = boolean("compressed", compressed)
        parameters["input.transport"] = "compressed" if wanted else "raw"
    sim_time = value(context, "use_sim_time")
    return parameters | ({"use_sim_time": boolean("use_sim_time", sim_time)} if sim_time else {})


def typed(argument: str, text: str, type_: Any) -> Any:
    """The value of a launch argument as its parameter has it."""
    if type_ is bool:
        return boolean(argument, text)
    if type_ is float:
        return number(argument, text)
    return split(text) if get_origin(type_) is tuple else text


def boolean(argument: str, text: str) -> bool:
    """A launch argument that is true or false."""
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{argument} must be true or false, got {text!r}")
    return text.lower() == "true"


def number(argument: str, text: str) -> float:
    """A launch argument that is a number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{argument} must be a number, got {text!r}") from None


def split(text: str) -> list[str]:
    """The names in a launch argument with one for each camera."""
    return [part.strip() for part in text.split(",")]


def all_parameters(context: LaunchContext) -> dict[str, Any]:
    """Those of params_file, and over them those given as launch arguments."""
    namespace = value(context, "namespace").strip("/")
    node = f"{'/' if namespace else ''}{namespace}/{value(context, 'node_name')}"
    return {**parameters_of(parameter_file(context), node), **given_parameters(context)}


def parameter_file(context: LaunchContext) -> Path:
    """The file of the node's parameters."""
    path = Path(value(context, "params_file"))
    if not path.is_file():
        raise ValueError(f"params_file must be a YAML file, got {str(path)!r}: there is none")
    return path


def remappings(context: LaunchContext) -> list[tuple[str, str]]:
    """Topics given as launch arguments: one, or one for each camera in the order of cameras."""
    parameters = all_parameters(context)
    cameras = parameters.get("cameras", list(NodeConfig().cameras))
    if not (isinstance(cameras, list) and all(isinstance(name, str) for name in cameras)):
        return []  # the node refuses it
    found = []
    for argument in ("image", "camera_info"):
        text = value(context, argument)
        if not text:
            continue
        topics = split(text)
        if len(topics) != len(cameras):
            where = "" if value(context, "cameras") else ", of params_file"
            names = f" ({', '.join(cameras)}{where})" if any(cameras) else ""
            raise ValueError(
                f"{argument} must name a topic for each of {len(cameras)} cameras{names}, "
                f"got {text!r}"
            )
        found += [
            remapping(camera, argument, topic, parameters)
            for camera, topic in zip(cameras, topics, strict=True)
        ]
    return found


def remapping(
    camera: str, argument: str, topic: str, parameters: Mapping[str, Any]
) -> tuple[str, str]:
    """The node's name of a camera's topic, and the topic."""
    common = parameters.get("input.transport", "raw")
    transport = parameters.get(f"{camera}.input.transport", common)
    if argument == "image" and transport != "raw":  # the node appends it
        topic = topic.removesuffix("/compressed")
    return (f"{camera}/{argument}" if camera else argument), topic


def nodes(context: LaunchContext) -> list[LifecycleNode]:
    """The node, as the arguments say."""
    share = Path(get_package_share_directory("tasksr_ros"))
    given = given_parameters(context)
    parameters = [str(parameter_file(context)), *([given] if given else [])]
    return [
        LifecycleNode(
            package="tasksr_ros",
            executable="tasksr_node",
            name=value(context, "node_name"),
            namespace=value(context, "namespace"),
            output="screen",
            emulate_tty=True,
            parameters=parameters,
            remappings=remappings(context),
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            additional_env=transport_environment(share, dict(os.environ)),
            respawn=boolean("respawn", value(context, "respawn")),
            respawn_delay=RESPAWN_S,
            sigterm_timeout=LaunchConfiguration("sigterm_timeout", default=SIGTERM_S),
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
        DeclareLaunchArgument("node_name", default_value="tasksr", description="the node's name"),
        DeclareLaunchArgument("namespace", default_value="", description="the node's namespace"),
        DeclareLaunchArgument(
            "use_sim_time", default_value="", description="true: time is that of /clock"
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="false",
            description=f"true: {RESPAWN_S:g} s after the node has ended it is started again",
        ),
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
                choices=["", *option.choices] if option.choices else None,
            )
        )
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])
