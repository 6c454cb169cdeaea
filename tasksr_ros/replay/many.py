"""Many recordings: each replayed in a process of its own, here or on a Dask cluster."""

from __future__ import annotations

import importlib
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.io.bag_files import is_bag
from tasksr_ros.threads import usable_cores

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".ogv"),
    *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
)
_CONNECT_S = 30
_PIPE = subprocess.PIPE
_TOLD = 300


def recordings_below(folder: Path) -> list[Path]:
    """Bags, videos and KITTI drives below a folder, sorted; none within another.

    A folder that is itself a recording has none.
    """
    if not folder.is_dir() or is_recording(folder):
        return []
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        found += [path] if is_recording(path) else recordings_below(path)
    return found


def is_recording(path: Path) -> bool:
    """Whether this is a bag, a video or a KITTI drive."""
    if path.is_dir():
        return is_bag(path) or (path / "image_02" / "data").is_dir()
    return path.suffix.lower() in VIDEO_SUFFIXES or is_bag(path)


@dataclass(frozen=True)
class Part:
    """One of many recordings.

    Attributes:
        recording: its path.
        predictions: its own predictions file.
        arguments: of ``tasksr replay`` for it.
    """

    recording: Path
    predictions: Path
    arguments: tuple[str, ...]


def run_parts(parts: Sequence[Part], workers: int, scheduler: str | None) -> dict[Path, str]:
    """Replay all parts; one that fails does not keep the others.

    Args:
        parts: the recordings; a part that is finished takes no time.
        workers: how many run at the same time on this machine.
        scheduler: address of a Dask scheduler instead. Its workers need this package and must
            see the recordings and the predictions' folder under the same paths.

    Returns:
        why, by recording, for those that failed.
    """
    failed: dict[Path, str] = {}
    with ExitStack() as stack:
        executor = _executor(workers, scheduler, stack)
        here = None if scheduler else stack.enter_context(_Processes())
        futures = {executor.submit(run_part, part.arguments, here): part for part in parts}
        stack.callback(_cancel, futures)
        bar = stack.enter_context(tqdm(total=len(parts), unit="recording"))
        for future in as_completed(futures):
            part = futures[future]
            try:
                problem = future.result()
            except Exception as error:  # of a worker that died, whatever its cause
                problem = f"{type(error).__name__}: {error}"
            if problem:
                failed[part.recording] = problem
                logger.error("%s failed: %s", part.recording, problem)
            bar.update()
    return dict(sorted(failed.items()))


def run_part(arguments: Sequence[str], among: _Processes | None = None) -> str:
    """Run ``tasksr replay`` in a process of its own; returns why it failed, "" where it did not."""
    command = [sys.executable, "-m", "tasksr_ros.cli", "replay", *arguments]
    status, errors = (among or _Processes()).run(command)
    if status == 0:
        return ""
    lines = [line for line in errors.splitlines() if line.strip()]
    return (lines[-1] if lines else f"status {status}")[-_TOLD:]


class _Processes:
    """Processes that are asked to end when an exception ends the ``with`` statement."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._ended = False
        self._lock = threading.Lock()

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Status and stderr of a command."""
        with self._lock:
            if self._ended:
                return signal.SIGTERM, ""
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=_PIPE, stderr=_PIPE, text=True
            )
            self._running.add(process)
        _, errors = process.communicate()
        with self._lock:
            self._running.discard(process)
        return process.returncode, errors

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._lock:
            self._ended = True
            for process in self._running if kind is not None else ():
                process.terminate()


def _executor(workers: int, scheduler: str | None, stack: ExitStack) -> Executor:
    if scheduler is None:
        return stack.enter_context(ThreadPoolExecutor(workers))  # each waits for a process
    try:
        distributed: Any = importlib.import_module("distributed")  # optional, without types
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--scheduler needs the Python package {error.name!r}: pip install distributed"
        ) from None
    try:
        client = stack.enter_context(distributed.Client(scheduler, timeout=_CONNECT_S))
    except (OSError, ValueError) as error:
        raise RecordingError(f"Dask scheduler {scheduler} cannot be reached: {error}") from None
    executor: Executor = stack.enter_context(client.get_executor(pure=False, retries=1))
    return executor


def _cancel(futures: Iterable[object]) -> None:
    for future in futures:
        future.cancel()  # type: ignore[attr-defined]


def threads_each(workers: int) -> int:
    """CPU threads for the engine of each of several workers on this machine."""
    return max(1, usable_cores() // workers)
