"""Where decoded images are kept: in memory as long as they are few, else on disk."""

from __future__ import annotations

import os
import tempfile

import numpy as np
from numpy.typing import NDArray

from tasksr_training.errors import TrainingDataError

IN_MEMORY = 4 << 30
"""Bytes of a process's images that stay in memory."""
FILE = 1 << 30
"""Bytes of a file."""


class ImageStore:
    """Keeps decoded images, and gives them back as arrays.

    What goes beyond the memory lies in mapped files, of which the system holds in memory what is
    used and what there is room for. They have no names, and are gone when the process has ended,
    however it ends.

    Args:
        in_memory: bytes that stay in memory.
        file: bytes of each file.
    """

    def __init__(self, in_memory: int = IN_MEMORY, file: int = FILE) -> None:
        self._room = in_memory
        self._file_size = file
        self._free: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def keep(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Keep an image; the array to use in its place, of the same values.

        Raises:
            TrainingDataError: when there is no room on the disk.
        """
        if image.nbytes <= self._room:
            self._room -= image.nbytes
            return image
        if image.nbytes > len(self._free):
            self._free = _mapped(max(self._file_size, image.nbytes))
        kept = self._free[: image.nbytes].reshape(image.shape)
        self._free = self._free[image.nbytes :]
        kept[:] = image
        return kept


def _mapped(size: int) -> NDArray[np.uint8]:
    """Bytes of a file without a name, all of them allocated: a write cannot fail later."""
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return np.asarray(np.memmap(file, np.uint8, "r+", shape=(size,)))
    except OSError as error:
        raise TrainingDataError(
            f"{tempfile.gettempdir()}: expected room for {size >> 20} MiB more of decoded images "
            f"(TMPDIR names another folder), got {error}"
        ) from error
