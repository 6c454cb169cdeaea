"""What the node says of its cameras on /diagnostics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue


@dataclass
class CameraCounters:
    """What became of a camera's images: received = processed + replaced + rejected + waiting.

    Attributes:
        received: messages taken from the topic.
        processed: frames whose detections were published.
        replaced: frames dropped because a newer one came before they were begun.
        rejected: by error class, frames that could not be processed.
        last_rejection: the reason of the last of those.
        latency_ms: of the last processed frame, by stage.
    """

    received: int = 0
    processed: int = 0
    replaced: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    last_rejection: str = ""
    latency_ms: dict[str, float] = field(default_factory=dict)


def to_diagnostics(
    counters: Mapping[str, CameraCounters],
    before: Mapping[str, CameraCounters],
    node_name: str,
    engine: str,
    stamp: Time,
) -> DiagnosticArray:
    """One status per camera.

    Args:
        counters: by camera name.
        before: the counters at the report before, to tell what is new.
        node_name: begins each status's name.
        engine: name of the running engine.
        stamp: the report's time.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    array.status = [
        _status(f"{node_name}: {name or 'camera'}", camera, before[name], engine)
        for name, camera in counters.items()
    ]
    return array


def _status(
    name: str, camera: CameraCounters, before: CameraCounters, engine: str
) -> DiagnosticStatus:
    values: dict[str, object] = {
        "engine": engine,
        "received": camera.received,
        "processed": camera.processed,
        "replaced": camera.replaced,
        "rejected": camera.rejected.total(),
        **{f"rejected {kind}": count for kind, count in camera.rejected.items()},
        "last rejection": camera.last_rejection,
        **{f"{stage} ms": f"{ms:.1f}" for stage, ms in camera.latency_ms.items()},
    }
    level, message = DiagnosticStatus.OK, "ok"
    if not camera.received:
        level, message = DiagnosticStatus.WARN, "waiting for the first image"
    elif camera.received == before.received:
        level, message = DiagnosticStatus.STALE, "no new image since the last report"
    elif camera.rejected != before.rejected:
        level, message = DiagnosticStatus.WARN, f"rejected: {camera.last_rejection}"
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
