"""Errors of the training package that a user can mend."""

from __future__ import annotations

from tasksr_ros.errors import TaskSRError


class TrainingDataError(TaskSRError):
    """An annotation file or image of a training set is wrong."""


class TrainingError(TaskSRError):
    """Training cannot go on as configured."""


class CheckpointError(TaskSRError):
    """A checkpoint is missing or is not what the command needs."""
