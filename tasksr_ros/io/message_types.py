"""Messages of ROS 2, vision_msgs among them, as rosbags reads and writes them without ROS 2."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.share import share_folders

DETECTIONS = "vision_msgs/msg/Detection2DArray"
Message = Any


def definitions_folder() -> Path:
    """Folder of vision_msgs' definitions: of the checkout, or of the installed package."""
    candidates = (folder / "interfaces" / "vision_msgs" / "msg" for folder in share_folders())
    return next(folder for folder in candidates if folder.is_dir())


@cache
def message_types() -> Typestore:
    """The types of ROS 2 Jazzy and of vision_msgs."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(definitions_folder().glob("*.msg")):
        name = f"vision_msgs/msg/{path.stem}"
        store.register(get_types_from_msg(path.read_text(encoding="utf-8"), name))
    return store


def header(stamp_ns: int, frame_id: str) -> Message:
    """A std_msgs/Header."""
    types = message_types().types
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def detection_array(detections: Detections, stamp_ns: int, frame_id: str) -> Message:
    """The Detection2DArray that the node would publish, boxes in image px."""
    types = message_types().types
    head = header(stamp_ns, frame_id)
    found = [_detection(detections, index, head) for index in range(len(detections))]
    return types[DETECTIONS](header=head, detections=found)


def _detection(detections: Detections, index: int, head: Message) -> Message:
    types = {k.removeprefix("vision_msgs/msg/"): v for k, v in message_types().types.items()}
    x0, y0, x1, y1 = (float(value) for value in detections.xyxy[index])
    track_id = int(detections.track_id[index])
    centre = types["Pose2D"](position=types["Point2D"]((x0 + x1) / 2, (y0 + y1) / 2), theta=0.0)
    hypothesis = types["ObjectHypothesis"](
        str(int(detections.class_id[index])), float(detections.score[index])
    )
    return types["Detection2D"](
        header=head,
        results=[types["ObjectHypothesisWithPose"](hypothesis, _no_pose())],
        bbox=types["BoundingBox2D"](center=centre, size_x=x1 - x0, size_y=y1 - y0),
        id="" if track_id == NO_TRACK else str(track_id),
    )


def _no_pose() -> Message:
    types = message_types().types
    pose = types["geometry_msgs/msg/Pose"](
        types["geometry_msgs/msg/Point"](0.0, 0.0, 0.0),
        types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
    )
    return types["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36))
