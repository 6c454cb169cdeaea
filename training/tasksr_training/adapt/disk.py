"""What cannot be written, as one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasksr_training.errors import TrainingError


@contextmanager
def full_disk(out: Path) -> Iterator[None]:
    """One clear error of what cannot be written; half a file takes no whole one's place."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise TrainingError(
            f"{out}: cannot be written or read: {cause.strerror or cause}; make room and give the "
            "same command again, it goes on"
        ) from error
