"""Tests of tasksr_ros.ros.settings."""

from __future__ import annotations

import pytest

from tasksr_ros.config import NodeConfig
from tasksr_ros.errors import ConfigError
from tasksr_ros.ros.settings import check_parameter, needs_configure, read_settings


def test_a_camera_has_its_own_values_and_the_common_ones() -> None:
    settings = read_settings(
        {
            "cameras": ["front", "left"],
            "region.top": 0.3,
            "front.region.top": 0.2,
            "front.input.topic": "/cam/front",
            "left.input.rate_limit": 5,
        }
    )
    front, left = settings.cameras["front"], settings.cameras["left"]
    assert (front.region.top, left.region.top) == (0.2, 0.3)
    assert (front.input.topic, left.input.topic) == ("/cam/front", "")
    assert (front.input.rate_limit, left.input.rate_limit) == (0.0, 5.0)
    assert settings.common.region.top == 0.3


def test_without_parameters_all_is_as_config_says() -> None:
    settings = read_settings({})
    assert settings.common == NodeConfig()
    assert settings.cameras == {"": NodeConfig()}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"front.region.top": 0.2}, "unknown parameter 'front.region.top'"),
        ({"cameras": ["front"], "front.region.tpo": 0.2}, "unknown parameter 'region.tpo'; did"),
        ({"cameras": ["front"], "front.bundle": "x"}, "a camera may have input, region, detect"),
        ({"cameras": ["front"], "front.region.top": 2.0}, "region.top must be at most 1, got 2"),
        (
            {"cameras": ["front"], "front.region.top": 0.9},
            "front: region.top must be less than region.bottom, got 0.9 and 0.6",
        ),
        (
            {"cameras": ["front", "left"], "input.topic": "/image"},
            "cameras must have topics of their own, got '/image' for front and left",
        ),
        ({"cameras": ["region"]}, "cameras must not have the name of a parameter, got 'region'"),
        (
            {"diagnostics.silent_warn": 9.0},
            "diagnostics.silent_warn must be at most diagnostics.silent_error, got 9 and 5",
        ),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_settings(values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "topic",
    ["/cam/image/", "/", "/1cam/image", "cam image", "/a//b", "/cam-1/image", "~image", "é"],
)
@pytest.mark.parametrize("parameter", ["input.topic", "front.input.info_topic"])
def test_names_of_topics(topic: str, parameter: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_settings({"cameras": ["front"], parameter: topic})
    assert str(error.value).startswith("front.input.")
    assert str(error.value).endswith(f"/ between them), got {topic!r}")


@pytest.mark.parametrize(
    "topic", ["/cam/image_raw", "image", "~/image", "{node}/image", "/a/{ns}_b"]
)
def test_names_of_topics_that_ros_takes(topic: str) -> None:
    assert read_settings({"input.topic": topic}).common.input.topic == topic


def test_images_are_no_camera_info() -> None:
    with pytest.raises(
        ConfigError, match=r"^input\.info_topic must not be the images', got '/cam'$"
    ):
        read_settings({"input.topic": "/cam", "input.info_topic": "/cam"})


def test_check_parameter_names_the_camera() -> None:
    assert check_parameter("front.input.rate_limit", 5, ("front",)) == 5.0
    with pytest.raises(ConfigError, match=r"^front\.region\.top must be at most 1, got 2$"):
        check_parameter("front.region.top", 2.0, ("front",))


def test_what_needs_configure() -> None:
    names = ["region.top", "front.detection.nms_iou", "front.input.topic", "cameras", "bundle"]
    assert needs_configure(names, ("front",)) == ["front.input.topic", "cameras"]
