"""The files of a bundle, checked by size and hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tasksr_ros.errors import BundleError

DESCRIPTION, CARD = "model.yaml", "README.md"

MAX_FILE_BYTES = 2**31


def check_file(path: Path) -> None:
    """Raise BundleError unless a bundle's file is there and of a size that may be read."""
    if not path.is_file():
        raise BundleError(f"{path}: missing")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise BundleError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {size}")


def check_hash(path: Path, expected: str, digest: str) -> None:
    """Raise BundleError unless a bundle's file is the described one."""
    if digest != expected:
        raise BundleError(
            f"{path}: wrong hash: expected sha256 {expected[:12]}…, got {digest[:12]}…"
        )


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
