"""Where compiled models are kept, and which of them may be loaded.

A compiled model is as good as a program: whoever can write one can choose what the node reports.
So the folder is the user's alone, and what another user owns or may write is never loaded.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from tasksr_ros.config import EngineConfig

logger = logging.getLogger(__name__)

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PRIVATE = 0o700


def cache_folder(config: EngineConfig) -> Path:
    """The configured folder, or ``tasksr_ros`` under the user's cache directory."""
    if config.cache_dir:
        return Path(config.cache_dir).expanduser()
    return user_cache_path("tasksr_ros", appauthor=False)


def make_private(folder: Path) -> None:
    """Make a folder that only this user may write; take others' right to write from an old one.

    Raises:
        OSError: if it cannot be made, or belongs to another user.
    """
    folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user (uid {status.st_uid})")
    if status.st_mode & _OTHERS_WRITE:
        logger.warning("%s: others could write there; now only its owner can", folder)
        folder.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS_WRITE)


def is_trusted(folder: Path) -> bool:
    """Whether a cached model may be loaded; if not, the reason is logged.

    True if the folder, the one it lies in and all that is in it belong to this user, nobody else
    may write to any of them, and none is a link.
    """
    for path in _all_of(folder):
        reason = _reason_not_to(path)
        if reason:
            logger.warning("%s: not loaded: %s %s", folder, path, reason)
            return False
    return True


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A new folder to write into that takes ``folder``'s place once all is written.

    A reader sees all of the old, all of the new or nothing. Nothing is left where writing fails.

    Raises:
        OSError: if it cannot be written, or is not this user's.
    """
    make_private(folder.parent)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        yield partial
        remove(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a folder, file or link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def networks_sha256() -> str:
    """Hex digest of the code that defines the networks: a compiled model is as old as this."""
    code = hashlib.sha256()
    for file in sorted((Path(__file__).parents[1] / "networks").glob("*.py")):
        code.update(file.read_bytes())
    return code.hexdigest()


def _all_of(folder: Path) -> Iterator[Path]:
    yield folder.parent
    yield folder
    yield from sorted(folder.rglob("*"))


def _reason_not_to(path: Path) -> str:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    if status.st_uid != os.geteuid():
        return f"belongs to another user (uid {status.st_uid})"
    if status.st_mode & _OTHERS_WRITE:
        return f"may be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return ""
