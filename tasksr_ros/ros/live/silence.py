"""Why nothing, or too much, comes on a topic, by what the graph says; without ROS."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasksr_ros.ros.live.wire import COMPRESSED_IMAGE, IMAGE

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
SUFFIX = "/compressed"
SILENT = (
    "its publisher is there and fits, but sends nothing, or all of it is lost on the way "
    "(docs/ROS.md, Large images)"
)
_SHOWN = 5


@dataclass(frozen=True)
class Publisher:
    """One publisher of a topic.

    Attributes:
        node: its full name.
        kind: the message type.
        problem: why its messages do not come for its QoS, with the mend; else "".
    """

    node: str
    kind: str
    problem: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the node listens to.

    Attributes:
        topic: its full name.
        kind: the message type; "": Image, or CompressedImage with the suffix.
        parameters: before the names of the camera's parameters: ``input`` or ``front.input``.
    """

    topic: str
    kind: str
    parameters: str


def why_silent(wanted: Wanted, there: Mapping[str, Sequence[Publisher]]) -> str:
    """Why no message comes, or "" where publishers are there and fit.

    Args:
        wanted: the topic.
        there: publishers of that topic, whatever their type, and of all topics of images and of
            CameraInfo; the node's own are not among them.
    """
    mine = there.get(wanted.topic, ())
    if not mine:
        return f"nobody publishes it; {_instead(wanted, there)}"
    fitting = [p for p in mine if p.kind == wanted.kind]
    if not fitting:
        return _other_type(wanted, mine[0])
    return fitting[0].problem if all(p.problem for p in fitting) else ""


def several_sources(topic: str, publishers: Sequence[str]) -> str:
    """What is wrong where several publish a camera's images, or ""."""
    return _several(topic, publishers, "their images are taken for those of one camera")


def several_answers(topic: str, publishers: Sequence[str]) -> str:
    """What is wrong where others publish on the topic of the node's detections, or ""."""
    return _several(
        topic,
        publishers,
        "who listens gets the detections of all: remap detections, give one node another "
        "namespace, or play the bag without that topic",
    )


def _several(topic: str, publishers: Sequence[str], consequence: str) -> str:
    if len(publishers) < 2:
        return ""
    return f"{topic} has {len(publishers)} publishers ({_listed(publishers)}): {consequence}"


def _instead(wanted: Wanted, there: Mapping[str, Sequence[Publisher]]) -> str:
    """What is published, and how to take it."""
    published = {t: publishers[0].kind for t, publishers in there.items() if publishers}
    if wanted.kind == CAMERA_INFO:
        infos = [t for t, kind in published.items() if kind == CAMERA_INFO]
        return _nearest(
            wanted, infos, "CameraInfo", f"remap it or set {wanted.parameters}.info_topic"
        )
    images = {t: kind for t, kind in published.items() if kind in (IMAGE, COMPRESSED_IMAGE)}
    bare = wanted.topic.removesuffix(SUFFIX)
    for topic, transport in ((f"{bare}{SUFFIX}", "compressed"), (bare, "raw")):
        kind = COMPRESSED_IMAGE if transport == "compressed" else IMAGE
        if images.get(topic) == kind:
            mend = f"set {wanted.parameters}.transport to {transport}"
            return f"{transport} images are on {topic}: {mend}"
    return _nearest(wanted, list(images), "images", f"remap image or set {wanted.parameters}.topic")


def _nearest(wanted: Wanted, topics: list[str], what: str, mend: str) -> str:
    near = difflib.get_close_matches(wanted.topic, topics, n=1, cutoff=0.75)
    if near:
        return f"did you mean {near[0]}? ({mend})"
    if topics:
        return f"{what} are on {_listed(sorted(topics))}: {mend}"
    return f"no {what} are published at all: does the camera run, with this ROS_DOMAIN_ID?"


def _listed(topics: Sequence[str]) -> str:
    more = f" and {len(topics) - _SHOWN} more" if len(topics) > _SHOWN else ""
    return ", ".join(topics[:_SHOWN]) + more


def _other_type(wanted: Wanted, publisher: Publisher) -> str:
    said = (
        f"{publisher.node} publishes {publisher.kind} there, the node takes {wanted.kind or IMAGE}"
    )
    own = wanted.parameters
    if publisher.kind == COMPRESSED_IMAGE:
        if wanted.topic.endswith(SUFFIX):
            return f"{said}: set {own}.transport to compressed"
        return f"{said}: set {own}.transport to compressed and remap image/compressed to this topic"
    if publisher.kind == IMAGE and wanted.kind == COMPRESSED_IMAGE:
        return f"{said}: set {own}.transport to raw and remap image to this topic"
    if "/msg/" in publisher.kind and publisher.kind.endswith(("Packet", "CompressedVideo")):
        return f"{said}: let image_transport republish it as raw or compressed"
    return f"{said}: remap it to another topic"
