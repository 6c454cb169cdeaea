from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

from tasksr_ros.decoding import decode_compressed, decode_image
from tasksr_ros.errors import ImageError
from tasksr_ros.frames import CHANNELS


@pytest.mark.parametrize("encoding", CHANNELS)
@pytest.mark.parametrize("padding", [0, 5])
def test_pixels_come_back_for_odd_widths_and_padded_rows(encoding: str, padding: int) -> None:
    channels = CHANNELS[encoding]
    pixels = np.random.default_rng(0).integers(0, 256, (3, 7, channels), np.uint8)
    rows = np.full((3, 7 * channels + padding), 99, np.uint8)
    rows[:, : 7 * channels] = pixels.reshape(3, -1)
    image = decode_image(3, 7, encoding, rows.shape[1], rows.tobytes())
    assert image.dtype == np.uint8
    assert np.array_equal(image, pixels)


@pytest.mark.parametrize(
    "wrap",
    [
        bytes,
        bytearray,
        lambda b: memoryview(bytes(b)),
        lambda b: array.array("B", b),
        lambda b: np.frombuffer(bytes(b), np.uint8),
    ],
)
def test_any_buffer_is_taken(wrap: type[bytes]) -> None:
    image = decode_image(1, 2, "rgb8", 6, wrap(range(6)))
    assert image.tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_nothing_is_copied() -> None:
    data = bytearray(4 * 10)
    image = decode_image(4, 8, "mono8", 10, data)
    data[2 * 10 + 3] = 77
    assert image[2, 3, 0] == 77
    assert image.strides == (10, 1, 1)


def test_data_may_be_longer_than_needed() -> None:
    assert decode_image(1, 2, "mono8", 2, bytes([1, 2, 3])).ravel().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("height", "width", "encoding", "step", "size", "message"),
    [
        (4, 4, "bayer_rggb8", 4, 16, "rgb8, bgr8, rgba8, bgra8, mono8, got 'bayer_rggb8'"),
        (4, 4, "", 4, 16, "got ''"),
        (4, 4, "rgb8", 12, 47, "step x height = 12 x 4 = 48 bytes, got 47"),
        (4000, 4, "mono8", 4_000_000, 16, "16000000000 bytes, got 16"),
        (4, 4, "rgb8", 11, 48, "at least 12 bytes, got 11"),
        (4, 4, "mono8", 0, 16, "at least 4 bytes, got 0"),
        (0, 4, "mono8", 4, 16, "must not be empty, got 4x0 px"),
        (4, 0, "mono8", 4, 16, "must not be empty, got 0x4 px"),
        (4, 4, "mono8", 4, 0, "= 16 bytes, got 0"),
    ],
)
def test_a_lying_header_is_refused(
    height: int, width: int, encoding: str, step: int, size: int, message: str
) -> None:
    with pytest.raises(ImageError) as error:
        decode_image(height, width, encoding, step, bytes(size))
    assert message in str(error.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_files_become_bgr(suffix: str) -> None:
    pixels = np.zeros((9, 7, 3), np.uint8)
    pixels[:] = (200, 100, 50)
    _, data = cv2.imencode(suffix, pixels)
    image = decode_compressed(f"bgr8; {suffix[1:]} compressed bgr8", data.tobytes())
    assert image.shape == (9, 7, 3)
    assert np.abs(image.astype(int) - pixels).max() <= 3


def test_a_grey_png_becomes_bgr() -> None:
    _, data = cv2.imencode(".png", np.full((4, 5), 60, np.uint8))
    assert decode_compressed("png", data.reshape(-1)).tolist() == [[[60] * 3] * 5] * 4


@pytest.mark.parametrize(
    ("format_", "data", "message"),
    [
        ("jpeg", b"no image at all", "got 15 unreadable bytes of format 'jpeg'"),
        ("jpeg", b"", "got 0 bytes of 'jpeg'"),
        ("16UC1; compressedDepth png", b"\x89PNG", "got format '16UC1; compressedDepth png'"),
    ],
)
def test_an_unreadable_file_is_refused(format_: str, data: bytes, message: str) -> None:
    with pytest.raises(ImageError) as error:
        decode_compressed(format_, data)
    assert message in str(error.value)
