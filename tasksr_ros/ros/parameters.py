"""The node's ROS parameters: declared from config.py's fields, checked as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, get_origin

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from tasksr_ros.config import NodeConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import Option, Value, flatten, walk, words_of
from tasksr_ros.ros.settings import (
    Settings,
    check_parameter,
    declared_type,
    needs_configure,
    read_settings,
)

_ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides.")


class NodeParameters:
    """Declares and reads a node's parameters.

    Args:
        node: allows undeclared parameters: cameras' own values exist only where they are given.

    Attributes:
        error: the first thing wrong with the parameters that were given at the start.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.error: ConfigError | None = None
        given = self.ours(node._parameter_overrides.values())  # rclpy has no other access to all
        cameras = self._cameras(given)
        values: dict[str, Value] = {}
        for name, value in given.items():
            try:
                values[name] = check_parameter(name, _not_empty(name, value), cameras)
            except ConfigError as error:
                self.error = self.error or error
        for name, type_, default, option in walk(NodeConfig):
            value = _plain(values.pop(name, default))
            node.declare_parameter(name, value, _descriptor(type_, option), ignore_override=True)
        for name, value in values.items():
            node.declare_parameter(name, _plain(value), ignore_override=True)
        node.add_pre_set_parameters_callback(self._as_declared)

    def _as_declared(self, changes: list[Parameter]) -> list[Parameter]:
        """What `ros2 param set` sends for 40 and [] in place of 40.0 and an empty list of texts."""
        cameras = self._node.get_parameter("cameras").value
        return [as_declared(change, cameras) for change in changes]

    def _given(self) -> dict[str, Any]:
        return {
            name: parameter.value
            for name, parameter in self._node.get_parameters_by_prefix("").items()
            if not name.startswith(_ROS_PARAMETERS)
        }

    @staticmethod
    def _cameras(given: dict[str, Any]) -> tuple[str, ...]:
        try:
            return tuple(check_parameter("cameras", given["cameras"], ()))  # type: ignore[arg-type]
        except (KeyError, ConfigError):  # the latter is told where all are checked
            return NodeConfig().cameras

    def settings(self) -> Settings:
        """What the parameters say.

        Raises:
            ConfigError: if one of those given at the start is wrong, or they do not fit together.
        """
        if self.error is not None:
            raise self.error
        return read_settings(self._given())

    def mended(self) -> None:
        """Whoever sets parameters has read what was wrong with those given at the start."""
        self.error = None

    @staticmethod
    def ours(changes: Iterable[Parameter]) -> dict[str, Any]:
        """Names and values of the changes that do not concern ROS itself; None: to be removed."""
        return {p.name: p.value for p in changes if not p.name.startswith(_ROS_PARAMETERS)}

    def check_each(self, changes: dict[str, Any]) -> None:
        """Check changes of an unconfigured node; configure checks that they fit each other.

        Raises:
            ConfigError: if a name is unknown, or a value wrong by itself.
        """
        cameras = changes.get("cameras", self._node.get_parameter("cameras").value)
        for name, value in changes.items():
            if value is not None or self._common(name):
                check_parameter(name, value, cameras)

    def with_changes(self, changes: dict[str, Any]) -> Settings:
        """The settings of a configured node after changes, checked together.

        Raises:
            ConfigError: if they do not fit, or one of them takes effect in configure only.
        """
        before = self._given()
        after = {**before, **changes}
        for name, value in changes.items():
            if value is None and not self._common(name):
                del after[name]
        settings = read_settings(after)
        changed = [name for name in changes if after.get(name) != before.get(name)]
        fixed = needs_configure(changed, settings.common.cameras)
        if fixed:
            raise ConfigError(
                f"{', '.join(fixed)}: takes effect in configure: cleanup the node first"
            )
        return settings

    @staticmethod
    def _common(name: str) -> bool:
        return name in flatten(NodeConfig())


def as_declared(change: Parameter, cameras: Collection[str]) -> Parameter:
    """The parameter with a whole number as a float, where it is declared as one.

    Args:
        change: as it came; one of another type, or unknown, stays as it is, to be refused.
        cameras: by name.
    """
    declared = declared_type(change.name, cameras)
    if declared is float and change.type_ == Parameter.Type.INTEGER:
        return Parameter(change.name, value=float(change.value))
    if get_origin(declared) is tuple and change.type_.name.endswith("ARRAY") and not change.value:
        return Parameter(change.name, Parameter.Type.STRING_ARRAY, [])
    return change


def _not_empty(name: str, value: object) -> object:
    """A value given at the start; rcl takes an empty list for no value at all."""
    if value is None:
        raise ConfigError(f"{name} must have a value, got an empty list: leave it out")
    return value


def _plain(value: Value) -> Any:
    """Tuples as ROS parameters take them."""
    return list(value) if isinstance(value, tuple) else value


def _descriptor(type_: Any, option: Option) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=option.description)
    if words_of(type_):  # a number or a word: no range and no type that ROS knows
        descriptor.dynamic_typing = True
        descriptor.additional_constraints = (
            f"a number from {option.low:g} to {option.high:g}, or {' or '.join(words_of(type_))}"
        )
        return descriptor
    if option.choices:
        descriptor.additional_constraints = "one of " + ", ".join(option.choices)
    if option.low is not None and option.high is not None:
        if type_ is int:
            range_ = IntegerRange(from_value=int(option.low), to_value=int(option.high), step=1)
            descriptor.integer_range = [range_]
        else:
            low, high = float(option.low), float(option.high)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
