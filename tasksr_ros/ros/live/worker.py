"""From the cameras' messages to published detections: one thread that owns the engine."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ConfigError, ImageError
from tasksr_ros.io.frames import Frame
from tasksr_ros.pipeline import Looked, Pipeline, Prepared, Result
from tasksr_ros.ros.live.accounts import (
    RATE_LIMIT,
    STOPPED,
    TIME_JUMP,
    Account,
    rejection,
)
from tasksr_ros.ros.live.expectation import Expected, expected
from tasksr_ros.ros.live.scheduler import RateLimit, Scheduler
from tasksr_ros.ros.live.stamps import StampGate
from tasksr_ros.ros.live.wire import Serialized, decode, stamp_of

AUTO_TIMEOUT_S = 10.0
"""Where ``diagnostics.engine_timeout`` is 0: an engine never counts as hanging sooner …"""
AUTO_TIMEOUT_FRAMES = 5
"""… nor before so many times what its last calls let expect: a loaded computer is no hang."""
FASTER = (
    "look at less (region.mode fixed or distance, a smaller band, near.width) or faster "
    "(engine.name, engine.precision, engine.threads, a smaller bundle)"
)


@dataclass
class Channel:
    """One camera in work.

    Attributes:
        name: of the camera.
        pipeline: changed by the worker's thread only.
        account: of its frames.
        gate: judges its stamps.
        rate: lets its frames pass.
        camera: intrinsics, once they are known.
        info_topic: where they come from.
        camera_error: what is wrong with the last of them, or "".
        course: number of the course of time that it is in; a jump backwards begins another.
        seen_course: that of the last frame in work.
    """

    name: str
    pipeline: Pipeline
    account: Account
    gate: StampGate
    rate: RateLimit
    camera: CameraModel | None = None
    info_topic: str = ""
    camera_error: str = ""
    course: int = 0
    seen_course: int = 0


@dataclass(frozen=True, eq=False)
class Job:
    """One message to work on.

    Attributes:
        message: as it came.
        came_s: when, on steady time.
        course: of time, see `Channel`.
    """

    message: Serialized
    came_s: float
    course: int


@dataclass(frozen=True)
class Answer:
    """What is to be published for one message.

    Attributes:
        channel: name of the camera.
        header: of the message that it answers, to be copied.
        frame: the decoded image.
        result: detections in image px and what was looked at.
        latency_ms: milliseconds by stage: decode, those of `pipeline.Result`; total: of the work;
            delay: since the message came, on steady time; age: since its stamp, on ROS time.
        ranged: whether somebody asked for distances when they could be worked out.
    """

    channel: str
    header: Any
    frame: Frame
    result: Result
    latency_ms: dict[str, float]
    ranged: bool


class Outlet(Protocol):
    """Where answers and complaints go; called from the worker's thread."""

    def publish(self, answer: Answer) -> None:
        """Publish detections."""
        ...

    def wants_ranges(self, channel: str) -> bool:
        """Whether anybody asks how far the people of a camera are."""
        ...

    def warn(self, what: str, text: str) -> None:
        """Tell the user ``text``, but each kind ``what`` at a throttled rate."""
        ...

    def now_ns(self) -> int:
        """ROS time."""
        ...

    def is_open(self) -> bool:
        """Whether anything can still be published."""
        ...


@dataclass
class _Work:
    """One frame between decoding and publishing."""

    channel: Channel
    job: Job
    begun_s: float
    header: Any
    frame: Frame
    pipeline: Pipeline
    prepared: Prepared
    decode_ms: float


class Worker:
    """Takes messages from one thread, works on them in another.

    Args:
        channels: the cameras.
        outlet: where answers go.
        batch: most cameras' frames in one engine call.
        max_age_s: oldest age at which work on a frame may begin, s.
        timeout_s: work that lasts longer counts as hanging, s; 0: see `limit_s`.
        decoding: which images are decoded.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        outlet: Outlet,
        *,
        batch: int,
        max_age_s: float,
        timeout_s: float,
        decoding: DecodingConfig | None = None,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._outlet = outlet
        self._batch = batch
        self._timeout_s = timeout_s
        self._decoding = decoding
        self._scheduler: Scheduler[Job] = Scheduler(list(self._channels), max_age_s, self._dropped)
        self._lock = threading.Lock()
        self._in_work: list[tuple[str, Job]] = []
        self._begun_s: float | None = None
        self._expected_s = 0.0
        self._slow: tuple[Expected, ...] = ()
        self._closed = False
        self._exchange: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    # Called by the receiving thread

    def receive(self, name: str, message: Serialized) -> None:
        """A camera's message came: leave it for the worker, or drop it and say why."""
        channel = self._channels[name]
        now_s = time.monotonic()
        channel.account.receive(now_s)
        try:
            stamp_ns = stamp_of(message)
        except ImageError as error:
            self._refuse(channel, error)
            return
        verdict = channel.gate.judge(stamp_ns, self._outlet.now_ns())
        if verdict.jumped_back:
            self.restart(name)
        if not verdict.accepted:
            channel.account.drop(verdict.finding)
            return
        if verdict.finding:
            channel.account.note(verdict.finding)
        if not channel.rate.passes(now_s):
            channel.account.drop(RATE_LIMIT)
            return
        self._scheduler.put(name, Job(message, now_s, channel.course))

    def restart(self, name: str) -> None:
        """Time jumped backwards for a camera: forget what waits, its tracks and statistics."""
        channel = self._channels[name]
        channel.course += 1
        channel.account.restart_statistics()
        self._scheduler.clear(name, TIME_JUMP)

    def exchange(
        self, pipelines: Mapping[str, Pipeline], batch: int, then: Callable[[], None]
    ) -> None:
        """Go on with other pipelines from the next frame on, and call ``then`` before it.

        One that comes before the last was made good takes its place.
        """

        def change() -> None:
            for name, pipeline in pipelines.items():
                pipeline.follow(self._channels[name].pipeline)
                self._channels[name].pipeline = pipeline
            self._batch = batch
            then()

        with self._lock:
            self._exchange = change
        self._scheduler.wake()

    @property
    def busy_s(self) -> float:
        """For how long the frames in work have been so, s; 0 where there are none."""
        begun_s = self._begun_s
        return 0.0 if begun_s is None else time.monotonic() - begun_s

    @property
    def hangs(self) -> bool:
        """Whether the work lasts longer than it may; what it gives in the end is published."""
        return self.busy_s > self.limit_s

    @property
    def limit_s(self) -> float:
        """After which the work counts as hanging, s: as configured, or by what is measured."""
        return self._timeout_s or max(AUTO_TIMEOUT_S, AUTO_TIMEOUT_FRAMES * self._expected_s)

    @property
    def slowness(self) -> str:
        """Why the frames in work take longer than an engine should, and the mend, or ""."""
        slow = self._slow
        if not slow:
            return ""
        limit = (
            f"diagnostics.engine_timeout ({self._timeout_s:g} s), after which it counts as hanging"
            if self._timeout_s
            else f"{AUTO_TIMEOUT_S:g} s"
        )
        return f"{' and '.join(map(str, slow))}, more than {limit}: {FASTER}" + (
            ", or raise the timeout" if self._timeout_s else ""
        )

    def close(self, patience_s: float = math.inf) -> bool:
        """End the thread once its frame is done; returns False if it hangs and is left alone.

        A thread that is left alone publishes nothing more.

        Args:
            patience_s: most to wait for it, s, beside the timeout.
        """
        self._scheduler.close()
        timeout_s = (self._timeout_s or AUTO_TIMEOUT_S) - self.busy_s
        self._thread.join(min(patience_s, max(0.0, timeout_s)))
        with self._lock:
            self._closed = True
            for name, _ in self._in_work:
                self._channels[name].account.drop(STOPPED)
            self._in_work = []
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    # The worker's thread

    def _run(self) -> None:
        while (taken := self._scheduler.take(self._batch)) is not None:
            with self._lock:
                if self._closed:
                    return
                self._in_work = list(taken)
                change, self._exchange = self._exchange, None
            try:
                if change is not None:
                    change()
                if taken:
                    self._begun_s = time.monotonic()
                    self._work(taken)
            except Exception as error:  # whatever one frame does, the node goes on
                for name, job in taken:
                    self._reject(name, job, error)
            self._begun_s = None

    def _work(self, taken: Sequence[tuple[str, Job]]) -> None:
        works = [work for name, job in taken if (work := self._prepare(name, job)) is not None]
        if not works:
            return
        self._expect(works)
        try:
            looked = works[0].pipeline.look([work.prepared for work in works])
        except Exception as error:
            for work in works:
                self._reject(work.channel.name, work.job, error)
            return
        if self.hangs:  # the stamp says how old it is: late is better than never
            self._outlet.warn("engine", f"the engine answers again after {self.busy_s:.1f} s")
        for work, found in zip(works, looked, strict=True):
            self._finish(work, found)

    def _prepare(self, name: str, job: Job) -> _Work | None:
        channel = self._channels[name]
        begun_s = time.monotonic()
        try:
            header, frame = decode(job.message, self._decoding)
            decode_ms = (time.monotonic() - begun_s) * 1e3
            pipeline = channel.pipeline
            pipeline.camera = channel.camera
            if channel.camera is None and pipeline.config.region.mode == "distance":
                raise ConfigError(_no_camera(channel))
            if channel.seen_course != job.course:
                pipeline.reset()
                channel.seen_course = job.course
            prepared = pipeline.prepare(frame)
        except Exception as error:
            self._reject(name, job, error)
            return None
        return _Work(channel, job, begun_s, header, frame, pipeline, prepared, decode_ms)

    def _finish(self, work: _Work, looked: Looked) -> None:
        try:
            ranged = self._outlet.wants_ranges(work.channel.name)
            result = work.pipeline.finish(work.prepared, looked, ranged)
            answer = self._answer(work, result, ranged)
            if self._closed:
                return
            self._outlet.publish(answer)
            if self._settle(work.channel.name, work.job):
                blur = None if result.blur is None else result.blur.frame
                work.channel.account.process(
                    answer.latency_ms, time.monotonic(), result.attended, blur
                )
        except Exception as error:
            self._reject(work.channel.name, work.job, error)

    def _answer(self, work: _Work, result: Result, ranged: bool) -> Answer:
        now_s = time.monotonic()
        stages = result.latency_ms
        latency_ms = {
            **stages,
            "decode": work.decode_ms + stages["decode"],
            "total": (now_s - work.begun_s) * 1e3,
            "delay": (now_s - work.job.came_s) * 1e3,
            "age": (self._outlet.now_ns() - work.frame.stamp_ns) / 1e6,
        }
        return Answer(work.channel.name, work.header, work.frame, result, latency_ms, ranged)

    def _expect(self, works: Sequence[_Work]) -> None:
        """How long these frames should take; told once where that is longer than it should be."""
        frames = tuple(expected(work.pipeline, work.prepared) for work in works)
        self._expected_s = sum(frame.frame_s for frame in frames)
        told = {frame.regions for frame in self._slow}
        slow = self._expected_s > (self._timeout_s or AUTO_TIMEOUT_S)
        self._slow = frames if slow else ()
        if {frame.regions for frame in self._slow} - told:
            self._outlet.warn("engine: slow", self.slowness)

    def _settle(self, name: str, job: Job) -> bool:
        """Take a frame out of work; False if it was already taken out by `close`."""
        with self._lock:
            if (name, job) not in self._in_work:
                return False
            self._in_work.remove((name, job))
            return True

    def _reject(self, name: str, job: Job, error: Exception) -> None:
        if not self._outlet.is_open():
            return  # the process is being shut down: nothing can be published any more
        if self._settle(name, job):
            self._refuse(self._channels[name], error)

    def _refuse(self, channel: Channel, error: Exception) -> None:
        channel.account.drop(rejection(error), str(error))
        camera = channel.name or "camera"
        self._outlet.warn(f"{camera}: rejected", f"{camera}: frame rejected: {error}")

    def _dropped(self, name: str, cause: str) -> None:
        self._channels[name].account.drop(cause)


def _no_camera(channel: Channel) -> str:
    why = channel.camera_error or "none came yet"
    what = f"the camera's intrinsics (CameraInfo on {channel.info_topic})"
    return f"region.mode distance needs {what}: {why}"
