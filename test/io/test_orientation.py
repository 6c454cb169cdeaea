"""Tests of tasksr_ros.io.orientation, and of folders and bags made of photos."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tasksr_ros.io.decoding import decode_compressed
from tasksr_ros.io.make_bag import make_bag
from tasksr_ros.io.orientation import orientation, turned
from tasksr_ros.io.recording import Encoded
from tasksr_ros.io.recordings import open_recording

SHOWN = {
    1: ("RG", "BK"),
    2: ("GR", "KB"),
    3: ("KB", "GR"),
    4: ("BK", "RG"),
    5: ("RB", "GK"),
    6: ("BR", "KG"),
    7: ("KG", "BR"),
    8: ("GK", "RB"),
}
"""The quarters of the picture RG / BK (red, green; blue, black) as EXIF 2.32, 4.6.4, shows it."""
FORMATS = ("jpg", "png", "webp", "tif")


def stored() -> NDArray[np.uint8]:
    """64x48 px RGB: red, green above blue, black."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32, 0] = image[:24, 32:, 1] = image[24:, :32, 2] = 250
    return image


def photo(path: Path, value: int, exif: bytes | None = None) -> Path:
    tags = Image.Exif()
    tags[0x0112] = value
    image = Image.fromarray(stored())
    if path.suffix == ".tif":
        image.save(path, tiffinfo={0x0112: value})
    else:
        options = {"lossless": True} if path.suffix == ".webp" else {}
        image.save(path, exif=tags.tobytes() if exif is None else exif, **options)
    return path


def quarters(image: NDArray[np.uint8]) -> tuple[str, str]:
    """The letters of a BGR image's quarters, row by row."""
    height, width = image.shape[:2]

    def letter(y: int, x: int) -> str:
        pixel = image[y, x]
        return "BGR"[int(pixel.argmax())] if pixel.max() > 150 else "K"

    ys, xs = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return letter(ys[0], xs[0]) + letter(ys[0], xs[1]), letter(ys[1], xs[0]) + letter(ys[1], xs[1])


@pytest.mark.parametrize("value", SHOWN)
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_photo_of_a_folder_is_shown_upright(tmp_path: Path, suffix: str, value: int) -> None:
    path = photo(tmp_path / f"0.{suffix}", value)
    frame = next(iter(open_recording(tmp_path)))
    assert quarters(frame.image) == SHOWN[value]
    assert frame.size == ((64, 48) if value < 5 else (48, 64))
    if suffix != "tif":
        assert orientation(path.read_bytes()) == value


@pytest.mark.parametrize("value", SHOWN)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_it_is_what_training_reads(tmp_path: Path, suffix: str, value: int) -> None:
    coco = pytest.importorskip("tasksr_training.coco", reason="training is not installed")
    path = photo(tmp_path / f"0.{suffix}", value)
    frame = next(iter(open_recording(path)))
    assert np.array_equal(frame.image[..., ::-1], coco.read_image(path))


@pytest.mark.parametrize("value", SHOWN)
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_bag_holds_it_upright_without_the_tag(tmp_path: Path, suffix: str, value: int) -> None:
    path = photo(tmp_path / f"0.{suffix}", value)
    raw = make_bag(path, tmp_path / "raw")
    assert quarters(next(iter(open_recording(raw))).image) == SHOWN[value]
    bag = make_bag(path, tmp_path / "bag", compressed=True)
    assert quarters(next(iter(open_recording(bag))).image) == SHOWN[value]
    item = next(iter(open_recording(bag).encoded()))
    assert isinstance(item, Encoded)
    assert orientation(item.data) == 1


def test_an_upright_photo_keeps_its_bytes_in_a_bag(tmp_path: Path) -> None:
    path = photo(tmp_path / "0.jpg", 1)
    bag = make_bag(path, tmp_path / "bag", compressed=True)
    item = next(iter(open_recording(bag).encoded()))
    assert isinstance(item, Encoded)
    assert item.data == path.read_bytes()


def test_the_message_of_a_camera_stays_as_it_is(tmp_path: Path) -> None:
    path = photo(tmp_path / "0.jpg", 6)
    plain = decode_compressed("jpeg", path.read_bytes())
    assert quarters(plain.image) == ("RG", "BK")


def test_exif_after_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    body = b"eXIf" + tags.tobytes().removeprefix(b"Exif\0\0")
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    buffer = io.BytesIO()
    Image.fromarray(stored()).save(buffer, "PNG")
    data = buffer.getvalue()
    (tmp_path / "0.png").write_bytes(data[:-12] + chunk + data[-12:])
    frame = next(iter(open_recording(tmp_path)))
    assert quarters(frame.image) == ("BR", "KG")


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense" * 9]
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_broken_exif_is_none(tmp_path: Path, suffix: str, exif: bytes) -> None:
    path = photo(tmp_path / f"0.{suffix}", 1, exif)
    assert orientation(path.read_bytes()) == 1
    assert quarters(next(iter(open_recording(path))).image) == ("RG", "BK")


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_values_that_exif_does_not_know_are_upright(tmp_path: Path, value: int) -> None:
    assert orientation(photo(tmp_path / "0.jpg", value).read_bytes()) == 1


def test_turned_is_opencvs_turning() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(turned(image, 6), cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE))
    assert np.array_equal(turned(image, 8), cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE))
    assert np.array_equal(turned(image, 3), cv2.rotate(image, cv2.ROTATE_180))
    assert np.array_equal(turned(image, 5), image.transpose(1, 0, 2))
    assert turned(image, 1) is image
