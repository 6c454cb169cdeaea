"""Where the files beside the code lie: models, launch files, settings, message definitions."""

from __future__ import annotations

from pathlib import Path


def share_folders() -> list[Path]:
    """The checkout, and share/tasksr_ros of the prefixes that the package may be installed in."""
    parents = Path(__file__).resolve().parents
    return [parents[1], *(parent / "share" / "tasksr_ros" for parent in parents)]
