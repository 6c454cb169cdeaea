"""Train the runs of a study, each in a process of its own, several at once if they may."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from tasksr_training.errors import TrainingError
from tasksr_training.loop import spent
from tasksr_training.study.plan import (
    MADE_OF,
    Run,
    check_image_sets,
    check_unchanged,
    is_finished,
    made_of,
)

POLL_S = 1.0
LOCK_WAIT_S = 15.0
OUTPUT = "output.log"
OPTIONS = "options.yaml"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[int]:
    """Keep other studies out of a folder, until the last run started by this one has ended.

    Yields:
        The lock's file descriptor, which every run must inherit.

    Raises:
        TrainingError: when another study holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "study.lock", os.O_CREAT | os.O_RDWR)
    until = time.monotonic() + LOCK_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TrainingError(
                        f"{folder}: expected no other study at work here, there is one"
                    ) from None
                time.sleep(0.2)
        yield lock
    finally:
        os.close(lock)


def execute(runs: Sequence[Run], data: Path, parallel: int, lock: int) -> None:
    """Train whatever is not finished, in order; a run waits for those it starts from.

    Args:
        runs: all runs, each after those it needs.
        data: folder of image sets.
        parallel: how many runs are trained at once.
        lock: see `alone`.

    Raises:
        CheckpointError: for a run that was started with other options, before any is trained.
        TrainingDataError: for an image set that is not there, likewise.
        TrainingError: when one fails; the others are ended, they go on when the study does.
    """
    by_name = {run.name: run for run in runs}
    finished = {run.name for run in runs if is_finished(run)}
    for run in runs:
        check_unchanged(run, by_name)
    check_image_sets((run for run in runs if run.name not in finished), data)
    active: list[_Child] = []
    try:
        while len(finished) < len(runs):
            waiting = [r for r in runs if r.name not in finished | {c.run.name for c in active}]
            for run in waiting:
                if len(active) < parallel and finished.issuperset(run.needs):
                    place = next(k for k in range(parallel) if k not in [c.place for c in active])
                    number = f"run {runs.index(run) + 1} of {len(runs)}"
                    active.append(_Child(run, by_name, data, parallel, lock, place, number))
            time.sleep(POLL_S)
            for child in [c for c in active if c.ended()]:
                active.remove(child)
                child.check()
                finished.add(child.run.name)
    finally:
        for child in active:
            child.stop()


class _Child:
    """A run that is being trained, and its bar."""

    def __init__(
        self,
        run: Run,
        by_name: Mapping[str, Run],
        data: Path,
        parallel: int,
        lock: int,
        place: int,
        number: str,
    ) -> None:
        self.run, self.place, self._number = run, place, number
        run.folder.mkdir(parents=True, exist_ok=True)
        _write(run.folder / MADE_OF, json.dumps(made_of(run, by_name), indent=1))
        _write(run.folder / OPTIONS, yaml.safe_dump(run.options, sort_keys=False))
        command = [sys.executable, "-m", "tasksr_training.study.child", run.command]
        command += ["--config", str(run.folder / OPTIONS)]
        command += ["--data", str(data), "--out", str(run.folder)]
        threads = max(1, len(os.sched_getaffinity(0)) // parallel)
        self._output = (run.folder / OUTPUT).open("a")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # see `child`
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={"OMP_NUM_THREADS": str(threads), **os.environ},
            pass_fds=(lock,),
        )
        self._bar = tqdm(
            total=100,
            desc=f"{number}: {run.name}",
            position=place,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {elapsed} {postfix}",
            mininterval=1 if sys.stderr.isatty() else 60,
        )

    def ended(self) -> bool:
        """Whether the process has ended; brings the bar up to date."""
        done = self._process.poll() is not None
        last = last_line(self.run.folder / "log.jsonl")
        if last and self.run.loop is not None:
            share = min(1.0, spent(last["step"], last["seconds"], self.run.loop))
            self._bar.set_postfix_str(f"step {last['step']}", refresh=False)
            self._bar.update(100 * share - self._bar.n)
        return done

    def check(self) -> None:
        """Close the bar.

        Raises:
            TrainingError: when the process failed.
        """
        self._close()
        status = self._process.returncode
        if status == 0 and is_finished(self.run):
            tqdm.write(f"{self._number}: {self.run.name} is trained")
            return
        output = self.run.folder / OUTPUT
        lines = output.read_text(errors="replace").strip().splitlines()
        raise TrainingError(
            f"run {self.run.name} ended with exit status {status}: "
            f"{lines[-1] if lines else 'no output'} (all of it: {output})"
        )

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._bar.close()
        self._output.close()
        if self._process.stdin:
            self._process.stdin.close()


def _write(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the old one or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def last_line(path: Path) -> dict[str, Any]:
    """The last whole line of a log of JSON lines; empty where there is none."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = file.read().split(b"\n")[:-1]
    return json.loads(lines[-1]) if lines else {}
