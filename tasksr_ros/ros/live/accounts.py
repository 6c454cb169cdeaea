"""What became of every frame of a camera: received = processed + dropped by cause + pending."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tasksr_ros.attention import Attended
from tasksr_ros.blur import Blur

REPLACED = "replaced"
"""A newer frame of the camera came before this one was begun."""
EXPIRED = "expired"
"""It waited longer than ``schedule.max_age``."""
RATE_LIMIT = "rate limit"
"""It came sooner after the last than ``input.rate_limit`` allows."""
TIME_JUMP = "time jump"
"""It waited when time jumped backwards."""
STOPPED = "stopped"
"""It waited or was in work when the node was deactivated."""

WINDOW = 600
"""Frames that percentiles are taken over."""
RATE_WINDOW_S = 10.0
"""Time that rates are taken over, and at least two frames."""


@dataclass(frozen=True)
class Report:
    """One camera's account at one moment.

    Attributes:
        received: messages taken from the topic.
        processed: frames whose detections were published.
        dropped: frames that were not, by cause.
        notes: what was remarkable about frames without their being dropped, for example stamps
            of zero, and how often.
        last_rejection: why a frame was last rejected.
        silent_s: since the last message (since the start, if none came), s.
        latency_ms: (frames,) milliseconds by stage, of those of the last ``WINDOW`` processed
            frames that had it.
        time_jumps: how often time jumped backwards.
        received_hz, processed_hz: see `Rate`.
        attended: what was looked at in the last frame; None where all of the band is.
        blur: of the last frame; None where nothing estimates it.
    """

    received: int = 0
    processed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    last_rejection: str = ""
    silent_s: float = 0.0
    latency_ms: Mapping[str, np.ndarray] = field(default_factory=dict)
    time_jumps: int = 0
    received_hz: float = 0.0
    processed_hz: float = 0.0
    attended: Attended | None = None
    blur: Blur | None = None

    @property
    def pending(self) -> int:
        """Frames that wait or are in work."""
        return self.received - self.processed - sum(self.dropped.values())

    @property
    def rejected(self) -> int:
        """Frames dropped because something was wrong with them or with the engine."""
        return sum(count for cause, count in self.dropped.items() if is_rejection(cause))

    def percentiles(self, stage: str) -> tuple[float, float, float]:
        """p50, p95 and p99 of a stage, ms; NaN where no frame was processed."""
        values = self.latency_ms.get(stage)
        if values is None or not len(values):
            return (float("nan"),) * 3
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        return float(p50), float(p95), float(p99)


def rates_and_ages(report: Report) -> str:
    """One line of how many frames are answered, and how late."""
    line = f"answers {report.processed_hz:.3g} of {report.received_hz:.3g} Hz"
    for stage, since in (("delay", "they came"), ("age", "their stamps")):
        p50, p95, _ = (ms / 1e3 for ms in report.percentiles(stage))
        if p50 == p50:  # no NaN: a frame was answered
            line += f", {p50:.3g} s after {since} (95 %: {p95:.3g} s)"
    return line


def rejection(error: BaseException) -> str:
    """The cause under which a frame is dropped for an error."""
    return f"rejected {type(error).__name__}"


def is_rejection(cause: str) -> bool:
    """Whether a cause is one that `rejection` gives."""
    return cause.startswith("rejected ")


class Rate:
    """How often something comes, of steady time; right for 30 Hz and for one in a minute."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque()

    def count(self, now_s: float) -> None:
        """It came."""
        self._times_s.append(now_s)
        while len(self._times_s) > 2 and self._times_s[1] < now_s - RATE_WINDOW_S:
            self._times_s.popleft()

    def hz(self, now_s: float) -> float:
        """By the mean time between the last ones; 0 before the second.

        Or by the time since the last one, if that is more than twice as long.
        """
        if len(self._times_s) < 2:
            return 0.0
        first_s, last_s = self._times_s[0], self._times_s[-1]
        mean_s = max(1e-6, (last_s - first_s) / (len(self._times_s) - 1))
        silent_s = now_s - last_s
        return 1 / (silent_s if silent_s > 2 * mean_s else mean_s)


class Account:
    """Counts one camera's frames; any thread may.

    Args:
        now_s: steady time, s.
    """

    def __init__(self, now_s: float) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._processed = 0
        self._dropped: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._last_rejection = ""
        self._last_message_s = now_s
        self._latency: deque[dict[str, float]] = deque(maxlen=WINDOW)
        self._time_jumps = 0
        self._received_rate, self._processed_rate = Rate(), Rate()
        self._attended: Attended | None = None
        self._blur: Blur | None = None

    def receive(self, now_s: float) -> None:
        """A message came."""
        with self._lock:
            self._received += 1
            self._last_message_s = now_s
            self._received_rate.count(now_s)

    def begin_to_wait(self, now_s: float) -> None:
        """From now on silence counts: the camera was not listened to before."""
        with self._lock:
            self._last_message_s = now_s

    def process(
        self,
        latency_ms: dict[str, float],
        now_s: float,
        attended: Attended | None = None,
        blur: Blur | None = None,
    ) -> None:
        """A frame's detections are published."""
        with self._lock:
            self._processed += 1
            self._attended, self._blur = attended, blur
            self._latency.append(latency_ms)
            self._processed_rate.count(now_s)

    def drop(self, cause: str, reason: str = "") -> None:
        """A frame is not processed; ``reason`` says in one line what was wrong with it."""
        with self._lock:
            self._dropped[cause] += 1
            if reason:
                self._last_rejection = reason

    def note(self, what: str) -> None:
        """A frame goes on although something about it is remarkable."""
        with self._lock:
            self._notes[what] += 1

    def restart_statistics(self) -> None:
        """Time jumped backwards: forget latencies; the counts go on."""
        with self._lock:
            self._latency.clear()
            self._time_jumps += 1

    def report(self, now_s: float) -> Report:
        """The account at this moment."""
        with self._lock:
            stages = dict.fromkeys(s for frame in self._latency for s in frame)
            return Report(
                self._received,
                self._processed,
                dict(self._dropped),
                dict(self._notes),
                self._last_rejection,
                now_s - self._last_message_s,
                {s: np.array([f[s] for f in self._latency if s in f]) for s in stages},
                self._time_jumps,
                self._received_rate.hz(now_s),
                self._processed_rate.hz(now_s),
                self._attended,
                self._blur,
            )
