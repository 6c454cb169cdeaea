"""Tests of tasksr_ros.replay.truth_images and truth_file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasksr_ros.errors import RecordingError
from tasksr_ros.replay.outcome import Outcome
from tasksr_ros.replay.run_file import categories, unnamed_classes
from tasksr_ros.replay.truth_file import TruthImages
from tasksr_ros.replay.truth_images import ImageIds, check_first, image_ids

STEP_NS = 100_000_000


def read(folder: Path, images: list[dict[str, Any]], **more: Any) -> TruthImages:
    content = {"images": images, "categories": [{"id": 1, "name": "pedestrian"}], **more}
    (folder / "gt.json").write_text(json.dumps(content))
    return TruthImages.read(folder / "gt.json")


def frames(*topics: str, count: int = 3) -> list[Outcome]:
    """Of cameras that are triggered together."""
    return [Outcome(topic, k, "", k * STEP_NS) for topic in topics for k in range(count)]


def of_cameras(*names: str, **more: Any) -> list[dict[str, Any]]:
    """Images 10, 11, 12 of the first camera, 20, 21, 22 of the second …"""
    return [
        {"id": 10 * c + k, "camera": name, "stamp_ns": k * STEP_NS, **more}
        for c, name in enumerate(names, 1)
        for k in range(3)
    ]


def ids(folder: Path, images: list[dict[str, Any]], *topics: str) -> ImageIds:
    return image_ids(frames(*topics), read(folder, images), folder / "bag", 2.0)


def named(folder: Path, *names: str) -> list[Outcome]:
    """Frames of image files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [Outcome("", k, name, 0) for k, name in enumerate(names)]


# Cameras


def test_cameras_that_are_triggered_together(tmp_path: Path) -> None:
    found = ids(tmp_path, of_cameras("left", "right"), "/right/image_raw", "/left/image_raw")
    assert found.ids == [20, 21, 22, 10, 11, 12]
    assert found.matched_by == "stamp"


@pytest.mark.parametrize(
    ("names", "topics"),
    [
        (["left", "right"], ["/cam1/image_raw"]),
        (["front"], ["/front/left/image_raw", "/front/right/image_raw"]),
        (["image_raw"], ["/left/image_raw", "/right/image_raw"]),
    ],
)
def test_no_camera_is_taken_for_another(
    tmp_path: Path, names: list[str], topics: list[str]
) -> None:
    with pytest.raises(RecordingError, match="camera"):
        ids(tmp_path, of_cameras(*names), *topics)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"file_name": "left/0.png"}, {"file_name": "right/0.png"}),
        ({"sequence": "a"}, {"sequence": "b"}),
        ({}, {}),
    ],
)
def test_equal_stamps_of_two_images_are_named(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    images = [{"id": 1, "stamp_ns": STEP_NS, **first}, {"id": 2, "stamp_ns": STEP_NS, **second}]
    with pytest.raises(
        RecordingError, match=r"the frame at 100000000 ns may be image 1.* or image 2"
    ):
        ids(tmp_path, images, "/cam/image")


def test_stamps_of_two_drives_within_the_tolerance_are_named(tmp_path: Path) -> None:
    images = [
        {"id": 1, "stamp_ns": STEP_NS, "file_name": "left/0.png"},
        {"id": 2, "stamp_ns": STEP_NS + 300_000, "file_name": "right/0.png"},
    ]
    with pytest.raises(
        RecordingError, match=r"image 1 \(left/0.png\) or image 2 \(right/0.png\) of"
    ):
        ids(tmp_path, images, "/cam/image")
    for image in images:  # of one camera, the nearer one is meant
        image["file_name"] = "left/0.png"
    assert ids(tmp_path, images, "/cam/image").ids == [3, 1, 4]
    assert ids(tmp_path, images[::-1], "/cam/image").ids == [3, 1, 4]


def test_of_several_sequences_the_recording_is_named_by_one(tmp_path: Path) -> None:
    images = [
        {"id": 10 * c + k, "sequence": name, "stamp_ns": k * STEP_NS, "frame": k}
        for c, name in enumerate(("bag", "other"), 1)
        for k in range(3)
    ]
    assert ids(tmp_path, images, "/cam/image").ids == [10, 11, 12]
    for image in images:
        del image["stamp_ns"]
    found = ids(tmp_path, images, "/cam/image")
    assert (found.ids, found.matched_by) == ([10, 11, 12], "frame")


# Numbers


def test_frames_of_the_same_number_are_named(tmp_path: Path) -> None:
    images = [{"id": 1, "frame": 1}, {"id": 2, "frame": 1}]
    with pytest.raises(RecordingError, match="frame 1 may be image 1 or image 2 of"):
        ids(tmp_path, images, "/cam/image")


@pytest.mark.parametrize(("first", "told"), [(0, 0), (1, 1), (2, 0)])
def test_frames_that_are_counted_from_1_are_told(tmp_path: Path, first: int, told: int) -> None:
    """Of three frames 0, 1, 2: the last of 1, 2, 3 is not there, and all are off by one."""
    images: list[dict[str, Any]] = [{"id": 10 + k, "frame": k} for k in range(first, first + 3)]
    found = ids(tmp_path, images, "/cam/image")
    assert len(found.notes) == told
    assert all(
        "end with 3, those of the recording, counted from 0, with 2: are they counted from 1?" in n
        for n in found.notes
    )


def test_frames_of_the_cameras_of_a_rig(tmp_path: Path) -> None:
    images = [
        {"id": 10 * c + k, "camera": name, "frame": k}
        for c, name in enumerate(("left", "right"), 1)
        for k in range(3)
    ]
    assert ids(tmp_path, images, "/right/image").ids == [20, 21, 22]
    with pytest.raises(RecordingError, match="must name the camera of the recording"):
        ids(tmp_path, images, "")


@pytest.mark.parametrize("key", ["stamp_ns", "frame"])
@pytest.mark.parametrize("value", ["soon", 1.5, [1]])
def test_what_is_no_number_is_named(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(RecordingError, match=f"{key} of image 1 must be a whole number, got"):
        ids(tmp_path, [{"id": 1, key: value}], "/cam/image")


def test_stamps_may_be_texts(tmp_path: Path) -> None:
    assert ids(tmp_path, [{"id": 5, "stamp_ns": str(STEP_NS)}], "/cam/image").ids == [6, 5, 7]


# Names


def test_drives_with_the_same_file_names(tmp_path: Path) -> None:
    names = [f"drive_{d}/data/{k}.png" for d in (1, 2) for k in (0, 1)]
    truth = read(tmp_path, [{"id": k, "file_name": name} for k, name in enumerate(names, 5)])
    named(tmp_path, *names)
    outcomes = named(tmp_path / "drive_2", "data/0.png", "data/1.png")
    found = image_ids(outcomes, truth, tmp_path / "drive_2", 2.0)
    assert (found.ids, found.matched_by, found.notes) == ([7, 8], "file_name", ())


def test_images_of_a_folder_of_another_name_are_told(tmp_path: Path) -> None:
    truth = read(tmp_path, [{"id": 5, "file_name": "drive_2/data/0.png"}])
    outcomes = named(tmp_path / "drive_1", "data/0.png")
    found = image_ids(outcomes, truth, tmp_path / "drive_1", 2.0)
    assert found.ids == [5]
    assert found.notes == (
        f"the images in {tmp_path}/drive_1/data are taken for those of drive_2/data in "
        f"{tmp_path}/gt.json, whose names they have: 1 of the folders' names agree",
    )


def test_a_single_image_has_its_own_id(tmp_path: Path) -> None:
    names = ["left/0.png", "right/0.png"]
    truth = read(tmp_path, [{"id": k, "file_name": name} for k, name in enumerate(names, 5)])
    named(tmp_path, *names)
    outcomes = [Outcome("", 0, "0.png", 0)]
    assert image_ids(outcomes, truth, tmp_path / "right" / "0.png", 2.0).ids == [6]


def test_images_are_replayed_in_natural_order(tmp_path: Path) -> None:
    names = [f"images/{k}.png" for k in (10, 2, 1)]
    truth = read(tmp_path, [{"id": k, "file_name": name} for k, name in enumerate(names)])
    named(tmp_path, *names)
    assert [file.name for file in truth.files(tmp_path)] == ["1.png", "2.png", "10.png"]
    assert list(truth.files(tmp_path).values()) == [2, 1, 0]


# Ids


def test_ids_stay_as_the_file_writes_them(tmp_path: Path) -> None:
    """Whoever reads predictions and ground truth together finds the same texts."""
    images = [{"id": i, "stamp_ns": k * STEP_NS} for k, i in enumerate(("7", 8.0))]
    assert ids(tmp_path, images, "/cam/image").ids == ["7", 8, 9]


@pytest.mark.parametrize("pair", [(1, 1), (1, "1"), ("a", "a"), (1, 1.0)])
def test_an_id_stands_there_once(tmp_path: Path, pair: tuple[Any, Any]) -> None:
    with pytest.raises(RecordingError, match="stands there more than once"):
        read(tmp_path, [{"id": i, "frame": k} for k, i in enumerate(pair)])


@pytest.mark.parametrize("image_id", [None, True, 1.5, [1]])
def test_what_is_no_id_is_refused(tmp_path: Path, image_id: object) -> None:
    with pytest.raises(RecordingError, match=r"must be COCO JSON with images, got ValueError"):
        read(tmp_path, [{"id": image_id}])


# Sizes


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    images = [{"id": k, "stamp_ns": k * STEP_NS, "width": 1280, "height": 720} for k in (0, 1)]
    truth = read(tmp_path, images)
    outcomes = [Outcome("", 0, "", 0, (1280, 720)), Outcome("", 1, "", STEP_NS, (640, 360))]
    message = "got 640x360 px for image 1 of 1280x720 px .1 images differ"
    with pytest.raises(RecordingError, match=message):
        image_ids(outcomes, truth, tmp_path, 2.0)
    unseen = [outcomes[0], Outcome("", 1, "", STEP_NS, (0, 0))]
    assert image_ids(unseen, truth, tmp_path, 2.0).ids == [0, 1]


@pytest.mark.parametrize("turned", [(720, 1280), (640, 360), (1281, 720)])
def test_the_first_frame_tells_it_before_the_replay(
    tmp_path: Path, turned: tuple[int, int]
) -> None:
    images: list[dict[str, Any]] = [{"id": 1, "width": 1280, "height": 720}]
    check_first({"": (1280, 720)}, read(tmp_path, images), tmp_path, files=True)
    with pytest.raises(RecordingError, match=f"got {turned[0]}x{turned[1]} px for image 1 of 1280"):
        check_first({"": turned}, read(tmp_path, images), tmp_path, files=True)
    check_first(
        {"": turned}, read(tmp_path, [*images, {"id": 2}]), tmp_path, files=True
    )  # of no size
    check_first({"": (0, 0)}, read(tmp_path, images), tmp_path, files=True)


def test_the_size_of_each_camera_is_told_before_the_replay(tmp_path: Path) -> None:
    """The second camera's frames have the size of the first one's images."""
    images = of_cameras("left", width=1280, height=720)
    images += [{**i, "id": i["id"] + 10} for i in of_cameras("right", width=640, height=360)]
    truth = read(tmp_path, images)
    check_first(
        {"/left/image": (1280, 720), "/right/image": (640, 360)}, truth, tmp_path, files=False
    )
    with pytest.raises(RecordingError, match=r"got 1280x720 px for image 20 \(right\) of 640x360"):
        check_first(
            {"/left/image": (1280, 720), "/right/image": (1280, 720)}, truth, tmp_path, files=False
        )


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (of_cameras("left"), "must name the camera of /right/image for its images, got left$"),
        (of_cameras("left", "rear"), "must name the camera of /right/image .* got left, rear"),
        ([{"id": 1, "camera": "left"}, {"id": 2, "camera": "right"}], "must have a stamp_ns for"),
    ],
)
def test_a_camera_without_truth_is_told_before_the_replay(
    tmp_path: Path, images: list[dict[str, Any]], message: str
) -> None:
    sizes = {"/left/image": (0, 0), "/right/image": (0, 0)}
    with pytest.raises(RecordingError, match=message):
        check_first(sizes, read(tmp_path, images), tmp_path, files=False)


def test_a_camera_of_another_clock_is_noted(tmp_path: Path) -> None:
    """Its people would count for nobody, without a word."""
    images = of_cameras("left", "right")
    for image in images[3:]:
        image["stamp_ns"] += 10**10
    found = ids(tmp_path, images, "/left/image", "/right/image")
    assert found.ids == [10, 11, 12, 23, 24, 25]
    assert found.known == [True] * 3 + [False] * 3
    assert found.notes == (
        f"no frame of /right/image is an image of {tmp_path / 'gt.json'}: the stamps of the "
        f"nearest differ by 9800 ms (--tolerance, in ms)",
    )


# Categories


@pytest.mark.parametrize("name", ["person", "Pedestrian ", "PERSONS"])
def test_a_class_has_the_category_of_its_name(tmp_path: Path, name: str) -> None:
    truth = read(
        tmp_path, [{"id": 1}], categories=[{"id": 1, "name": "car"}, {"id": 3, "name": name}]
    )
    assert categories(["pedestrian"], truth) == {0: 3}
    assert unnamed_classes(["pedestrian"], truth) == []


def test_no_class_has_the_category_of_another_name(tmp_path: Path) -> None:
    """Pedestrians would be cars, bicycles pedestrians."""
    cars = read(tmp_path, [{"id": 1}], categories=[{"id": 1, "name": "car"}])
    assert categories(["pedestrian"], cars) == {0: 2}
    assert unnamed_classes(["pedestrian"], cars) == [
        f"{tmp_path}/gt.json has the categories car, none of the bundle's classes (pedestrian)"
    ]
    people = read(tmp_path, [{"id": 1}], categories=[{"id": "2", "name": "pedestrian"}])
    assert categories(["person", "bicycle", "car"], people) == {0: "2", 1: 5, 2: 3}
    assert categories(["person", "bicycle"], None) == {0: 1, 1: 2}
    assert unnamed_classes(["person"], None) == []
