"""What a run's weights were made of, and whether that is still so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tasksr_ros.bundle import DESCRIPTION, load_any_bundle
from tasksr_training.checkpoints import LAST
from tasksr_training.errors import CheckpointError
from tasksr_training.options import differences
from tasksr_training.studies.plan import Run

MADE_OF = "study_run.json"
"""In a run's folder: the options and earlier runs that it was started with."""

ASIDE = ("threads", "workers", "log_every", "checkpoint_minutes", "validate_minutes")
"""Options of the loop that may change between two sessions of a run: what is learnt is the same."""


def made_of(run: Run, by_name: Mapping[str, Run]) -> dict[str, Any]:
    """What a run's weights depend on: command, options, and the state of the runs before it."""
    options = {
        **run.options,
        "loop": {k: v for k, v in run.options.get("loop", {}).items() if k not in ASIDE},
    }
    return {
        "command": run.command,
        "options": options,
        "runs": {name: state_of(by_name[name].folder) for name in run.needs},
    }


def state_of(folder: Path) -> str:
    """SHA-256 of a run's checkpoint or a bundle's files; empty where there is none yet."""
    state = b""
    if (folder / LAST).is_file():
        state = (folder / LAST).read_bytes()
    elif (folder / DESCRIPTION).is_file():
        state = json.dumps(load_any_bundle(folder).files, sort_keys=True).encode()
    return hashlib.sha256(state).hexdigest() if state else ""


def check_unchanged(run: Run, by_name: Mapping[str, Run]) -> None:
    """Refuse a run that was started with other options, or from other weights, than now.

    Raises:
        CheckpointError: in that case.
    """
    if run.loop is None or not (run.folder / LAST).is_file():
        return
    path = run.folder / MADE_OF
    if not path.is_file():
        raise CheckpointError(
            f"run {run.name}: {run.folder} was not trained by a study; "
            f"expected a new folder, or the run as `trained: {run.folder}`"
        )
    before, now = json.loads(path.read_text()), made_of(run, by_name)
    folders = [str(by_name[name].folder) for name in run.needs]
    changed = _difference(before, json.loads(json.dumps(now)), folders)
    if changed:
        raise CheckpointError(
            f"run {run.name}: {changed} since it was started; "
            f"remove {run.folder} to train it again, or give it another name"
        )


def _difference(before: Any, now: Any, folders: Collection[str]) -> str:
    """The first difference of two nested values in words; empty where there is none.

    The folders of earlier runs may have other names than before, their weights are compared.
    """
    for where, was, value in differences(before, now):
        if value in folders:
            continue
        name = where.removeprefix("options.")
        if name.startswith("runs."):
            return f"{name.removeprefix('runs.')}, which it starts from, has been trained anew"
        return f"{name} has changed from {was!r} to {value!r}"
    return ""
