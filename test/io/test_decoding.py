"""Tests of tasksr_ros.io.decoding: raw messages; test_image_files.py has the compressed ones."""

from __future__ import annotations

import array
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io.decoding import decode_compressed, decode_image, decode_message
from tasksr_ros.io.frames import ENCODINGS, crop_rgb


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [0, 5])
def test_pixels_come_back_from_padded_rows(encoding: str, padding: int) -> None:
    known = ENCODINGS[encoding]
    row = 8 * known.bytes_per_pixel
    rows = np.full((known.rows(6), row + padding), 99, np.uint8)
    rows[:, :row] = np.random.default_rng(0).integers(0, 256, (known.rows(6), row))
    image = decode_image(6, 8, encoding, row + padding, rows.tobytes())
    assert image.shape == (known.rows(6), 8, known.channels)
    assert image.tobytes() == rows[:, :row].tobytes()


def test_big_endian_samples() -> None:
    data = np.array([[0x0101, 0xFE00, 0xFFFF]], ">u2").tobytes()
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=2), frame_id="front"),
        height=1, width=3, encoding="mono16", step=6, data=data, is_bigendian=1,
    )  # fmt: skip
    frame = decode_message(message)
    assert (frame.stamp_ns, frame.frame_id) == (1_000_000_002, "front")
    assert crop_rgb(frame, 0, 0, 3, 1)[0, :, 0].tolist() == [1, 253, 255]
    message.is_bigendian = 0
    assert crop_rgb(decode_message(message), 0, 0, 3, 1)[0, :, 0].tolist() == [1, 1, 255]


def test_bytes_have_no_order() -> None:
    assert decode_image(1, 2, "mono8", 2, bytes([1, 2]), big_endian=True).ravel().tolist() == [1, 2]


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


@pytest.mark.parametrize(
    ("height", "width", "encoding", "step", "size", "message"),
    [
        (4, 4, "rgb16", 4, 16, "rgb8, bgr8, rgba8, bgra8, mono8, mono16, yuv422"),
        (4, 4, "8UC3", 4, 16, "got '8UC3'"),
        (4, 4, "", 4, 16, "got ''"),
        (4, 4, "x" * 10_000, 4, 16, f"got '{'x' * 64}'"),
        (4, 4, "rgb8", 12, 47, "step x rows = 12 x 4 = 48 bytes, got 47"),
        (4, 4, "rgb8", 12, 49, "of 4x4 px must hold step x rows = 12 x 4 = 48 bytes, got 49"),
        (4, 4, "nv12", 4, 16, "step x rows = 4 x 6 = 24 bytes, got 16"),
        (4000, 4, "mono8", 4_000_000, 16, "16000000000 bytes, got 16"),
        (2**32 - 1, 2**32 - 1, "rgb8", 2**32 - 1, 16, "at least 12884901885 bytes, got 4294967295"),
        (4, 4, "rgb8", 11, 48, "at least 12 bytes, got 11"),
        (4, 4, "mono16", 7, 28, "at least 8 bytes, got 7"),
        (4, 4, "mono8", 0, 16, "at least 4 bytes, got 0"),
        (0, 4, "mono8", 4, 16, "must not be empty, got 4x0 px"),
        (4, 0, "mono8", 4, 16, "must not be empty, got 0x4 px"),
        (4, 4, "mono8", 4, 0, "= 16 bytes, got 0"),
        (4, 5, "yuv422", 10, 40, "width of a yuv422 image must be even"),
        (3, 4, "nv21", 4, 18, "width and height of a nv21 image must be even"),
        (2, 4, "bayer_rggb8", 4, 8, "must have at least 3x3 px, got 4x2"),
    ],
)
def test_a_lying_header_is_refused(
    height: int, width: int, encoding: str, step: int, size: int, message: str
) -> None:
    with pytest.raises(ImageError) as error:
        decode_image(height, width, encoding, step, bytes(size))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("mode", "pages", "message"),
    [
        ("RGB", 3, "image must be a still, got a TIFF of 3 pages"),
        ("CMYK", 1, "TIFF must be grey or colour, got CMYK"),
    ],
)
def test_tiffs_that_are_refused(mode: str, pages: int, message: str) -> None:
    image, file = Image.new(mode, (64, 32)), io.BytesIO()
    more = {"save_all": True, "append_images": [image] * (pages - 1)}
    image.save(file, "TIFF", **more)
    with pytest.raises(ImageError, match=f"^{message}$"):
        decode_compressed("tif", file.getvalue())


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_tiff_of_one_page(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (64, 32), "white").save(file, "TIFF")
    assert decode_compressed("tiff", file.getvalue()).image.tolist() == [[[255] * 3] * 64] * 32


@pytest.mark.parametrize(
    ("mode", "pixel", "grey"), [("RGBA", (200, 200, 200, 100), 200), ("LA", (200, 100), 200)]
)
def test_the_transparency_of_a_tiff_does_not_darken_it(
    mode: str, pixel: tuple[int, ...], grey: int
) -> None:
    file = io.BytesIO()
    Image.new(mode, (64, 32), pixel).save(file, "TIFF")
    assert decode_compressed("tiff", file.getvalue()).image.tolist() == [[[grey] * 3] * 64] * 32


@pytest.mark.parametrize(
    ("data", "bits", "grey"),
    [
        (b"P5 2 1 255\n\xff\x64", 0, [255, 100]),
        (b"P5\n# of a camera\n2 1\n15\n\x0f\x06", 0, [255, 102]),
        (b"P2\n2 1\n15\n15 6\n", 0, [255, 102]),
        (b"P5\n2 1\n4095\n\x0f\xff\x06\x66", 0, [255, 102]),
        (b"P5\n2 1\n4095\n\x0f\xff\x06\x66", 12, [255, 102]),
        (b"P5\n2 1\n65535\n\x0f\xff\x06\x66", 12, [255, 102]),
        (b"P5\n2 1\n65535\n\xff\xff\x66\x66", 0, [255, 102]),
        (b"P2\n2 1\n1023\n1023 409\n", 0, [255, 102]),
    ],
)
def test_a_pgm_states_its_white(data: bytes, bits: int, grey: list[int]) -> None:
    """Twelve bits of 16 are near black otherwise."""
    frame = decode_compressed("pgm", data, DecodingConfig(significant_bits=bits))
    assert frame.image.tolist() == [[[level] * 3 for level in grey]]


def test_a_ppm_of_few_colours() -> None:
    frame = decode_compressed("ppm", b"P6\n1 2\n3\n\x03\x01\x00\x02\x02\x02")
    assert frame.image.tolist() == [[[0, 85, 255]], [[170, 170, 170]]]
