"""Mutated messages of a ground truth topic: boxes that an evaluation can read, or one error.

The long form is part of ``make fuzz``.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutation import dice_of, mutated
from rosbags.rosbag2 import StoragePlugin, Writer

from tasksr_ros.detections import Detections
from tasksr_ros.errors import EvaluationError, RecordingError
from tasksr_ros.evaluation.ground_truth import read_ground_truth
from tasksr_ros.io.make_bag import connect
from tasksr_ros.io.message_types import DETECTIONS, detection_array, message_types
from tasksr_ros.replay.truth_topic import read_truth_topics

BATCH = 20
LONG = (pytest.mark.soak, pytest.mark.slow)
WILD = (0.0, -0.0, -5.0, 1e-300, 1e300, math.nan, math.inf, -math.inf)
CLASSES = ("pedestrian", "person", "Person ", "0", "1", "car", "", "\0", "é" * 300)


def message(dice: random.Random, number: int) -> bytes:
    """A serialized array of three boxes, some of whose values or bytes are not right."""
    boxes = Detections.from_arrays(np.array([[5.0, 5, 15, 35]] * 3), np.ones(3))
    array: Any = detection_array(boxes, 10**12 + number * 10**8, "camera")
    for detection in array.detections:
        detection.results[0].hypothesis.class_id = dice.choice(CLASSES)
        if dice.random() < 0.2:
            detection.results = []
        if dice.random() < 0.3:
            setattr(detection.bbox, dice.choice(("size_x", "size_y")), dice.choice(WILD))
        if dice.random() < 0.2:
            setattr(detection.bbox.center.position, dice.choice("xy"), dice.choice(WILD))
    wire = bytes(message_types().serialize_cdr(array, DETECTIONS))
    return mutated(wire, dice) if dice.random() < 0.02 else wire


def bag(path: Path, messages: list[bytes]) -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = connect(writer, "/truth", DETECTIONS)
        for number, data in enumerate(messages):
            writer.write(topic, 10**12 + number * 10**8, data)
    return path


def outcome(path: Path) -> str:
    """What becomes of a bag; what an evaluation counts must be boxes of the bag's size."""
    try:
        content, _ = read_truth_topics(path, {"/image": "/truth"}, ["pedestrian"])
    except RecordingError as error:
        assert 10 < len(str(error)) < 1000, error
        return "rejected"
    file = path.with_suffix(".json")
    file.write_text(json.dumps(content))
    try:
        truth = read_ground_truth(file)
    except EvaluationError as error:
        raise AssertionError(f"written, but not to be read: {error}") from error
    assert truth.num_images == BATCH
    left_out = sum(truth.problems.get(f"box_{kind}", 0) for kind in ("not_finite", "negative"))
    assert len(truth.xywh) + left_out == len(content["annotations"])
    assert np.isfinite(truth.xywh).all()
    assert (truth.xywh[:, 2:] >= 0).all()
    return "accepted"


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=LONG)])
def test_mutated_truth_messages(tmp_path: Path, count: int) -> None:
    counts: Counter[str] = Counter()
    for number in range(count // BATCH):
        dice = dice_of("truth", number)
        path = bag(tmp_path / str(number), [message(dice, k) for k in range(BATCH)])
        try:
            counts[outcome(path)] += 1
        except Exception as error:
            raise AssertionError(f"bag {number}: {error!r}") from error
    print(dict(counts))
    assert min(counts["accepted"], counts["rejected"]) > 0
