"""A home folder for caches and logs where the environment names none, as of services."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)


def ensure_home() -> None:
    """Set HOME where it is unset or empty.

    It becomes the user's own folder, else one for temporary files that is this user's alone, and
    a line says so. ROS 2 does not start without it, and caches would lie in the folder "~".
    """
    if os.environ.get("HOME"):
        return
    home = _own() or _temporary()
    logger.warning("HOME is not set: caches and logs go to %s", home)
    os.environ["HOME"] = str(home)


def _own() -> Path | None:
    """The user's folder by the system's list of users, if it can be written to."""
    with contextlib.suppress(KeyError):
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        if home.is_dir() and os.access(home, os.W_OK | os.X_OK):
            return home
    return None


def _temporary() -> Path:
    folder = Path(tempfile.gettempdir()) / f"tasksr_ros-{os.geteuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if folder.is_dir() and not folder.is_symlink() and status.st_uid == os.geteuid():
            folder.chmod(0o700)
            return folder
    return Path(tempfile.mkdtemp(prefix="tasksr_ros-"))
