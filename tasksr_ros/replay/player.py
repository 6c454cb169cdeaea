"""Plays a recording to a node at the recorded rate, or listens while another player does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from tqdm import tqdm

from tasksr_ros.config import ReplayConfig
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.make_bag import to_jpeg
from tasksr_ros.io.recording import Pending, Recording
from tasksr_ros.replay.offline import expected
from tasksr_ros.replay.read_ahead import DISORDER_S, Load, Loaded, read_ahead, selected
from tasksr_ros.ros.session import START_S, Endpoint, Session, header_at, wait

logger = logging.getLogger(__name__)

LONGEST_GAP_S = 5.0
"""Longer pauses between frames are shortened to this."""
SETTLE_S = 0.5
SILENCE_S = 15.0
"""Without an answer, after which those that are missing count as dropped, unless the node says that
it has some in work."""
ANSWER_S = 60.0
"""To wait for the answer to one frame before it counts as dropped, where each is waited for."""
LATE_S = 0.1
"""By which a frame may be late before that is told."""


Check: TypeAlias = Callable[[], None]
"""Raises what makes waiting vain."""


@dataclass(frozen=True, eq=False)
class Sent:
    """A frame that the node could see: what it was, its size in px, and when it was published."""

    pending: Pending
    size: tuple[int, int] = (0, 0)
    published_s: float | None = None
    error: str = ""


def play(
    session: Session,
    recording: Recording,
    cameras: Mapping[str, Endpoint],
    selection: ReplayConfig,
    check: Check,
) -> tuple[list[Sent], list[str]]:
    """Publish the frames; return them once the node has answered the last one.

    They are published at their rate; where each is waited for, not before the one before it is
    answered.
    """
    _connect(session, recording, cameras, check)
    sent: list[Sent] = []
    clock = _Clock()
    damage: list[str] = []
    with (
        read_ahead(selected(recording, selection), load=_loader(cameras)) as frames,
        tqdm(total=expected(recording, selection), desc="live", unit="frame") as bar,
    ):
        try:
            for loaded in frames:
                check()
                sent.append(_publish(session, recording, cameras, loaded, clock))
                if selection.wait:
                    _wait_for(sent[-1], session, cameras, check)
                bar.update()
        except RecordingError as error:
            check()
            damage.append(str(error))
    _drain(session, sent, cameras, check)
    return sent, [*damage, *([] if selection.wait else clock.warnings())]


def _wait_for(sent: Sent, session: Session, cameras: Mapping[str, Endpoint], check: Check) -> None:
    if not sent.error:
        answers = session.answers[cameras[sent.pending.camera].detections]
        due_s = time.perf_counter() + ANSWER_S

        def done() -> bool:
            late = time.perf_counter() > due_s and not session.is_at_work()
            return sent.pending.stamp_ns in answers or late

        wait(done, float("inf"), check)


def _connect(
    session: Session,
    recording: Recording,
    cameras: Mapping[str, Endpoint],
    check: Check,
) -> None:
    for camera in cameras.values():
        session.advertise(camera)
    if not wait(lambda: all(map(session.is_heard, cameras.values())), START_S, check):
        raise RecordingError(f"the node does not subscribe within {START_S:g} s")
    # Topics are not ordered among one another: the first image must not overtake the camera.
    for name, camera in cameras.items():
        model = recording.cameras[name]
        if model is not None:
            session.publish_info(camera, model, header_at(0, recording.frame_id))
    time.sleep(SETTLE_S)


def _loader(cameras: Mapping[str, Endpoint]) -> Load:
    """What is read ahead of a frame: what its camera takes."""
    return lambda item: item.encoded() if cameras[item.camera].compressed else item.load()


def _publish(
    session: Session,
    recording: Recording,
    cameras: Mapping[str, Endpoint],
    loaded: Loaded,
    clock: _Clock,
) -> Sent:
    item, image = loaded.pending, loaded.image
    clock.wait_until(item.stamp_ns)
    if image is None:
        return Sent(item, error=loaded.error)
    camera, model = cameras[item.camera], recording.cameras[item.camera]
    if camera.compressed and isinstance(image, Frame):
        image = to_jpeg(image)
    if model is not None:
        session.publish_info(camera, model, header_at(image.stamp_ns, image.frame_id))
    begun = time.perf_counter()
    session.publish(camera, image)
    size = image.size if isinstance(image, Frame) else (0, 0)
    return Sent(item, size, begun)


class _Clock:
    """Waits as long as passed between the frames; longer pauses are shortened.

    Of several cameras, a frame that was taken a little before another may come after it: that is
    no pause. What is earlier by more begins a new course of time.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._due = time.perf_counter()
        self._late_s = 0.0
        self._shortened = 0

    def wait_until(self, stamp_ns: int) -> None:
        """Wait until the frame with this stamp is due."""
        pause = 0.0 if self._last is None else (stamp_ns - self._last) / 1e9
        if self._last is None or not -DISORDER_S <= pause <= 0:
            self._last = stamp_ns
        pause = max(0.0, pause)
        self._shortened += pause > LONGEST_GAP_S
        self._due += min(pause, LONGEST_GAP_S)
        left = self._due - time.perf_counter()
        if left > 0:
            time.sleep(left)
        else:
            self._late_s = max(self._late_s, -left)
            self._due -= left if pause else 0.0

    def warnings(self) -> list[str]:
        """What of the recorded times was not kept."""
        found = []
        if self._late_s > LATE_S:
            found.append(
                f"frames were published up to {self._late_s:.2f} s late: this machine "
                f"cannot play the recording at its rate"
            )
        if self._shortened:
            found.append(f"{self._shortened} pauses were shortened to {LONGEST_GAP_S:g} s")
        return found


def listen(
    session: Session,
    recording: Recording,
    cameras: Mapping[str, Endpoint],
    selection: ReplayConfig,
    check: Check,
) -> tuple[list[Sent], list[str]]:
    """Wait while another player publishes the recording."""
    sent = []
    warnings = []
    try:
        sent = [Sent(item) for item in selected(recording, selection)]
    except RecordingError as error:
        warnings.append(str(error))
    logger.info("live: listening until the last of %d frames", len(sent))
    with suppress(KeyboardInterrupt):  # as a launch file ends it
        wait(lambda: session.heard_s, START_S, check)
        _drain(session, sent, cameras, check)
    return sent, warnings


def _drain(
    session: Session, sent: list[Sent], cameras: Mapping[str, Endpoint], check: Check
) -> None:
    """Wait for the answer to each camera's last frame, or for silence."""
    last = {s.pending.camera: s.pending.stamp_ns for s in sent if not s.error}
    begun = time.perf_counter()

    def done() -> bool:
        answered = all(
            stamp in session.answers[cameras[camera].detections] for camera, stamp in last.items()
        )
        silent_s = time.perf_counter() - max(begun, session.heard_s)
        return answered or (silent_s > SILENCE_S and not session.is_at_work())

    wait(done, float("inf"), check)
    time.sleep(SETTLE_S)  # latency comes after the detections
