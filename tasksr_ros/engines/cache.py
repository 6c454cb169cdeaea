"""Where compiled models are kept, and which of them may be loaded.

A compiled model is as good as a program: whoever can write one can choose what the node reports.
So the folder is the user's alone, and what another user owns or may write is never loaded.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from tasksr_ros.bundle import Bundle, OwnDetector
from tasksr_ros.config import EngineConfig
from tasksr_ros.home import ensure_home
from tasksr_ros.networks import code_of

logger = logging.getLogger(__name__)

_PACKAGE = "tasksr_ros.networks."
_NETWORKS = Path(__file__).parents[1] / "networks"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PRIVATE = 0o700
_PARTIAL = ".partial-"
_LEFT_S = 86_400
"""Longer than the longest conversion takes."""


def cache_folder(config: EngineConfig) -> Path:
    """The configured folder, or ``tasksr_ros`` under the user's cache directory."""
    ensure_home()
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
    _remove_left(folder.parent)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder.parent))
    try:
        yield partial
        remove(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_left(parent: Path) -> None:
    """Remove what processes left that ended while they wrote."""
    for partial in parent.glob(f"{_PARTIAL}*"):
        with suppress(FileNotFoundError):  # another process is at it
            if time.time() - partial.lstat().st_mtime > _LEFT_S:
                remove(partial)


def remove(path: Path) -> None:
    """Remove a folder, file or link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def code_sha256(bundle: Bundle) -> str:
    """Hex digest of the code that makes a bundle's graph: a compiled model is as old as this.

    Of the files of its networks and what they import, and of what every graph goes through; what
    is not run (comments, docstrings, other networks) does not count.
    """
    detector = bundle.detector
    roots = {"tdsr", "super_resolution.parts"}
    if bundle.sr is not None:
        roots.add(code_of(bundle.sr.network))
    if isinstance(detector, OwnDetector):
        roots.add(code_of(detector.network))
    else:
        roots |= {"foreign", f"detectors.decoders.{detector.decoder}"}
    files = {*_with_imports(roots), _NETWORKS / "super_resolution" / "lr_space.py"}
    code = hashlib.sha256()
    for file in sorted(files):
        code.update(_meaning(file).encode())
    return code.hexdigest()


def _with_imports(modules: set[str]) -> set[Path]:
    """The files of modules below ``tasksr_ros.networks`` and of all that they import of these."""
    found: set[Path] = set()
    todo = [_NETWORKS.joinpath(*module.split(".")).with_suffix(".py") for module in modules]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(_PACKAGE):
                place = _NETWORKS.joinpath(*str(node.module)[len(_PACKAGE) :].split("."))
                named = [place, *(place / alias.name for alias in node.names)]
                todo += [path for p in named if (path := p.with_suffix(".py")).is_file()]
    return found


def _meaning(file: Path) -> str:
    """What a file's code says, without comments and docstrings."""
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [line for line in body if not _is_text(line)]
    return ast.dump(tree)


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


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
