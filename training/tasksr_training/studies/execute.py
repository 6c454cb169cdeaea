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

import torch
import yaml
from tqdm import tqdm

from tasksr_ros.threads import usable_cores
from tasksr_training.errors import TrainingError
from tasksr_training.loop import spent
from tasksr_training.run_log import LOG, last_line
from tasksr_training.studies.plan import Run, check_image_sets, is_finished
from tasksr_training.studies.provenance import MADE_OF, check_unchanged, made_of
from tasksr_training.whole_files import replace_text

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


def execute(runs: Sequence[Run], data: Path, parallel: int, lock: int) -> list[str]:
    """Train whatever is not finished, in order; a run waits for those it starts from.

    When a run fails, those that start from it are left out and all others are trained.

    Args:
        runs: all runs, each after those it needs.
        data: folder of image sets.
        parallel: how many runs are trained at once.
        lock: see `alone`.

    Returns:
        What failed and what was left out, a line each.

    Raises:
        CheckpointError: for a run that was started with other options, before any is trained.
        TrainingDataError: for an image set that is not there, likewise.
    """
    by_name = {run.name: run for run in runs}
    finished = {run.name for run in runs if is_finished(run)}
    for run in runs:
        check_unchanged(run, by_name)
    check_image_sets((run for run in runs if run.name not in finished), data)
    begun, failures, active = set(finished), [], list[_Child]()
    try:
        while True:
            for run in runs:
                ready = run.name not in begun and finished.issuperset(run.needs)
                if ready and len(active) < parallel:
                    place = next(k for k in range(parallel) if k not in [c.place for c in active])
                    number = f"run {runs.index(run) + 1} of {len(runs)}"
                    active.append(_Child(run, by_name, data, parallel, lock, place, number))
                    begun.add(run.name)
            if not active:
                break
            time.sleep(POLL_S)
            for child in [c for c in active if c.ended()]:
                active.remove(child)
                if failure := child.failure():
                    tqdm.write(failure, sys.stderr)
                    failures.append(failure)
                else:
                    finished.add(child.run.name)
    finally:
        for child in active:
            child.stop()
    if left_out := [run.name for run in runs if run.name not in begun]:
        failures.append(f"not trained, as they start from such a run: {', '.join(left_out)}")
    return failures


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
        replace_text(run.folder / MADE_OF, json.dumps(made_of(run, by_name), indent=1))
        replace_text(run.folder / OPTIONS, yaml.safe_dump(run.options, sort_keys=False))
        command = [sys.executable, "-m", "tasksr_training.studies.child", run.command]
        command += ["--config", str(run.folder / OPTIONS)]
        command += ["--data", str(data), "--out", str(run.folder)]
        threads = max(1, usable_cores() // parallel)
        self._output = (run.folder / OUTPUT).open("a")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # see `child`
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={"OMP_NUM_THREADS": str(threads), **os.environ, **_gpu_of(run, place)},
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
        last = last_line(self.run.folder / LOG)
        if last and self.run.loop is not None:
            share = min(1.0, spent(last["step"], last["seconds"], self.run.loop))
            self._bar.set_postfix_str(f"step {last['step']}", refresh=False)
            self._bar.update(100 * share - self._bar.n)
        return done

    def failure(self) -> str:
        """Close the bar; what the process ended with, empty when the run is trained."""
        self._close()
        status = self._process.returncode
        if status == 0 and is_finished(self.run):
            tqdm.write(f"{self._number}: {self.run.name} is trained")
            return ""
        output = self.run.folder / OUTPUT
        lines = output.read_text(errors="replace").strip().splitlines()
        return (
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


def _gpu_of(run: Run, place: int) -> dict[str, str]:
    """The environment that gives runs at once a GPU each, in turn; a run on several sees all."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = given.split(",") if given else [str(k) for k in range(torch.cuda.device_count())]
    if len(gpus) < 2 or run.loop is None or run.loop.devices != 1:
        return {}
    return {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]}
