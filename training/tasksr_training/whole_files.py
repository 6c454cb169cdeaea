"""Files that are the old one or the new one, never half of it, also when the machine stops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which takes the place of ``path`` when the block ends without error.

    Only one process may write a path at a time: they would share ``path`` with ``.part``.
    """
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def replace_text(path: Path, text: str) -> None:
    """Write a text, UTF-8, in the place of ``path``; see `replacing`."""
    with replacing(path) as file:
        file.write(text.encode())
