"""From accounts to OK, WARN and ERROR, without ROS."""

from __future__ import annotations

import os
import resource
import sys
import threading
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tasksr_ros.config import DiagnosticsConfig
from tasksr_ros.ros.live.accounts import Report
from tasksr_ros.ros.live.stamps import FUTURE, OUT_OF_ORDER, REPEATED, ZERO

LATE = 1.5
"""Of ``region.revisit``: what of the band waits longer is told."""


class Level(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Health:
    """How a part of the node is.

    Attributes:
        level: the worst of what is found.
        state: one word for it.
        message: one line for a person.
    """

    level: Level
    state: str
    message: str


@dataclass(frozen=True)
class InputState:
    """What is known of a camera's topics.

    Attributes:
        topic: of its images.
        info_topic: of its intrinsics.
        qos_error: why a publisher cannot be heard, or "".
        hint: why no image comes, as far as the graph tells, or "".
        idle: why its images are not subscribed to, or "".
        shared: who else is on its topics, or "".
    """

    topic: str
    info_topic: str = ""
    qos_error: str = ""
    hint: str = ""
    idle: str = ""
    shared: str = ""


@dataclass(frozen=True)
class EngineState:
    """What is known of the engine and the thread that runs it.

    Attributes:
        lifecycle: label of the node's state.
        bundle, engine: names; empty while unconfigured.
        busy_s: for how long the frames in work have been so, s.
        hangs: whether that is longer than it may be.
        limit_s: how long that is, s.
        slowness: why frames take longer than they should, or "".
        thread_ended: whether the inference thread has ended though the node is active.
        out_of_memory: whether the last engine call lacked memory.
        batch_limit: to which batches were cut down for want of memory.
        swap_error: why the last change of the bundle failed.
        building: the bundle that is being built beside, if any.
        parameter_error: why the node's parameters cannot be used.
    """

    lifecycle: str = "unconfigured"
    bundle: str = ""
    engine: str = ""
    busy_s: float = 0.0
    hangs: bool = False
    limit_s: float = 0.0
    slowness: str = ""
    thread_ended: bool = False
    out_of_memory: bool = False
    batch_limit: int | None = None
    swap_error: str = ""
    building: str = ""
    parameter_error: str = ""


def camera_health(
    now: Report, before: Report, config: DiagnosticsConfig, *, paused: bool, inputs: InputState
) -> Health:
    """How a camera is.

    Args:
        now: its account.
        before: its account at the report before.
        config: the thresholds.
        paused: whether simulated time stands still: silence is no error then.
        inputs: its topics.
    """
    if inputs.idle:
        return Health(Level.OK, "idle", f"no images are taken: {inputs.idle}")
    if not now.received or now.silent_s >= config.silent_warn:
        return _silence(now, config, paused, inputs)
    found = [
        _rejections(now, before, config),
        _age(now, config),
        _stamps(now, before),
        _coverage(now),
        Health(Level.WARN if inputs.shared else Level.OK, "ok", inputs.shared or "ok"),
    ]
    return max(found, key=lambda health: health.level)


def _silence(now: Report, config: DiagnosticsConfig, paused: bool, inputs: InputState) -> Health:
    level = Level.ERROR if now.silent_s >= config.silent_error and not paused else Level.WARN
    if inputs.qos_error:
        return Health(Level.ERROR, "waiting" if not now.received else "stale", inputs.qos_error)
    why = f": {inputs.hint}" if inputs.hint else ""
    if not now.received:
        text = f"no image on {inputs.topic} yet, for {now.silent_s:.1f} s{why}"
        return Health(level, "waiting", text)
    pause = "; simulated time stands still" if paused else ""
    text = f"no image on {inputs.topic} for {now.silent_s:.1f} s{pause}{why}"
    return Health(level, "stale", text)


def _rejections(now: Report, before: Report, config: DiagnosticsConfig) -> Health:
    rejected = now.rejected - before.rejected
    share = rejected / max(1, now.received - before.received, rejected)
    if share > config.rejected_error:
        return Health(Level.ERROR, "rejected", f"rejected: {now.last_rejection}")
    if share > config.rejected_warn:
        return Health(Level.WARN, "rejected", f"rejected: {now.last_rejection}")
    return Health(Level.OK, "ok", "ok")


def _age(now: Report, config: DiagnosticsConfig) -> Health:
    age_s = now.percentiles("delay")[1] / 1e3  # NaN, which compares as false, without frames
    text = f"95 % of the detections come within {age_s:.2f} s of their image, no sooner"
    if age_s >= config.age_error:
        return Health(Level.ERROR, "ok", text)
    if age_s >= config.age_warn:
        return Health(Level.WARN, "ok", text)
    return Health(Level.OK, "ok", "ok")


def _stamps(now: Report, before: Report) -> Health:
    for finding in (ZERO, FUTURE, OUT_OF_ORDER, REPEATED):
        dropped = now.dropped.get(finding, 0) - before.dropped.get(finding, 0)
        noted = now.notes.get(finding, 0) - before.notes.get(finding, 0)
        if dropped or noted:
            return Health(
                Level.WARN, "ok", f"{finding}: {dropped} frames dropped, {noted} published"
            )
    return Health(Level.OK, "ok", "ok")


def _coverage(now: Report) -> Health:
    attended = now.attended
    if attended is None or attended.oldest_s <= LATE * attended.revisit_s:
        return Health(Level.OK, "ok", "ok")
    text = (
        f"region.budget is too small for region.revisit of {attended.revisit_s:g} s: a part of the "
        f"band was not looked at for {attended.oldest_s:.1f} s"
    )
    return Health(Level.WARN, "ok", text)


def engine_health(state: EngineState) -> Health:
    """How the engine is."""
    if state.parameter_error:
        return Health(Level.ERROR, "parameters", state.parameter_error)
    if state.thread_ended:
        return Health(Level.ERROR, "ended", "the inference thread has ended: activate again")
    if state.hangs:
        return Health(
            Level.ERROR,
            "hangs",
            f"no answer for {state.busy_s:.1f} s, expected within {state.limit_s:.1f} s: of each "
            f"camera only the newest frame waits",
        )
    if state.out_of_memory:
        return Health(Level.ERROR, "out of memory", "frames are rejected: out of memory")
    if state.swap_error:
        return Health(Level.WARN, "ok", f"still {state.bundle}: {state.swap_error}")
    if state.batch_limit is not None:
        return Health(
            Level.WARN, "ok", f"batches cut down to {state.batch_limit} for want of memory"
        )
    if state.slowness:
        return Health(Level.WARN, "slow", state.slowness)
    return Health(Level.OK, "ok", state.lifecycle)


def memory_health(memory_mb: float, config: DiagnosticsConfig) -> Health:
    """Whether the process takes more memory than it should."""
    for level, limit in ((Level.ERROR, config.memory_error), (Level.WARN, config.memory_warn)):
        if 0 < limit <= memory_mb:
            return Health(level, "memory", f"the node takes {memory_mb:.0f} MB, {limit:g} or more")
    return Health(Level.OK, "ok", "ok")


def gpu_memory_health(config: DiagnosticsConfig) -> Health:
    """Whether the GPU that PyTorch uses has little memory left, whoever holds it."""
    memory = _gpu_memory()
    if memory is not None:
        in_use, total = memory
        limits = (Level.ERROR, config.gpu_memory_error), (Level.WARN, config.gpu_memory_warn)
        for level, limit in limits:
            if in_use / total > limit:
                text = f"{in_use / 1e6:.0f} of {total / 1e6:.0f} MB of the GPU are in use"
                return Health(level, "memory", text)
    return Health(Level.OK, "ok", "ok")


def _gpu_memory() -> tuple[int, int] | None:
    """Bytes in use and in all of PyTorch's GPU; None without one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    free, total = torch.cuda.mem_get_info()
    return total - free, total


def process_values() -> dict[str, str]:
    """Memory, threads and open files of this process; GPU memory where torch uses one."""
    values = {
        "memory MB": f"{resident_bytes() / 1e6:.1f}",
        "threads": str(threading.active_count()),
        "open files": str(open_files()),
    }
    memory = _gpu_memory()
    if memory is not None:
        in_use, total = memory
        values["GPU memory MB"] = f"{sys.modules['torch'].cuda.memory_reserved() / 1e6:.1f}"
        values["GPU memory in use MB"] = f"{in_use / 1e6:.1f} of {total / 1e6:.0f}"
    return values


def resident_bytes() -> int:
    """Memory of this process that is in RAM; where /proc is missing, the most it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """Open file descriptors of this process; -1 where /proc is missing."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return -1
