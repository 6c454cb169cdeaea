"""Errors of the training package that a user can mend."""

from __future__ import annotations

from json import JSONDecodeError

from tasksr_ros.errors import TaskSRError


class TrainingDataError(TaskSRError):
    """An annotation file or image of a training set is wrong."""


class TrainingError(TaskSRError):
    """Training cannot go on as configured."""


class CheckpointError(TaskSRError):
    """A checkpoint is missing or is not what the command needs."""


def plain(error: Exception) -> str:
    """What went wrong while a file was read, in words that follow "got"."""
    if isinstance(error, JSONDecodeError):
        return f"no JSON ({error})"
    if isinstance(error, KeyError):
        return f"no {error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ValueError):
        return str(error)
    return f"something else ({error})"
