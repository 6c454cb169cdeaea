"""The journal of a replay: a line per frame, written as soon as the frame is done.

A replay that was killed at any point goes on after the journal's last whole line. A finished
journal is kept: other ground truth or further outputs need no second run.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.replay.outcome import Outcome, from_json, to_json

_FORMAT = 1


class Journal:
    """The lines of one replay; to be used in a ``with`` statement.

    Args:
        path: of the file; created if needed.
        key: what the outcomes depend on, by name; JSON values.
        restart: whether to begin anew whatever the file holds.

    Raises:
        ConfigError: if the file holds a replay with another key; what differs is named.
        RecordingError: if the file cannot be written, or another process writes it.

    Attributes:
        outcomes: of the frames that are done, in order.
        summary: what `finish` was given, None while the replay is not finished.
    """

    def __init__(self, path: Path, key: Mapping[str, Any], *, restart: bool = False) -> None:
        self.path = path
        self.outcomes: list[Outcome] = []
        self.summary: dict[str, Any] | None = None
        self._header = {"format": _FORMAT, "key": dict(key)}
        self._file = _open_locked(path)
        try:
            if restart or not self._read():
                self.clear()
        except BaseException:
            self._file.close()
            raise

    def clear(self) -> None:
        """Forget all outcomes."""
        self.outcomes, self.summary = [], None
        self._file.truncate(0)
        self._append(self._header)

    def _read(self) -> bool:
        """Read whole lines and cut off what follows them; false where there is no header."""
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file.readlines()):
            value = _parsed(line)
            if value is None:
                break
            if number == 0:
                self._check(value, json.loads(json.dumps(self._header)))
            elif not self._take(value):
                break
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(whole)
        return whole > 0

    def _check(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        if found == wanted:
            return
        old, new = found.get("key"), wanted["key"]
        if found.get("format") != _FORMAT or not isinstance(old, dict):
            raise ConfigError(f"{self.path} is no journal of this version; remove it")
        names = sorted({*old, *new})
        changed = [
            f"{n} {old.get(n)!r} -> {new.get(n)!r}" for n in names if old.get(n) != new.get(n)
        ]
        raise ConfigError(
            f"{self.path} holds another replay ({'; '.join(changed)}): choose another "
            f"--predictions, or discard it with --restart"
        )

    def _take(self, value: dict[str, Any]) -> bool:
        if "finished" in value:
            self.summary = value["finished"]
            return True
        try:
            self.outcomes.append(from_json(value))
        except (KeyError, TypeError, ValueError):
            return False
        return True

    def append(self, outcome: Outcome) -> None:
        """Add the outcome of the next frame."""
        line = to_json(outcome)
        self._append(line)
        self.outcomes.append(from_json(line))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """State that there are no more frames."""
        self._append({"finished": dict(summary)})
        self.summary = dict(summary)

    def _append(self, value: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(value).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _open_locked(path: Path) -> BinaryIO:
    try:
        file = path.open("a+b")
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise RecordingError(f"{path} is in use: another tasksr replay writes it") from None
    return file


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object of a whole line, else None."""
    if not line.endswith(b"\n"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
