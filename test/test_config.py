"""Tests of tasksr_ros.config, tasksr_ros.options and tasksr_ros.cli.arguments."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Literal

import pytest

from tasksr_ros.cli.arguments import add_config, given
from tasksr_ros.config import EngineConfig, NodeConfig, PipelineConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.options import build, flatten, option, walk


def test_build_of_nothing_is_the_defaults() -> None:
    assert build(NodeConfig, {}) == NodeConfig()


def test_flatten_and_build_are_inverse() -> None:
    config = build(
        NodeConfig, {"region.top": 0.25, "cameras": ["front", "left"], "engine.threads": 2}
    )
    assert config.region.top == 0.25
    assert config.cameras == ("front", "left")
    assert build(NodeConfig, flatten(config)) == config


def test_walk_names_every_field_of_nested_configs() -> None:
    names = [name for name, *_ in walk(PipelineConfig)]
    assert names[0] == "region.mode"
    assert set(names) == set(flatten(PipelineConfig()))
    assert all(option.description for *_, option in walk(NodeConfig))


def test_whole_number_is_accepted_for_a_float() -> None:
    value = build(PipelineConfig, {"region.top": 0}).region.top
    assert value == 0.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"region.tpo": 0.1}, "unknown parameter 'region.tpo'; did you mean 'region.top'?"),
        ({"region.top": 1.5}, "region.top must be at most 1, got 1.5"),
        ({"region.top": float("nan")}, "region.top must be finite, got nan"),
        ({"region.top": 0.7}, "region.top must be less than region.bottom, got 0.7 and 0.6"),
        (
            {"engine.name": "tvm"},
            "engine.name must be one of auto, tensorrt, torch, openvino, onnxruntime, got 'tvm'",
        ),
        ({"engine.threads": 1.5}, "engine.threads must be of type int, got 1.5"),
        ({"engine.threads": True}, "engine.threads must be of type int, got True"),
        ({"tracking.enabled": 1}, "tracking.enabled must be of type bool, got 1"),
        ({"region.budget": "all"}, "region.budget must be a whole number or auto, got 'all'"),
        ({"region.budget": 1.5}, "region.budget must be a whole number or auto, got 1.5"),
        ({"region.budget": -1}, "region.budget must be at least 0, got -1"),
        ({"region.budget": True}, "region.budget must be a whole number or auto, got True"),
        ({"cameras": "front"}, "cameras must be a list of strings, got 'front'"),
        ({"cameras": ["a", "a"]}, "cameras must be distinct names, got a, a"),
        ({"cameras": []}, "cameras must name at least one camera"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message.replace("?", r"\?") + "$"):
        build(NodeConfig, values)


@dataclass(frozen=True)
class Several:
    sizes: tuple[int, ...] = option((1, 2), "sizes, px", low=1, high=9)
    shares: tuple[float, ...] = option((0.5,), "shares", low=0, high=1)
    names: tuple[Literal["a", "b c"], ...] = option((), "names")


def test_several_values_are_checked_one_by_one() -> None:
    values = {"sizes": [3, 9], "shares": [1, 0.25], "names": ["b c"]}
    assert build(Several, values) == Several((3, 9), (1.0, 0.25), ("b c",))
    assert [option.choices for *_, option in walk(Several)] == [(), (), ("a", "b c")]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizes": 3}, "sizes must be a list of whole numbers, got 3"),
        ({"sizes": [3, 0]}, "sizes must be at least 1, got 0"),
        ({"sizes": [1.5]}, "sizes must be of type int, got 1.5"),
        ({"shares": [2]}, "shares must be at most 1, got 2"),
        ({"shares": "1"}, "shares must be a list of numbers, got '1'"),
        ({"names": ["c"]}, "names must be one of a, b c, got 'c'"),
    ],
)
def test_the_wrong_one_of_several_values_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        build(Several, values)


def test_the_command_line_takes_several_values() -> None:
    parser = argparse.ArgumentParser()
    add_config(parser, Several)
    options = parser.parse_args(["--sizes", "4", "5", "--names", "b c", "a"])
    assert given(options, Several) == {"sizes": [4, 5], "names": ["b c", "a"]}
    assert "sizes, px (1 2)" in parser.format_help()


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("auto", "auto"), ("2.5", 2.5)])
def test_a_number_or_a_word(text: str, value: object) -> None:
    parser = argparse.ArgumentParser()
    add_config(parser, PipelineConfig)
    values = given(parser.parse_args(["--region.budget", text]), PipelineConfig)
    assert values == {"region.budget": value}
    if value != 2.5:
        assert build(PipelineConfig, values).region.budget == value


def test_configs_are_immutable() -> None:
    with pytest.raises(AttributeError):
        EngineConfig().threads = 3  # type: ignore[misc]
