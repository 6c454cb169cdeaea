"""The one reader of image files: kinds, bits, orientation, errors."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.stills import read_still

BLUE, GREEN = [200, 10, 30], [0, 255, 7]
"""BGR."""


def rgb(value: list[int]) -> tuple[int, ...]:
    return tuple(value[::-1])


def test_pixels_of_a_pgm_are_shares_of_its_own_white(tmp_path: Path) -> None:
    samples = np.array([[0, 4095], [2048, 1024]], ">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(b"P5\n2 2\n4095\n" + samples)
    still = read_still(tmp_path / "a.pgm")
    assert still.image[..., 0].tolist() == [[0, 255], [128, 64]]
    assert (still.encoding, still.from_16_bits) == ("bgr8", True)


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_transparency_does_not_darken(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGBA", (2, 1), (*rgb(BLUE), 40))
    image.putpixel((1, 0), (*rgb(GREEN), 0))
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    image.save(tmp_path / f"a.{suffix}", **options)
    assert read_still(tmp_path / f"a.{suffix}").image.tolist() == [[BLUE, GREEN]]


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
def test_images_are_turned_as_exif_says(tmp_path: Path, suffix: str) -> None:
    image = Image.new("RGB", (16, 8), rgb(BLUE))
    image.paste(rgb(GREEN), (8, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the right side is at the bottom
    options = {"lossless": True} if suffix == "webp" else {"quality": 95, "subsampling": 0}
    image.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    still = read_still(tmp_path / f"a.{suffix}")
    assert still.size == (8, 16)
    top, bottom = still.image[2, 4].astype(int), still.image[13, 4].astype(int)
    assert abs(top - BLUE).max() <= 3
    assert abs(bottom - GREEN).max() <= 3


def test_a_tiff_of_16_bits_whose_white_is_0_is_refused(tmp_path: Path) -> None:
    """Pillow inverts 8 bits when it writes such a file, and OpenCV turns them back."""
    white = {262: 0}
    Image.new("L", (2, 2), 40).save(tmp_path / "a.tif", tiffinfo=white)
    assert read_still(tmp_path / "a.tif").image.max() == 40
    Image.fromarray(np.full((2, 2), 9000, np.uint16)).save(tmp_path / "b.tif", tiffinfo=white)
    with pytest.raises(ImageError, match=r"b\.tif: TIFF of 16 bits must have 0 for black, got 0 f"):
        read_still(tmp_path / "b.tif")


def test_bits_that_count_are_the_users(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2), 2048, np.uint16))
    assert read_still(tmp_path / "a.png").image.max() == 8
    assert read_still(tmp_path / "a.png", DecodingConfig(significant_bits=12)).image.max() == 128


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", None, r"image .*a\.png cannot be read"),
        ("a.png", b"text", r"a\.png: compressed image must be a JPEG, PNG or WebP file, got 4"),
        ("a.bmp", b"text", r"a\.bmp: image file must be of a kind that OpenCV reads, got 4"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_still(tmp_path / name)


def test_a_folder_is_read_so(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5\n2 1\n1023\n" + np.array([1023, 0], ">u2").tobytes())
    (pending,) = open_recording(tmp_path).pending()
    assert np.array_equal(pending.load().image, read_still(tmp_path / "a.pgm").image)
