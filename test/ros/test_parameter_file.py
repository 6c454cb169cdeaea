"""Tests of tasksr_ros.ros.parameter_file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasksr_ros.errors import ConfigError
from tasksr_ros.ros.parameter_file import of_other_nodes, parameters_of


def read(tmp_path: Path, text: str, node: str = "/car/tasksr") -> dict[str, object]:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    return parameters_of(file, node)


@pytest.mark.parametrize(
    ("key", "node", "meant"),
    [
        ("/**", "/car/tasksr", True),
        ("**", "/car/tasksr", True),
        ("/car/tasksr", "/car/tasksr", True),
        ("car/tasksr", "/car/tasksr", True),
        ("/*/tasksr", "/car/tasksr", True),
        ("/**/tasksr", "/car/tasksr", True),
        ("/**/tasksr", "/tasksr", True),
        ("/car/*", "/car/tasksr", True),
        ("/car/**", "/car/tasksr", True),
        ("/*/*", "/car/tasksr", True),
        ("/*", "/tasksr", True),
        ("tasksr", "/tasksr", True),
        ("tasksr", "/car/tasksr", False),
        ("/tasksr", "/car/tasksr", False),
        ("/*", "/car/tasksr", False),
        ("/*/tasksr", "/tasksr", False),
        ("/perception/other", "/car/tasksr", False),
        ("/car/task", "/car/tasksr", False),
    ],
)
def test_names_and_wildcards(tmp_path: Path, key: str, node: str, meant: bool) -> None:
    """As rclpy's own reading."""
    found = read(tmp_path, f'"{key}":\n  ros__parameters: {{cameras: [a, b]}}\n', node)
    assert found == ({"cameras": ["a", "b"]} if meant else {})


def test_the_last_wins_and_groups_are_flattened(tmp_path: Path) -> None:
    text = """
/car/tasksr:
  ros__parameters: {cameras: [front], input: {transport: raw, depth: 2}}
/**:
  ros__parameters: {input.transport: auto}
/car:
  tasksr:
    ros__parameters:
      front: {input: {topic: /x}}
"""
    assert read(tmp_path, text) == {
        "cameras": ["front"],
        "input.transport": "auto",
        "input.depth": 2,
        "front.input.topic": "/x",
    }


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n", "/**: {}\n", "/**:\n"])
def test_a_file_may_say_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {}


@pytest.mark.parametrize("text", ["- a\n", "text", "a: [1\n", "\x00"])
def test_what_is_no_parameter_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"p\.yaml must"):
        read(tmp_path, text)


def test_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml must be a YAML file"):
        parameters_of(tmp_path / "none.yaml", "/tasksr")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/perception/other: {ros__parameters: {bundle: a}}", "/perception/other"),
        ("perception: {other: {ros__parameters: {bundle: a}}, b: {ros__parameters: {}}}",
         "/perception/other, /perception/b"),
        ("tasksr: {ros__parameters: {bundle: a}}", None),
        ("/**: {ros__parameters: {bundle: a}}", None),
        ("/perception/other: {ros__parameters: {a: 1}}\n/tasksr: {ros__parameters: {}}", None),
        ("", None),
        ("just a text", None),
    ],
)  # fmt: skip
def test_a_file_for_other_nodes_only_is_told(tmp_path: Path, text: str, named: str | None) -> None:
    """As after a node was renamed: it would have its defaults without a word."""
    file = tmp_path / "p.yaml"
    file.write_text(text)
    lines = of_other_nodes(["node", "--ros-args", "--params-file", str(file)], "/tasksr")
    told = f"{file} has no parameters for /tasksr, it names {named}"
    assert lines == ([told] if named else [])
