"""A recording through the running node, over real topics."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from tasksr_ros.config import NodeConfig, ReplayConfig
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.recording import Recording
from tasksr_ros.options import Value, walk
from tasksr_ros.replay.interrupts import interruptible
from tasksr_ros.replay.journal import Journal
from tasksr_ros.replay.node_process import node_process
from tasksr_ros.replay.outcome import DROPPED, Outcome
from tasksr_ros.replay.player import Sent, listen, play
from tasksr_ros.ros.session import START_S, Endpoint, Session, wait

NODE = "tasksr"
NAMESPACE = "/tasksr_replay"
"""Of a node that is started for the replay."""
FIND_S = 5.0
"""To look for a running node before one is started; discovery takes 0.2 to 3 s."""
WIRE = "publish_to_detections"
"""Stage of the latency: from publishing an image to receiving its detections."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveOptions:
    """How a live replay finds the node.

    Attributes:
        node: its name, or its full name where several run.
        listen: whether another player publishes.
        bundle: of the node that is started where none runs.
        parameters: of that node, by camera; those of the first one count.
    """

    node: str
    listen: bool
    bundle: str
    parameters: Mapping[str, Value]


def run_live(
    recording: Recording, options: LiveOptions, selection: ReplayConfig, journal: Journal
) -> dict[str, Any]:
    """Play the recording and write the node's answers to the journal; finishes it.

    Returns:
        the node's parameters, by full name.

    Raises:
        RecordingError: if there is no node, it ends, or its cameras are not the recording's.
    """
    with (
        interruptible() as check_interrupt,
        closing(Session("tasksr_replay")) as session,
        _node(session, options, list(recording.cameras)) as (name, namespace, check_node),
    ):

        def check() -> None:
            check_interrupt()
            check_node()

        cameras = _cameras(session, name, namespace, list(recording.cameras))
        names = [known for known, *_ in walk(NodeConfig)]
        parameters = session.parameters(name, namespace, names)
        for camera in cameras.values():
            session.listen(camera)
        begun = time.perf_counter()
        run = listen if options.listen else play
        sent, warnings = run(session, recording, cameras, selection, check)
        _write(journal, session, sent, cameras, bool(parameters.get("use_sim_time")))
        wall = time.perf_counter() - begun
        answered = sum(not outcome.error for outcome in journal.outcomes)
        journal.finish(
            {
                "warnings": warnings,
                "wall_s": wall,
                "frames_per_second": answered / wall,
                "node": f"{namespace.rstrip('/')}/{name}",
                "node_diagnostics": {k: v for k, v in session.diagnostics.items() if name in k},
            }
        )
    return parameters


@contextmanager
def _node(
    session: Session, options: LiveOptions, cameras: list[str]
) -> Iterator[tuple[str, str, Any]]:
    """Name and namespace of the node that runs, or of one that is started; with a check of it."""
    patience = START_S if options.listen else FIND_S
    wait(lambda: session.nodes(options.node), patience)
    found = session.nodes(options.node)
    if len(found) > 1:
        known = ", ".join(f"{space.rstrip('/')}/{name}" for name, space in found)
        raise RecordingError(f"several nodes run, choose one with --node: {known}")
    if found:
        logger.info("live: the node %s/%s runs", found[0][1].rstrip("/"), found[0][0])
        yield (*found[0], session.check)
        return
    if options.listen:
        raise RecordingError(f"no node {options.node!r} is found within {patience:g} s")
    logger.info("live: no node %r runs: starting one in %s", options.node, NAMESPACE)
    with node_process(NAMESPACE, _parameters(options, cameras)) as process:

        def check() -> None:
            session.check()
            if process.poll() is not None:
                raise RecordingError(f"the node ended with status {process.returncode}")

        own = f"{NAMESPACE}/{NODE}"
        if not wait(lambda: session.nodes(own), START_S, check):
            raise RecordingError(f"the node does not come up within {START_S:g} s")
        yield NODE, NAMESPACE, check


def _parameters(options: LiveOptions, cameras: list[str]) -> dict[str, object]:
    """Of a node that is started for these cameras."""
    names = [_camera_name(camera) for camera in cameras] if len(cameras) > 1 else [""]
    own = {"bundle": options.bundle, "cameras": names, "input.reliability": "reliable"}
    return {**options.parameters, **own}


def _camera_name(camera: str) -> str:
    """A camera's name for the node, of its image topic."""
    parts = [part for part in camera.removesuffix("/compressed").split("/") if part]
    return "_".join(parts[:-1] or parts)


def _cameras(
    session: Session, name: str, namespace: str, cameras: list[str]
) -> dict[str, Endpoint]:
    """The node's topics for each camera of the recording.

    Raises:
        RecordingError: if the node has other cameras than the recording, or none.
    """
    wait(lambda: len(session.endpoints(name, namespace)) >= len(cameras), START_S)
    there = session.endpoints(name, namespace)
    if len(cameras) == len(there) == 1:
        return {cameras[0]: there[0]}
    found = {}
    for camera in cameras:
        prefixes = (camera.rpartition("/")[0], f"{namespace.rstrip('/')}/{_camera_name(camera)}")
        mine = [
            e for e in there if e.image == camera or e.detections.rpartition("/")[0] in prefixes
        ]
        if len(mine) != 1:
            known = ", ".join(e.image for e in there) or "no images (is it active?)"
            raise RecordingError(
                f"the node {name} must take the images of {camera or 'the recording'}, "
                f"it takes {known}"
            )
        found[camera] = mine[0]
    return found


def _write(
    journal: Journal,
    session: Session,
    sent: list[Sent],
    cameras: Mapping[str, Endpoint],
    sim_time: bool,
) -> None:
    for frame in sent:
        item = frame.pending
        place: dict[str, Any] = {"camera": item.camera, "index": item.index, "name": item.name}
        place["stamp_ns"] = item.stamp_ns
        camera = cameras[item.camera]
        answer = session.answers[camera.detections].pop(item.stamp_ns, None)
        if answer is None:
            journal.append(Outcome(**place, error=frame.error or DROPPED))
            continue
        latency_ms = dict(session.latency_ms[camera.latency].get(item.stamp_ns, {}))
        if not sim_time:
            latency_ms.pop("age", None)  # of a recording's stamp by today's clock
        if frame.published_s is not None:
            latency_ms[WIRE] = (answer.received_s - frame.published_s) * 1e3
        found = Outcome(
            **place, size=frame.size, detections=answer.detections, latency_ms=latency_ms
        )
        journal.append(found)
