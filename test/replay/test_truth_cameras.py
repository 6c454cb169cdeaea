"""Tests of tasksr_ros.replay.truth_cameras."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasksr_ros.errors import RecordingError
from tasksr_ros.replay.truth_cameras import cameras_of

GT = Path("gt.json")


@pytest.mark.parametrize(
    ("topics", "names", "expected"),
    [
        (["/left/image_raw", "/right/image_raw"], ["left", "right"], ["left", "right"]),
        (["/left/image_raw", "/right/image_raw"], ["LEFT", "/Right"], ["LEFT", "/Right"]),
        (["/front/left/image_raw", "/front/image_raw"], ["front", "left"], ["left", "front"]),
        (["/front/left/image", "/front/right/image"], ["left", "right"], ["left", "right"]),
        (["/front/left/image"], ["front", "front/left", "left"], ["front/left"]),
        (["/front/left/image/compressed"], ["front_left", "rear_left"], ["front_left"]),
        (["/left/image", "/right/image"], ["/left/image", "/right/image"], None),
        (["/car/front/lens/image"], ["front", "rear"], ["front"]),
        (["/left"], ["left", "right"], ["left"]),
        (["/cam1/image_raw"], ["whatever"], ["whatever"]),
        ([""], ["left"], ["left"]),
        (["/cam1/image_raw"], [""], [""]),
    ],
)
def test_the_longest_common_end_of_the_topic(
    topics: list[str], names: list[str], expected: list[str] | None
) -> None:
    found = cameras_of(topics, names, GT)
    assert found == dict(zip(topics, expected or names, strict=True))


@pytest.mark.parametrize(
    ("topics", "names", "message"),
    [
        (
            ["/front/left/image_raw", "/front/right/image_raw"],
            ["front"],
            "camera 'front' of gt.json may be that of /front/left/image_raw or of /front/right/",
        ),
        (
            ["/left/image_raw", "/right/image_raw"],
            ["image_raw"],
            "camera 'image_raw' of gt.json may be that of /left/image_raw or of /right/image_raw",
        ),
        (
            ["/left/image", "/right/image"],
            [""],
            "must name the camera of /left/image for its images, got images without one",
        ),
        (["/cam1/image_raw"], ["left", "right"], "must name the camera of /cam1/image_raw .*left"),
        ([""], ["left", "right"], "must name the camera of the recording .*, got left, right"),
        (["/a/b/image"], ["/a/b", "a_b"], "/a/b/image may be the camera '/a/b' or 'a_b' of"),
        (["/left2/image"], ["left", "right"], "must name the camera of /left2/image"),
    ],
)
def test_what_is_not_certain_is_refused(topics: list[str], names: list[str], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        cameras_of(topics, names, GT)


@pytest.mark.parametrize(
    ("topic", "name", "told"),
    [
        ("/right/image_raw", "left", ["/right/image_raw is taken for 'left', the only camera of "]),
        ("/left/image_raw", "left", []),
        ("/left/image_raw", "", []),
        ("", "left", []),
    ],
)
def test_the_only_camera_of_another_name_is_told(topic: str, name: str, told: list[str]) -> None:
    notes: list[str] = []
    assert cameras_of([topic], [name], GT, notes) == {topic: name}
    assert notes == [f"{text}gt.json" for text in told]
