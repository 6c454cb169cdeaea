"""Ground truth from topics of a bag: their Detection2DArray as COCO."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasksr_ros.errors import RecordingError
from tasksr_ros.evaluation.categories import same_words, word
from tasksr_ros.io.bag_files import OpenBag, is_bag, open_bag
from tasksr_ros.io.decoding import stamp_ns
from tasksr_ros.io.message_types import DETECTIONS, message_types

_SHOWN = 5
"""Of a bundle's classes, in a message."""


def is_topic(path: Path, text: str) -> bool:
    """Whether this names a topic of the bag at ``path``, not a file or folder."""
    return text.startswith("/") and not Path(text).exists() and is_bag(path)


def read_truth_topics(
    path: Path, topics: Mapping[str, str], classes: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """The messages of topics as COCO ground truth; each is an image, known by camera and stamp.

    Args:
        path: of the bag.
        topics: of type vision_msgs/msg/Detection2DArray, by the image topic of their camera.
        classes: names by class_id; objects count if their class_id is one of these names (person
            and pedestrian are one, case does not matter) or its number. Of several hypotheses
            the one with the highest score says it.

    Returns:
        the content; and a line for each topic of which objects of other classes are left out,
        whose messages have no stamps, or whose boxes are turned: those that enclose them count.

    Raises:
        RecordingError: if the bag lacks such a topic or a message of it is unreadable.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    others: dict[str, Counter[str]] = {}
    turned: Counter[str] = Counter()
    notes: list[str] = []
    with open_bag(path) as bag:
        for camera, topic in topics.items():
            messages = _messages(bag, topic)
            stamps = [stamp_ns(message.header) for _, message in messages]
            zero = stamps.count(0)
            if zero == len(stamps):
                notes.append(f"{topic} has no stamps (all zero): the times of recording are taken")
                stamps = [time_ns for time_ns, _ in messages]
            elif zero > 1 or (zero and stamps[0]):  # a simulation may begin at 0
                notes.append(f"the stamps of {zero} of {len(stamps)} messages of {topic} are zero")
            left_out = others.setdefault(topic, Counter())
            for stamp, (_, message) in zip(stamps, messages, strict=True):
                image_id = len(images) + 1
                images.append({"id": image_id, "stamp_ns": stamp, "camera": camera})
                for detection in message.detections:
                    name = _class_id(detection)
                    category = _category(name, classes)
                    if category is None:
                        left_out[name] += 1
                    else:
                        turned[topic] += _is_turned(detection.bbox)
                        entry = _annotation(detection, len(annotations) + 1, image_id, category)
                        annotations.append(entry)
    notes += [
        f"{number} boxes of {topic} are turned: the boxes that enclose them are taken"
        for topic, number in turned.items()
        if number
    ]
    notes += [_left_out(topic, names, classes) for topic, names in others.items() if names]
    content = {
        "info": {
            "bag": str(path),
            "topics": dict(topics),
            "other_classes": dict(sum(others.values(), Counter[str]())),
        },
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(classes)],
    }
    return content, notes


def _left_out(topic: str, names: Counter[str], classes: Sequence[str]) -> str:
    shown = ", ".join(f"{name!r} {n}" for name, n in names.most_common(_SHOWN))
    known = ", ".join(f"{name!r} or '{k}'" for k, name in enumerate(classes[:_SHOWN]))
    known += ", …" if len(classes) > _SHOWN else ""
    return (
        f"{names.total()} objects of {topic} are left out, their class_id is none of the "
        f"bundle's classes ({known}): {shown}"
    )


def _messages(bag: OpenBag, topic: str) -> list[tuple[int, Any]]:
    """When each was recorded, ns, and what it says."""
    _check(bag, topic)
    types = message_types()
    try:
        found = [
            (time_ns, types.deserialize_cdr(data, DETECTIONS))
            for _, time_ns, data in bag.messages(
                lambda c: (c.topic, c.msgtype) == (topic, DETECTIONS)
            )
        ]
    except Exception as error:  # corrupt bytes make the parser raise nearly anything
        raise RecordingError(f"{topic} of bag {bag.path} is unreadable: {error}") from error
    if not found:
        raise RecordingError(f"bag {bag.path} must have ground truth on {topic}, got no messages")
    return found


def _check(bag: OpenBag, topic: str) -> None:
    types = {c.topic: c.msgtype for c in bag.connections}
    if any("source_img" in str(c.msgdef.data) for c in bag.connections if c.topic == topic):
        raise RecordingError(
            f"{topic} of bag {bag.path} must be of vision_msgs 4 (Humble) or later, got messages "
            f"of an older one, with source_img"
        )
    if types.get(topic) != DETECTIONS:
        known = sorted(name for name, type_ in types.items() if type_ == DETECTIONS)
        raise RecordingError(
            f"ground truth must be a file or a topic of type {DETECTIONS} in bag {bag.path}, got "
            f"{topic!r} ({types.get(topic, 'no such topic')}); there are: "
            f"{', '.join(known) or 'none'}"
        )


def _class_id(detection: Any) -> str:
    """Of the hypothesis with the highest score, the first of equal ones; empty without any.

    A score that is not a number is below all.
    """
    hypotheses = [result.hypothesis for result in detection.results]
    scores = [-math.inf if math.isnan(h.score) else float(h.score) for h in hypotheses]
    return str(hypotheses[scores.index(max(scores))].class_id) if hypotheses else ""


def _category(name: str, classes: Sequence[str]) -> int | None:
    for index, known in enumerate(classes):
        if word(name) in same_words(known) | {str(index)}:
            return index + 1
    return None


def _is_turned(box: Any) -> bool:
    return float(box.center.theta) != 0


def _enclosing(box: Any) -> tuple[float, float]:
    """Width and height of the upright box around a turned one."""
    theta, width, height = float(box.center.theta), float(box.size_x), float(box.size_y)
    if not math.isfinite(theta):
        return math.nan, math.nan
    cos, sin = abs(math.cos(theta)), abs(math.sin(theta))
    return width * cos + height * sin, width * sin + height * cos


def _annotation(detection: Any, number: int, image_id: int, category: int) -> dict[str, Any]:
    box = detection.bbox
    width, height = _enclosing(box) if _is_turned(box) else (box.size_x, box.size_y)
    width, height = float(width), float(height)
    x, y = float(box.center.position.x), float(box.center.position.y)
    entry = {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [x - width / 2, y - height / 2, width, height],
        "area": width * height,
        "height": height,
        "iscrowd": 0,
        "ignore": 0,
    }
    return {**entry, "track_id": str(detection.id)} if detection.id else entry
