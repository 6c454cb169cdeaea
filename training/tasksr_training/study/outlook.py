"""What a study would train, and how long that takes: the text of ``--plan``."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasksr_training.checkpoints import LAST, load_checkpoint
from tasksr_training.study.plan import Run, is_finished


@dataclass(frozen=True)
class Outlook:
    """What is left to train.

    Attributes:
        minutes: budgets of all runs by minutes.
        left: of those, minutes that no run has spent yet.
        hours: in which the rest is over, with so many runs at once.
    """

    minutes: float
    left: float
    hours: float


def outlook(runs: Sequence[Run], parallel: int, left: Mapping[str, float]) -> Outlook:
    """Add up budgets and follow the order in which `execute` would train.

    Args:
        runs: all runs.
        parallel: how many at once.
        left: minutes left of each run by its name.
    """
    ends: dict[str, float] = {r.name: 0.0 for r in runs if not left[r.name]}
    active: list[tuple[float, int]] = []
    now, started = 0.0, set(ends)
    while len(ends) < len(runs):
        for index, run in enumerate(runs):
            ready = all(ends.get(n, now + 1) <= now for n in run.needs)
            if run.name not in started and ready and len(active) < parallel:
                heapq.heappush(active, (now + left[run.name], index))
                started.add(run.name)
        now, index = heapq.heappop(active)
        ends[runs[index].name] = now
    minutes = sum(r.loop.max_minutes for r in runs if r.loop is not None)
    return Outlook(minutes, sum(left.values()), max(ends.values(), default=0.0) / 60)


def describe(runs: Sequence[Run], parallel: int) -> str:
    """The runs, their budgets and the total, as text."""
    left = {run.name: _left(run) for run in runs}
    total = outlook(runs, parallel, left)
    lines = [
        f"run {k} of {len(runs)}: {run.name}: {_budget(run)}, {_state(run)}"
        + (f", after {', '.join(run.needs)}" if run.needs else "")
        for k, run in enumerate(runs, 1)
    ]
    steps = sum(run.loop.max_steps for run in runs if run.loop is not None)
    if steps:
        lines.append(f"budgets by steps: {steps:,} steps, whose time depends on the machine")
    if total.minutes:
        lines.append(
            f"budgets by minutes: {total.minutes:g} min, {total.left:.0f} of them left: "
            f"{total.hours:.1f} h with {parallel} at once; the start and the last validation of "
            "each run, and measuring the rows, come on top"
        )
    return "\n".join(lines)


def _left(run: Run) -> float:
    if run.loop is None or is_finished(run):
        return 0.0
    return max(0.0, run.loop.max_minutes - _checkpoint(run)[1] / 60)


def _budget(run: Run) -> str:
    if run.loop is None:
        return f"trained elsewhere ({run.folder})"
    budgets = {"min": run.loop.max_minutes, "steps": run.loop.max_steps}
    return f"{run.command}, " + " or ".join(f"{v:g} {unit}" for unit, v in budgets.items() if v)


def _state(run: Run) -> str:
    if is_finished(run):
        return "finished"
    step, seconds = _checkpoint(run)
    return f"at step {step}, {seconds / 60:.1f} min" if step else "not started"


def _checkpoint(run: Run) -> tuple[int, float]:
    if not (run.folder / LAST).is_file():
        return 0, 0.0
    content = load_checkpoint(run.folder)
    return content["step"], content["seconds"]
