"""Image files: their size from the header alone, and whether they are whole."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tasksr_ros.io import folders
from tasksr_training.errors import TrainingDataError

IMAGE_SUFFIXES = frozenset(folders.IMAGE_SUFFIXES)
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""EXIF tag of the orientation, and its values that exchange width and height."""
JPEG_END = b"\xff\xd9"


def image_size(path: Path) -> tuple[int, int]:
    """Width and height, px, of the image as it is shown (its EXIF orientation applied).

    Raises:
        TrainingDataError: when the file is missing, is no image, or is no still of grey or colour:
            ``tasksr detect`` refuses CMYK and several pages as well.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "CMYK":
                raise ValueError("its pixels must be grey or RGB, got CMYK")
            pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            if pages > 1:  # a phone's JPEG (MPO) may hold another view behind the first
                raise ValueError(f"it must be a still, got {pages} pages")
            turned = image.getexif().get(ORIENTATION) in TURNED
            return (image.height, image.width) if turned else (image.width, image.height)
    except FileNotFoundError:
        raise TrainingDataError(f"{path}: expected an image file, it is missing") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise TrainingDataError(f"{path}: expected an image, it is unreadable: {error}") from error


def check_whole(path: Path, decode: bool = False) -> None:
    """See that an image file is whole.

    Decoders fill up what a file that was cut off lacks, with grey, without saying so. A JPEG file
    has to end with its end marker, the checksums of a PNG file have to be right; a file that fails
    this, and any file with ``decode``, has to decode to its end. What is wrong within the data of a
    JPEG file that has its end marker passes: decoders take it.

    Raises:
        TrainingDataError: when it is missing, no image, or cut off.
    """
    image_size(path)
    try:
        if decode or not _ends_well(path):
            with Image.open(path) as image:
                image.load()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise TrainingDataError(f"{path}: expected a whole image, got {error}") from error


def _ends_well(path: Path) -> bool:
    with Image.open(path) as image:
        if image.format == "PNG":
            image.verify()
            return True
        kind = image.format
    return kind == "JPEG" and path.read_bytes().rstrip(b"\0").endswith(JPEG_END)
