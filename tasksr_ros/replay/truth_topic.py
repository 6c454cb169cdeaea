"""Ground truth from topics of a bag: their Detection2DArray as COCO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasksr_ros.errors import RecordingError
from tasksr_ros.io.bag_files import OpenBag, is_bag, open_bag
from tasksr_ros.io.decoding import stamp_ns
from tasksr_ros.io.message_types import DETECTIONS, message_types

PEDESTRIAN = "pedestrian"


def is_topic(path: Path, text: str) -> bool:
    """Whether this names a topic of the bag at ``path``, not a file."""
    return text.startswith("/") and not Path(text).is_file() and is_bag(path)


def read_truth_topics(
    path: Path, topics: Mapping[str, str], classes: Sequence[str]
) -> dict[str, Any]:
    """The messages of topics as COCO ground truth; each is an image, known by camera and stamp.

    Args:
        path: of the bag.
        topics: of type vision_msgs/msg/Detection2DArray, by the image topic of their camera.
        classes: names by class_id; objects count if their class_id is one of these names or its
            number. Objects of other classes are left out and counted in ``info``.

    Raises:
        RecordingError: if the bag lacks such a topic or a message of it is unreadable.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    others: Counter[str] = Counter()
    with open_bag(path) as bag:
        for camera, topic in topics.items():
            for message in _messages(bag, topic):
                image_id = len(images) + 1
                stamp = stamp_ns(message.header)
                images.append({"id": image_id, "stamp_ns": stamp, "camera": camera})
                for detection in message.detections:
                    name = _class_id(detection)
                    category = _category(name, classes)
                    if category is None:
                        others[name] += 1
                    else:
                        entry = _annotation(detection, len(annotations) + 1, image_id, category)
                        annotations.append(entry)
    return {
        "info": {"bag": str(path), "topics": dict(topics), "other_classes": dict(others)},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(classes)],
    }


def _messages(bag: OpenBag, topic: str) -> list[Any]:
    _check(bag, topic)
    types = message_types()
    try:
        found = [
            types.deserialize_cdr(data, DETECTIONS)
            for _, _, data in bag.messages(lambda c: (c.topic, c.msgtype) == (topic, DETECTIONS))
        ]
    except Exception as error:  # corrupt bytes make the parser raise nearly anything
        raise RecordingError(f"{topic} of bag {bag.path} is unreadable: {error}") from error
    if not found:
        raise RecordingError(f"bag {bag.path} must have ground truth on {topic}, got no messages")
    return found


def _check(bag: OpenBag, topic: str) -> None:
    types = {c.topic: c.msgtype for c in bag.connections}
    if types.get(topic) != DETECTIONS:
        known = sorted(name for name, type_ in types.items() if type_ == DETECTIONS)
        raise RecordingError(
            f"ground truth must be a file or a topic of type {DETECTIONS} in bag {bag.path}, got "
            f"{topic!r} ({types.get(topic, 'no such topic')}); there are: "
            f"{', '.join(known) or 'none'}"
        )


def _class_id(detection: Any) -> str:
    return str(detection.results[0].hypothesis.class_id) if detection.results else ""


def _category(name: str, classes: Sequence[str]) -> int | None:
    for index, known in enumerate(classes):
        if name.casefold() in (known.casefold(), str(index)):
            return index + 1
    return None


def _annotation(detection: Any, number: int, image_id: int, category: int) -> dict[str, Any]:
    box = detection.bbox
    width, height = float(box.size_x), float(box.size_y)
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
