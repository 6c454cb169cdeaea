"""Tests of tasksr_ros.ros.parameters: what YAML files say and `ros2 param` sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

import rclpy
from rclpy.parameter import Parameter

from tasksr_ros.errors import ConfigError
from tasksr_ros.ros.node import TaskSRNode
from tasksr_ros.ros.parameters import as_declared

pytestmark = pytest.mark.wire

MakeNode = Callable[..., TaskSRNode]


@pytest.fixture
def make_node(ros_domain: int, tmp_path: Path) -> Iterator[MakeNode]:
    """Makes unconfigured nodes, given the lines below ros__parameters."""
    context = rclpy.Context()
    nodes = []

    def make(*lines: str) -> TaskSRNode:
        file = tmp_path / "parameters.yaml"
        file.write_text("\n    ".join(("/**:\n  ros__parameters:", "autostart: false", *lines)))
        arguments = ["--ros-args", "--params-file", str(file)]
        nodes.append(TaskSRNode(context=context, cli_args=arguments))
        return nodes[-1]

    rclpy.init(context=context, domain_id=ros_domain)
    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown(context=context)


def change(node: TaskSRNode, name: str, value: Any) -> tuple[str, Any]:
    """Set a parameter; returns why it was refused, or "", and its value then."""
    result = node.set_parameters([Parameter(name, value=value)])[0]
    assert result.successful == (not result.reason)
    return result.reason, node.get_parameter(name).value


def test_whole_numbers_are_taken_for_floats(make_node: MakeNode) -> None:
    node = make_node("cameras: [front]", "region: {min_distance: 45}", "front.region.top: 0")
    settings = node._declared.settings()
    assert settings.common.region.min_distance == 45.0
    assert settings.cameras["front"].region.top == 0.0
    for name, value, expected in (
        ("region.min_distance", 50, 50.0),
        ("detection.score_threshold", 0, 0.0),
        ("input.rate_limit", 5, 5.0),
        ("front.input.rate_limit", 7, 7.0),
        ("region.min_distance", 55.0, 55.0),
    ):
        reason, now = change(node, name, value)
        assert (reason, now, type(now)) == ("", expected, float), name
    together = [Parameter("region.top", value=0), Parameter("region.bottom", value=1)]
    assert node.set_parameters_atomically(together).successful
    assert node._declared.settings().common.region.bottom == 1.0


def test_other_types_are_refused_with_a_line(make_node: MakeNode) -> None:
    node = make_node()
    for name, value, reason, kept in (
        ("region.tile_overlap", 32.5, "expected 'Type.INTEGER' got 'Type.DOUBLE'", 32),
        ("region.min_distance", "50", "expected 'Type.DOUBLE' got 'Type.STRING'", 40.0),
        ("region.min_distance", True, "expected 'Type.DOUBLE' got 'Type.BOOL'", 40.0),
        ("region.min_distance", 0, "out of range Min: 1.0, Max: 1000.0, value: 0.0", 40.0),
    ):
        told, now = change(node, name, value)
        assert reason in told, name
        assert now == kept
    unknown = node.set_parameters([Parameter("region.min_distanc", value=50)])[0]
    assert "unknown parameter 'region.min_distanc'; did you mean" in unknown.reason


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cameras: []"], "cameras must have a value, got an empty list: leave it out"),
        (["detection.classes: []"], "detection.classes must have a value, got an empty list"),
        (["cameras: [front]", "front.detection.classes: []"], "front.detection.classes must have"),
        (["cameras: front"], "cameras must be a list of strings, got 'front'"),
        (["cameras: [1, 2]"], "cameras must be of type str, got 1"),
        (["cameras: [yes]"], "cameras must be of type str, got True"),
        (["cameras: [/sensing/front]"], "cameras must be names as ROS topics have them"),
        (["cameras: [camera-0]"], "cameras must be names as ROS topics have them"),
        (["cameras: [front, front]"], "cameras must be distinct names, got front, front"),
        (["cameras: [region]"], "cameras must not have the name of a parameter, got 'region'"),
        (["region.tile_overlap: 32.0"], "region.tile_overlap must be of type int, got 32.0"),
        (["region.top: .nan"], "region.top must be finite, got nan"),
        (["debug.image: 'yes'"], "debug.image must be of type bool, got 'yes'"),
        (["detection: {score_treshold: 0.3}"], "did you mean 'detection.score_threshold'?"),
    ],
)
def test_a_wrong_file_is_told_in_a_line(
    make_node: MakeNode, lines: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        make_node(*lines)._declared.settings()
    assert message in str(error.value)


def test_an_empty_list_is_refused_while_the_node_runs(make_node: MakeNode) -> None:
    node = make_node("cameras: [front]")
    empty = Parameter("cameras", Parameter.Type.BOOL_ARRAY, [])  # as `ros2 param set` sends []
    assert node.set_parameters([empty])[0].successful
    with pytest.raises(ConfigError, match=r"^cameras must name at least one camera$"):
        node._declared.settings()


def test_as_declared() -> None:
    def of(name: str, value: Any) -> Any:
        return as_declared(Parameter(name, value=value), ["front", "a/b"]).value

    assert [type(of("region.top", v)) for v in (0, 0.0, "0", True)] == [float, float, str, bool]
    assert type(of("front.region.top", 0)) is float
    assert type(of("a/b.region.top", 0)) is float
    assert type(of("left.region.top", 0)) is int  # no such camera: to be refused
    assert type(of("region.tile_overlap", 0)) is int
    assert type(of("use_sim_time", True)) is bool
    assert of("cameras", ["front"]) == ["front"]
    assert of("bundle", "") == ""
