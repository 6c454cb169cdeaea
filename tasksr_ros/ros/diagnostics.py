"""What the node says on /diagnostics: one status per camera, one for the engine."""

from __future__ import annotations

import math
from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from tasksr_ros.config import DiagnosticsConfig
from tasksr_ros.ros.live.accounts import Report
from tasksr_ros.ros.live.health import (
    EngineState,
    Health,
    InputState,
    camera_health,
    engine_health,
    gpu_memory_health,
    memory_health,
    process_values,
    resident_bytes,
)

_LEVELS = (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)
STAGES = (
    *("decode", "regions", "flow", "engine", "merge", "track", "range"),
    *("total", "delay", "age"),
)


class Reporter:
    """Publishes /diagnostics; rates are of steady time.

    Args:
        node: that it tells of.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._before: dict[str, Report] = {}
        self._ros_ns = 0

    def report(
        self,
        state: EngineState,
        reports: Mapping[str, Report],
        inputs: Mapping[str, InputState],
        config: DiagnosticsConfig,
    ) -> None:
        """Publish one status per camera and one for the engine.

        Args:
            state: of the engine.
            reports: the accounts of the cameras; none while the node is not active.
            inputs: by camera, its topics.
            config: the thresholds.
        """
        node_name, now = self._node.get_name(), self._node.get_clock().now()
        paused = self._node.get_parameter("use_sim_time").value and now.nanoseconds == self._ros_ns
        statuses = []
        for name, report in reports.items():
            before = self._before.get(name, Report())
            if before.received > report.received:
                before = Report()  # the node was activated anew
            health = camera_health(report, before, config, paused=bool(paused), inputs=inputs[name])
            label = f"{node_name}: {name or 'camera'}"
            statuses.append(camera_status(label, health, report, inputs[name]))
        found = (
            engine_health(state),
            memory_health(resident_bytes() / 1e6, config),
            gpu_memory_health(config),
        )
        worst = max(found, key=lambda health: health.level)
        statuses.append(engine_status(f"{node_name}: engine", worst, state, process_values()))
        self._publisher.publish(to_array(statuses, now.to_msg()))
        self._before, self._ros_ns = dict(reports), now.nanoseconds


def camera_status(name: str, health: Health, now: Report, inputs: InputState) -> DiagnosticStatus:
    """A camera's state, counts, rates and latencies.

    Args:
        name: of the status.
        health: of the camera.
        now: its account.
        inputs: the camera's topics.
    """
    values: dict[str, object] = {
        "state": health.state,
        "topic": inputs.topic,
        "camera_info topic": inputs.info_topic,
        "received": now.received,
        "processed": now.processed,
        "dropped": sum(now.dropped.values()),
        "pending": now.pending,
        "rejected": now.rejected,
        **{f"dropped: {cause}": count for cause, count in sorted(now.dropped.items())},
        **{f"published: {what}": count for what, count in sorted(now.notes.items())},
        "time jumps": now.time_jumps,
        "last rejection": now.last_rejection,
        "received Hz": f"{now.received_hz:.3g}",
        "processed Hz": f"{now.processed_hz:.3g}",
        "silent s": f"{now.silent_s:.2f}",
        **{f"{stage} ms p50/p95/p99": text for stage in STAGES if (text := _stage(now, stage))},
        **_attention(now),
        **({} if now.blur is None else {"blur": str(now.blur)}),
    }
    return _status(name, health, values)


def _attention(report: Report) -> dict[str, object]:
    """What of the distant band was looked at in the last frame, with a budget."""
    attended = report.attended
    if attended is None:
        return {}
    return {
        "regions": f"{len(attended.tiles)}: {', '.join(attended.why)}",
        "coverage": f"{attended.coverage:.2f} within {attended.revisit_s:g} s",
        "oldest tile s": f"{attended.oldest_s:.2f}",
    }


def _stage(report: Report, stage: str) -> str:
    percentiles = report.percentiles(stage)
    return "" if math.isnan(percentiles[0]) else " ".join(f"{ms:.1f}" for ms in percentiles)


def engine_status(
    name: str, health: Health, state: EngineState, process: Mapping[str, str]
) -> DiagnosticStatus:
    """The engine's state, and what the process takes."""
    values: dict[str, object] = {
        "state": health.state,
        "lifecycle": state.lifecycle,
        "bundle": state.bundle,
        "engine": state.engine,
        "busy s": f"{state.busy_s:.2f}",
        "timeout s": f"{state.limit_s:.1f}",
        "batch limit": "none" if state.batch_limit is None else state.batch_limit,
        "building": state.building,
        **process,
    }
    return _status(name, health, values)


def _status(name: str, health: Health, values: Mapping[str, object]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=_LEVELS[health.level],
        name=name,
        message=health.message,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def to_array(statuses: list[DiagnosticStatus], stamp: Time) -> DiagnosticArray:
    """A report of the given time."""
    array = DiagnosticArray(status=statuses)
    array.header.stamp = stamp
    return array
