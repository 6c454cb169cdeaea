"""What a study would train, and how long that takes: the text of ``--plan``."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasksr_training.checkpoints import LAST, load_checkpoint
from tasksr_training.loop import spent
from tasksr_training.studies.plan import Run

ON_TOP = "the last validation of each run, and measuring the rows, come on top"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: steps done.
        minutes: of training.
        finished: whether its budget is spent.
    """

    step: int
    minutes: float
    finished: bool


def hours_left(runs: Sequence[Run], parallel: int, left: Mapping[str, float]) -> float:
    """Hours until all runs are over, in the order in which `execute` trains.

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
    return max(ends.values(), default=0.0) / 60


def describe(runs: Sequence[Run], parallel: int) -> str:
    """The runs, their budgets, and how long what is left takes, as text."""
    progress = {run.name: _progress(run) for run in runs}
    lines = [
        f"run {k} of {len(runs)}: {run.name}: {_budget(run)}, {_state(progress[run.name])}"
        + (f", after {', '.join(run.needs)}" if run.needs else "")
        for k, run in enumerate(runs, 1)
    ]
    finished = sum(p.finished for p in progress.values())
    minutes = sum(p.minutes for p in progress.values())
    total = f"{finished} of {len(runs)} runs finished, trained for {minutes / 60:.1f} h in sum"
    paces = _paces(runs, progress)
    left = {run.name: _minutes_left(run, progress[run.name], paces) for run in runs}
    known = {name: value or 0.0 for name, value in left.items()}
    rest = f"the rest takes about {hours_left(runs, parallel, known):.1f} h with {parallel} at once"
    if unknown := sorted({run.command for run in runs if left[run.name] is None}):
        rest += f", without {', '.join(unknown)}, of which no run shows the pace yet"
    return "\n".join([*lines, f"{total}; {rest}; {ON_TOP}"])


def _paces(runs: Sequence[Run], progress: Mapping[str, Progress]) -> dict[str, float]:
    """Minutes per step of each stage, over its runs until now."""
    paces = {}
    for command in {run.command for run in runs}:
        begun = [progress[run.name] for run in runs if run.command == command]
        if steps := sum(p.step for p in begun):
            paces[command] = sum(p.minutes for p in begun) / steps
    return paces


def _minutes_left(run: Run, progress: Progress, paces: Mapping[str, float]) -> float | None:
    """Until the run's budget is spent; None when its pace is not known."""
    if run.loop is None or progress.finished:
        return 0.0
    left = []
    if run.loop.max_minutes:
        left.append(run.loop.max_minutes - progress.minutes)
    pace = progress.minutes / progress.step if progress.step else paces.get(run.command)
    if run.loop.max_steps and pace is not None:
        left.append((run.loop.max_steps - progress.step) * pace)
    return min(left, default=None)


def _budget(run: Run) -> str:
    if run.loop is None:
        return f"trained elsewhere ({run.folder})"
    budgets = {"min": run.loop.max_minutes, "steps": run.loop.max_steps}
    return f"{run.command}, " + " or ".join(f"{v:g} {unit}" for unit, v in budgets.items() if v)


def _state(progress: Progress) -> str:
    if progress.finished:
        return "finished"
    return (
        f"at step {progress.step}, {progress.minutes:.1f} min" if progress.step else "not started"
    )


def _progress(run: Run) -> Progress:
    if run.loop is None or not (run.folder / LAST).is_file():
        return Progress(0, 0.0, run.loop is None)
    content = load_checkpoint(run.folder)
    step, seconds = content["step"], content["seconds"]
    return Progress(step, seconds / 60, spent(step, seconds, run.loop) >= 1)
