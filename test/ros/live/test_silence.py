"""Tests of tasksr_ros.ros.live.silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tasksr_ros.ros.live.silence import (
    CAMERA_INFO,
    Publisher,
    Wanted,
    several_answers,
    several_sources,
    why_silent,
)
from tasksr_ros.ros.live.wire import COMPRESSED_IMAGE, IMAGE

RAW = (Publisher("/driver", IMAGE),)
JPEG = (Publisher("/driver", COMPRESSED_IMAGE),)
INFO = (Publisher("/driver", CAMERA_INFO),)


@pytest.mark.parametrize(
    ("topic", "kind", "there", "why"),
    [
        ("/cam/image_raw", IMAGE, {"/cam/image_raw": RAW}, ""),
        (
            "/cam/image_rw",
            IMAGE,
            {"/cam/image_raw": RAW, "/rear/picture": RAW},
            "nobody publishes it; did you mean /cam/image_raw? (remap image or set input.topic)",
        ),
        (
            "/image",
            IMAGE,
            {"/front_left/raw": RAW, "/rear/picture": JPEG, "/rear/camera_info": INFO},
            "nobody publishes it; images are on /front_left/raw, /rear/picture: remap image or set "
            "input.topic",
        ),
        (
            "/image",
            IMAGE,
            {},
            "nobody publishes it; no images are published at all: does the camera run, with this "
            "ROS_DOMAIN_ID?",
        ),
        (
            "/cam/image_raw",
            IMAGE,
            {"/cam/image_raw": (), "/cam/image_raw/compressed": JPEG},
            "nobody publishes it; compressed images are on /cam/image_raw/compressed: set "
            "input.transport to compressed",
        ),
        (
            "/cam/image_raw/compressed",
            COMPRESSED_IMAGE,
            {"/cam/image_raw": RAW},
            "nobody publishes it; raw images are on /cam/image_raw: set input.transport to raw",
        ),
        (
            "/cam/image_raw/compressed",
            IMAGE,
            {"/cam/image_raw/compressed": JPEG},
            "/driver publishes sensor_msgs/msg/CompressedImage there, the node takes "
            "sensor_msgs/msg/Image: set input.transport to compressed",
        ),
        (
            "/cam/jpeg",
            IMAGE,
            {"/cam/jpeg": JPEG},
            "/driver publishes sensor_msgs/msg/CompressedImage there, the node takes "
            "sensor_msgs/msg/Image: set input.transport to compressed and remap image/compressed "
            "to this topic",
        ),
        (
            "/cam/image/compressed",
            COMPRESSED_IMAGE,
            {"/cam/image/compressed": RAW},
            "/driver publishes sensor_msgs/msg/Image there, the node takes "
            "sensor_msgs/msg/CompressedImage: set input.transport to raw and remap image to this "
            "topic",
        ),
        (
            "/cam/image",
            IMAGE,
            {"/cam/image": (Publisher("/talker", "std_msgs/msg/String"),)},
            "/talker publishes std_msgs/msg/String there, the node takes sensor_msgs/msg/Image: "
            "remap it to another topic",
        ),
        (
            "/cam/image/ffmpeg",
            IMAGE,
            {
                "/cam/image/ffmpeg": (
                    Publisher("/c", "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"),
                )
            },
            "/c publishes ffmpeg_image_transport_msgs/msg/FFMPEGPacket there, the node takes "
            "sensor_msgs/msg/Image: let image_transport republish it as raw or compressed",
        ),
        (
            "/cam/image",
            IMAGE,
            {"/cam/image": (Publisher("/driver", IMAGE, "set input.durability to volatile"),)},
            "set input.durability to volatile",
        ),
        (  # one that fits is enough
            "/cam/image",
            IMAGE,
            {"/cam/image": (Publisher("/a", IMAGE, "no"), Publisher("/b", IMAGE))},
            "",
        ),
        (
            "/cam/camera_info",
            CAMERA_INFO,
            {"/cam/left/camera_info": INFO, "/cam/image": RAW},
            "nobody publishes it; did you mean /cam/left/camera_info? (remap it or set "
            "input.info_topic)",
        ),
        (
            "/cam/camera_info",
            CAMERA_INFO,
            {"/cam/image": RAW},
            "nobody publishes it; no CameraInfo are published at all: does the camera run, with "
            "this ROS_DOMAIN_ID?",
        ),
    ],
)
def test_the_reason_and_the_mend(
    topic: str, kind: str, there: Mapping[str, Sequence[Publisher]], why: str
) -> None:
    assert why_silent(Wanted(topic, kind, "input"), there) == why


def test_a_cameras_own_parameters_are_named() -> None:
    wanted = Wanted("/left/image", IMAGE, "left.input")
    there = {"/left/image/compressed": JPEG}
    assert why_silent(wanted, there).endswith("set left.input.transport to compressed")


def test_long_lists_are_cut() -> None:
    there = {f"/{name}/picture": RAW for name in ("a", "b", "c", "d", "e", "f", "g")}
    assert "on /a/picture, /b/picture, /c/picture, /d/picture, /e/picture and 2 more: " in (
        why_silent(Wanted("/image", IMAGE, "input"), there)
    )


def test_others_on_the_topics() -> None:
    assert several_sources("/image", ["/driver"]) == several_answers("/detections", []) == ""
    assert several_sources("/image", ["/driver", "/rosbag2_player"]) == (
        "/image has 2 publishers (/driver, /rosbag2_player): their images are taken for those of "
        "one camera"
    )
    assert several_answers("/detections", ["/tasksr", "/tasksr"]) == (
        "/detections has 2 publishers (/tasksr, /tasksr): who listens gets the detections of all: "
        "remap detections, give one node another namespace, or play the bag without that topic"
    )
