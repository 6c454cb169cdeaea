"""Compiled engines on disk: kept whole or not at all, and read only where they fit.

A saved engine is a program: whoever can write one can choose what the node reports. So one is
read only from a folder that nobody but this user may write to (see `cache`), and only if its
files are those that its manifest names. The hashes find what was damaged or exchanged by mistake;
against others, the folder's permissions protect.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from tasksr_ros.engines.cache import is_trusted, remove
from tasksr_ros.engines.manifest import EngineFile, Manifest, Origin, read_manifest
from tasksr_ros.errors import EngineError

logger = logging.getLogger(__name__)

SET_ASIDE = ".set-aside"


class UnfitEngineError(EngineError):
    """There is no engine on disk that may be used here; the message says why."""


def read_engine(folder: Path, origin: Origin) -> tuple[Manifest, dict[int, bytes]]:
    """The engine in a folder, if it is whole and of this origin.

    Returns:
        Its manifest, and its files by batch size, read once: what was checked is what is used.

    Raises:
        UnfitEngineError: if it is missing, not only this user's, damaged, or of another origin.
    """
    if not folder.is_dir():
        raise UnfitEngineError(f"{folder}: no engine there")
    if not is_trusted(folder):
        raise UnfitEngineError(f"{folder}: others than this user may have written it")
    try:
        manifest = read_manifest(folder)
    except (OSError, ValueError) as error:
        raise UnfitEngineError(f"{folder}: unreadable manifest: {error}") from None
    differences = origin.differences(manifest.origin)
    if differences:
        raise UnfitEngineError(
            f"{folder}: made for another case: expected {'; '.join(differences)}"
        )
    if not manifest.files or manifest.files[0].batch != 1:
        raise UnfitEngineError(f"{folder}: expected an engine for batches of 1, got none")
    return manifest, {file.batch: _read(folder, file) for file in manifest.files}


def _read(folder: Path, file: EngineFile) -> bytes:
    path = folder / Path(file.name).name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnfitEngineError(f"{path}: not readable: {error}") from None
    if len(data) != file.num_bytes:
        raise UnfitEngineError(f"{path}: expected {file.num_bytes} bytes, got {len(data)}")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise UnfitEngineError(f"{path}: its hash is not the manifest's")
    return data


def set_aside(folder: Path) -> Path | None:
    """Move what lies at ``folder`` out of the way, in place of what was set aside before.

    Returns:
        Where it lies now; None if there was nothing, or it could not be moved.
    """
    if not (folder.exists() or folder.is_symlink()):
        return None
    aside = folder.with_name(folder.name + SET_ASIDE)
    try:
        remove(aside)
        os.replace(folder, aside)
    except OSError as error:
        logger.warning("%s: cannot be set aside: %s", folder, error)
        return None
    return aside


def file_of(path: Path, batch: int) -> EngineFile:
    """What the manifest says of a file, as it lies on disk."""
    data = path.read_bytes()
    return EngineFile(
        name=path.name, batch=batch, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
    )
