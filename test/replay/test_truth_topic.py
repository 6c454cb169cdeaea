"""Tests of tasksr_ros.replay.truth_topic."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from tasksr_ros.detections import Detections
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.make_bag import connect
from tasksr_ros.io.message_types import DETECTIONS, detection_array, message_types
from tasksr_ros.replay.truth_topic import read_truth_topics

STAMP_NS = 10**12


def bag(
    path: Path,
    objects: list[list[tuple[str, float]]],
    *stamps_ns: int,
    theta: float = 0.0,
) -> Path:
    """Messages on /truth with an object for each list of hypotheses (class_id, score)."""
    boxes = np.array([[10.0 * k, 5, 10 * k + 4, 15] for k in range(len(objects))])
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = connect(writer, "/truth", DETECTIONS)
        for stamp_ns in stamps_ns or (STAMP_NS,):
            found = Detections.from_arrays(boxes, np.ones(len(objects)))
            message = detection_array(found, stamp_ns, "c")
            for detection, hypotheses in zip(message.detections, objects, strict=True):
                (template,) = detection.results
                detection.results = [_result(template, *one) for one in hypotheses]
                detection.bbox.center.theta = theta
            writer.write(topic, STAMP_NS, message_types().serialize_cdr(message, DETECTIONS))
    return path


def _result(template: object, class_id: str, score: float) -> object:
    types = message_types().types
    hypothesis = types["vision_msgs/msg/ObjectHypothesis"](class_id=class_id, score=score)
    kind = types["vision_msgs/msg/ObjectHypothesisWithPose"]
    return kind(hypothesis=hypothesis, pose=template.pose)  # type: ignore[attr-defined]


@pytest.mark.parametrize("class_id", ["pedestrian", "person", "PERSON", " Person", "0"])
@pytest.mark.parametrize("name", ["pedestrian", "person"])
def test_words_for_pedestrians_count(tmp_path: Path, class_id: str, name: str) -> None:
    content, notes = read_truth_topics(
        bag(tmp_path / "bag", [[(class_id, 1.0)]]), {"/cam/image": "/truth"}, [name]
    )
    assert [(a["category_id"], a["bbox"]) for a in content["annotations"]] == [(1, [0, 5, 4, 10])]
    assert content["images"] == [{"id": 1, "stamp_ns": STAMP_NS, "camera": "/cam/image"}]
    assert notes == []


def test_objects_that_are_left_out_are_told(tmp_path: Path) -> None:
    objects = [[("car", 1.0)], [("1", 1.0)], [("person", 1.0)], [("car", 1.0)], []]
    content, notes = read_truth_topics(
        bag(tmp_path / "bag", objects), {"/cam/image": "/truth"}, ["pedestrian"]
    )
    assert len(content["annotations"]) == 1
    assert content["info"]["other_classes"] == {"car": 2, "1": 1, "": 1}
    assert notes == [
        "4 objects of /truth are left out, their class_id is none of the bundle's classes "
        "('pedestrian' or '0'): 'car' 2, '1' 1, '' 1"
    ]


def test_of_a_bundle_of_many_classes_some_are_named(tmp_path: Path) -> None:
    classes = ["person", "bicycle", "car", "motorcycle", "bus", "train"]
    path = bag(tmp_path / "bag", [[("tram", 1.0)], [("2", 1.0)]])
    content, notes = read_truth_topics(path, {"/cam/image": "/truth"}, classes)
    assert [a["category_id"] for a in content["annotations"]] == [3]
    assert "'bus' or '4', …): 'tram' 1" in notes[0]


def test_the_hypothesis_with_the_highest_score_says_what_it_is(tmp_path: Path) -> None:
    objects = [[("car", 0.3), ("person", 0.6)], [("person", 0.4), ("car", 0.5)]]
    content, notes = read_truth_topics(
        bag(tmp_path / "bag", objects), {"/cam/image": "/truth"}, ["pedestrian"]
    )
    assert [a["bbox"] for a in content["annotations"]] == [[0, 5, 4, 10]]
    assert "'car' 1" in notes[0]


@pytest.mark.parametrize(
    "objects", [[("car", 0.1), ("person", math.nan)], [("person", math.nan), ("car", 0.1)]]
)
def test_a_score_that_is_no_number_is_below_all(
    tmp_path: Path, objects: list[tuple[str, float]]
) -> None:
    path = bag(tmp_path / "bag", [objects])
    content, _ = read_truth_topics(path, {"/cam/image": "/truth"}, ["pedestrian"])
    assert content["info"]["other_classes"] == {"car": 1}


@pytest.mark.parametrize(
    ("stamps", "zero"), [((0, 5), 0), ((5, 0), 1), ((0, 0, 5), 2), ((5, 6), 0)]
)
def test_single_stamps_of_zero_are_told(tmp_path: Path, stamps: tuple[int, ...], zero: int) -> None:
    """Such a message belongs to no frame; a simulation may begin at 0."""
    path = bag(tmp_path / "bag", [], *stamps)
    content, notes = read_truth_topics(path, {"/cam/image": "/truth"}, ["pedestrian"])
    assert [image["stamp_ns"] for image in content["images"]] == list(stamps)
    told = f"the stamps of {zero} of {len(stamps)} messages of /truth are zero"
    assert notes == ([told] if zero else [])


def test_messages_without_stamps_have_the_time_of_their_recording(tmp_path: Path) -> None:
    path = bag(tmp_path / "bag", [[("person", 1.0)]], 0)
    content, notes = read_truth_topics(path, {"/cam/image": "/truth"}, ["person"])
    assert [i["stamp_ns"] for i in content["images"]] == [STAMP_NS]
    assert notes == ["/truth has no stamps (all zero): the times of recording are taken"]


@pytest.mark.parametrize(
    ("theta", "box"),
    [
        (math.pi / 2, [-3, 8, 10, 4]),
        (-math.pi / 2, [-3, 8, 10, 4]),
        (math.pi, [0, 5, 4, 10]),
        (math.pi / 4, [-2.9497, 5.0503, 9.8995, 9.8995]),
    ],
)
def test_of_a_turned_box_the_one_that_encloses_it_counts(
    tmp_path: Path, theta: float, box: list[float]
) -> None:
    path = bag(tmp_path / "bag", [[("person", 1.0)]], theta=theta)
    content, notes = read_truth_topics(path, {"/cam/image": "/truth"}, ["pedestrian"])
    assert content["annotations"][0]["bbox"] == pytest.approx(box, abs=1e-4)
    assert content["annotations"][0]["height"] == pytest.approx(box[3], abs=1e-4)
    assert notes == ["1 boxes of /truth are turned: the boxes that enclose them are taken"]


def test_a_turn_that_is_no_number_gives_no_finite_box(tmp_path: Path) -> None:
    path = bag(tmp_path / "bag", [[("person", 1.0)]], theta=math.inf)
    content, _ = read_truth_topics(path, {"/cam/image": "/truth"}, ["pedestrian"])
    assert math.isnan(content["annotations"][0]["bbox"][2])


def test_messages_of_an_older_vision_msgs_are_refused(tmp_path: Path) -> None:
    """Their detections have an image between box and id: read as today's, they are nonsense."""
    definition = "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n"
    older = "std_msgs/Header header\nsensor_msgs/Image source_img\n"
    separator = f"{'=' * 80}\nMSG: vision_msgs/Detection2D\n"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection(
            "/truth", DETECTIONS, msgdef=definition + separator + older, rihs01="RIHS01_0"
        )
        writer.write(topic, STAMP_NS, b"\0\1\0\0" + bytes(40))
    with pytest.raises(RecordingError, match=r"/truth of .* must be of vision_msgs 4 \(Humble\)"):
        read_truth_topics(tmp_path / "bag", {"/cam/image": "/truth"}, ["pedestrian"])
