"""From named parameters to the settings of the node and of each of its cameras, without ROS."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tasksr_ros.config import NodeConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import Value, build, check_value, flatten, walk

PER_CAMERA = ("input.", "region.", "detection.", "tracking.", "range.", "video.")
"""Groups that a camera may have of its own: ``front.region.top`` beside ``region.top``."""

LIVE = (
    *("region.", "detection.", "input.rate_limit", "debug.", "bundle"),
    *("range.", "schedule.target_latency", "video."),
)
"""What may change while the node is configured; the rest is read in configure."""


_PART = r"(?:[A-Za-z_]|\{\w+\})(?:\w|\{\w+\})*"
_TOPIC = re.compile(rf"(?:/|~/)?{_PART}(?:/{_PART})*", re.ASCII)
"""Absolute, relative or the node's own, with ROS's substitutions: ``~/image``, ``{node}/image``."""


@dataclass(frozen=True)
class Settings:
    """What the parameters say.

    Attributes:
        common: of the node.
        cameras: by name, the common settings with the camera's own in their place.
    """

    common: NodeConfig
    cameras: Mapping[str, NodeConfig]


def read_settings(values: Mapping[str, object]) -> Settings:
    """Check all parameters together.

    Args:
        values: by full name, those of cameras (``front.region.top``) among them.

    Raises:
        ConfigError: for an unknown name, a value of another type or out of range, or values that
            contradict each other.
    """
    common = {name: value for name, value in values.items() if _is_common(name)}
    config = build(NodeConfig, {name: v for name, v in common.items()})
    own: dict[str, dict[str, object]] = {name: {} for name in config.cameras}
    for name, value in values.items():
        if not _is_common(name):
            camera, field = split(name, config.cameras)
            own[camera][field] = value
    cameras = {name: _build_camera(name, {**flatten(config), **its}) for name, its in own.items()}
    _check_topics(cameras)
    return Settings(config, cameras)


def check_parameter(name: str, value: object, cameras: Collection[str]) -> Value:
    """The value of one parameter, a camera's among them, converted to its type.

    Raises:
        ConfigError: for an unknown name, or a value of another type or out of range.
    """
    if _is_common(name):
        return check_value(NodeConfig, name, value)
    camera, field = split(name, cameras)
    try:
        return check_value(NodeConfig, field, value)
    except ConfigError as error:
        raise ConfigError(f"{camera}.{error}") from None


def declared_type(name: str, cameras: Collection[str]) -> Any:
    """The type of a parameter, a camera's among them; None: there is no such parameter."""
    with suppress(ConfigError):
        return _COMMON.get(name if _is_common(name) else split(name, cameras)[1])
    return None


def split(name: str, cameras: Collection[str]) -> tuple[str, str]:
    """The camera and the common name of a camera's parameter.

    Raises:
        ConfigError: if there is no such camera, or it cannot have this of its own.
    """
    for camera in cameras:
        if camera and name.startswith(f"{camera}."):
            field = name[len(camera) + 1 :]
            if not field.startswith(PER_CAMERA):
                groups = ", ".join(group.rstrip(".") for group in PER_CAMERA)
                raise ConfigError(f"{name}: of its own a camera may have {groups}, got {field!r}")
            return camera, field
    check_value(NodeConfig, name, None)  # names the nearest known parameter
    raise ConfigError(f"unknown parameter {name!r}")


def needs_configure(names: Collection[str], cameras: Collection[str]) -> list[str]:
    """Those of the parameters that cannot change while the node is configured."""
    fields = {name: name if _is_common(name) else split(name, cameras)[1] for name in names}
    return [name for name, field in fields.items() if not field.startswith(LIVE)]


_COMMON = {name: type_ for name, type_, *_ in walk(NodeConfig)}


def _is_common(name: str) -> bool:
    return name in _COMMON


def _build_camera(name: str, values: Mapping[str, object]) -> NodeConfig:
    try:
        return build(NodeConfig, values)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}" if name else str(error)) from None


def _check_topics(cameras: Mapping[str, NodeConfig]) -> None:
    users: dict[str, str] = {}
    for name, config in cameras.items():
        topic, info_topic = config.input.topic, config.input.info_topic
        prefix = f"{name}.input" if name else "input"
        _check_name(f"{prefix}.topic", topic)
        _check_name(f"{prefix}.info_topic", info_topic)
        if topic and topic == info_topic:
            raise ConfigError(f"{prefix}.info_topic must not be the images', got {topic!r}")
        if topic and topic in users:
            raise ConfigError(
                f"cameras must have topics of their own, got {topic!r} for "
                f"{users[topic]} and {name}"
            )
        users[topic] = name


def _check_name(parameter: str, topic: str) -> None:
    if topic and not _TOPIC.fullmatch(topic):
        raise ConfigError(
            f"{parameter} must be the name of a topic (parts of letters, digits and _, none of "
            f"which begins with a digit, / between them), got {topic!r}"
        )
