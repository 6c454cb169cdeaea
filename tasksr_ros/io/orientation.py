"""Photos as they are shown: EXIF says how the camera was held."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UPRIGHT = 1
_TAG = 0x0112
_MARKS = (b"Exif\0\0", b"eXIf", b"EXIF")
"""Of EXIF data in JPEG, PNG and WebP files."""


def orientation(data: bytes) -> int:
    """How the pixels of a JPEG, PNG or WebP file lie, from 1 (upright) to 8, as EXIF counts.

    What EXIF does not say, or says in no readable form, is upright. (OpenCV turns TIFF files
    whatever it is asked for.)
    """
    if not any(mark in data for mark in _MARKS):
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            if "exif" not in image.info and image.format == "PNG":
                image.load()  # it may come after the pixels
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
            value = exif.get(_TAG, UPRIGHT)
    except Exception:  # broken EXIF makes the parser raise nearly anything
        return UPRIGHT
    return value if value in range(1, 9) else UPRIGHT


def turned(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The image as it is shown.

    Args:
        image: (H, W, C) pixels as they lie in the file.
        orientation: as `orientation` says.

    Returns:
        (H, W, C), or (W, H, C) from 5 on.
    """
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
