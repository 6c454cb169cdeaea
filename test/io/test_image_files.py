"""Tests of compressed images: what the headers claim, and what the decoders make of them."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io import decoding, image_files
from tasksr_ros.io.decoding import CompressedFrame, decode_compressed
from tasksr_ros.io.frames import crop_rgb, to_bgr

WIDTH, HEIGHT = 301, 203
NEEDED_ROWS = DecodingConfig(needed_rows_only=True)
SAMPLINGS = ("411", "420", "422", "440", "444")


def picture() -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3) BGR with structure at all scales."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    return np.asarray(cv2.addWeighted(smooth, 0.8, noise, 0.2, 0), np.uint8)


def encode(suffix: str, image: NDArray[np.generic] | None = None, *flags: int) -> bytes:
    done, data = cv2.imencode(suffix, picture() if image is None else image, list(flags))
    assert done
    return data.tobytes()


def jpeg(sampling: str = "420", progressive: bool = False) -> bytes:
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    return encode(
        ".jpg", None, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor,
        cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive),
    )  # fmt: skip


def opencv(data: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width: int, height: int, bits: int, colour_type: int, content: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", content), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def with_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment behind its SOI."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + data[2:]


def replaced(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def frame_header(data: bytes) -> int:
    """Where the precision stands in the frame header of a JPEG."""
    return max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 4


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_what_opencv_makes_of_it(sampling: str, progressive: bool) -> None:
    data = jpeg(sampling, progressive)
    frame = CompressedFrame(data)
    assert (frame.size, frame.encoding) == ((WIDTH, HEIGHT), "bgr8")
    assert np.array_equal(to_bgr(frame), opencv(data))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("bottom", [1, 8, 15, 16, 17, 100, 187, 202, 203])
def test_the_upper_rows_of_a_jpeg_are_exact(sampling: str, progressive: bool, bottom: int) -> None:
    data = jpeg(sampling, progressive)
    pixels = CompressedFrame(data, "jpeg", NEEDED_ROWS).decoded(bottom).image
    left_out = not progressive and bottom <= 100
    assert pixels.shape[0] == bottom if left_out else pixels.shape[0] >= bottom
    assert np.array_equal(pixels[:bottom], opencv(data)[:bottom])


def test_all_rows_are_decoded_unless_fewer_are_wanted() -> None:
    assert CompressedFrame(jpeg()).decoded(10).image.shape[0] == HEIGHT


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_whole_file_is_decoded_once(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often its pixels are asked for: by the pipeline, and by who draws into them."""
    calls: list[str] = []
    for name in ("_decode_jpeg", "_decode_other"):
        decode = getattr(decoding, name)
        monkeypatch.setattr(
            decoding, name, lambda *a, decode=decode, name=name: calls.append(name) or decode(*a)
        )
    for config in (None, NEEDED_ROWS):
        calls.clear()
        frame = CompressedFrame(encode(suffix), suffix[1:], config)
        assert not calls
        pixels = frame.decoded(HEIGHT - 1).image
        assert frame.image is pixels
        assert frame.decoded().image is pixels
        assert len(calls) == 1


def test_lost_bytes_are_found_unless_fewer_rows_are_decoded() -> None:
    data = jpeg()
    damaged = data[: len(data) // 2] + data[len(data) // 2 + 100 :]
    with pytest.raises(ImageError, match="JPEG is damaged: Corrupt JPEG data"):
        CompressedFrame(damaged).decoded(HEIGHT // 2)
    CompressedFrame(damaged, "jpeg", NEEDED_ROWS).decoded(HEIGHT // 2)


def test_a_jpeg_with_restart_markers() -> None:
    """Between them the decoder cannot tell left out rows from damage: all rows are decoded."""
    data = encode(".jpg", None, cv2.IMWRITE_JPEG_RST_INTERVAL, 5)
    assert CompressedFrame(data, "", NEEDED_ROWS).decoded(50).image.shape[0] == HEIGHT
    assert np.array_equal(to_bgr(CompressedFrame(data)), opencv(data))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_grey_file_stays_grey(suffix: str) -> None:
    data = encode(suffix, picture()[..., 0])
    frame = CompressedFrame(data).decoded()
    assert (frame.encoding, frame.image.shape) == ("mono8", (HEIGHT, WIDTH, 1))
    assert np.array_equal(to_bgr(frame), opencv(data))


@pytest.mark.parametrize(
    ("suffix", "flags"),
    [
        (".png", ()),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 80)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),  # lossless
    ],
)
def test_png_and_webp_are_what_opencv_makes_of_them(suffix: str, flags: tuple[int, ...]) -> None:
    data = encode(suffix, None, *flags)
    frame = CompressedFrame(data)
    assert (frame.size, frame.encoding) == ((WIDTH, HEIGHT), "bgr8")
    assert np.array_equal(frame.image, opencv(data))


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_dropped(suffix: str) -> None:
    image = np.dstack((picture(), np.full((HEIGHT, WIDTH), 128, np.uint8)))
    data = encode(suffix, image, cv2.IMWRITE_WEBP_QUALITY, 101)
    assert np.array_equal(CompressedFrame(data).image, picture())


def test_a_png_of_16_bits_is_scaled_as_a_raw_image_is() -> None:
    samples = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = (samples.astype(int) + 128) // 257
    assert np.array_equal(CompressedFrame(encode(".png", samples)).image[..., 0], expected)
    colour = CompressedFrame(encode(".png", np.dstack((samples, samples.T, samples))))
    assert colour.encoding == "bgr8"
    assert np.array_equal(colour.image, np.dstack((expected, expected.T, expected)))


@pytest.mark.parametrize("colour_type", [0, 3])
def test_a_png_of_one_bit(colour_type: int) -> None:
    palette = png_chunk(b"PLTE", bytes((10, 20, 30, 200, 100, 50)))
    data = png(8, 1, 1, colour_type, zlib.compress(bytes((0, 0b10100000))))
    if colour_type == 3:
        data = data[:33] + palette + data[33:]
    row = CompressedFrame(data).image[0].tolist()
    assert row[:3] == ([[50, 100, 200], [30, 20, 10], [50, 100, 200]] if colour_type == 3
                       else [[255], [0], [255]])  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_does_not_rotate(orientation: int) -> None:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + bytes(4)
    data = jpeg()
    turned = with_segment(data, 0xE1, b"Exif\0\0" + tiff)
    if orientation == 6:
        assert opencv(turned).shape == (WIDTH, HEIGHT, 3), "OpenCV must see the flag"
    assert np.array_equal(to_bgr(CompressedFrame(turned)), opencv(data))
    chunk = png_chunk(b"eXIf", tiff)
    lossless = encode(".png")
    assert np.array_equal(CompressedFrame(lossless[:33] + chunk + lossless[33:]).image, picture())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("trailing", [bytes(100), b"\xff" * 7, b"garbage"])
def test_what_follows_the_file_is_ignored(suffix: str, trailing: bytes) -> None:
    data = encode(suffix)
    assert np.array_equal(to_bgr(CompressedFrame(data + trailing)), opencv(data))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_file_is_refused(suffix: str, progressive: bool) -> None:
    data = encode(suffix, None, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive))
    for size in (*range(40), *range(40, len(data) - 1, 997), len(data) - 1):
        with pytest.raises(ImageError):
            CompressedFrame(data[:size]).decoded()


@pytest.mark.parametrize(
    ("format_", "encoding"),
    [
        ("jpeg", "bgr8"),
        ("", "bgr8"),
        ("bgr8; jpeg compressed bgr8", "bgr8"),
        ("rgb8; jpeg compressed bgr8", "bgr8"),
        ("bayer_rggb8; jpeg compressed bgr8", "bgr8"),
        # compressed_image_transport takes such a file's red for blue
        ("rgb8; jpeg compressed rgb8", "rgb8"),
    ],
)
def test_the_format_field(format_: str, encoding: str) -> None:
    assert CompressedFrame(jpeg(), format_).encoding == encoding


def test_a_mosaic_in_a_png() -> None:
    mosaic = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (4, 4))
    for samples, name in ((mosaic, "bayer_rggb8"), (mosaic.astype("u2") * 257, "bayer_rggb16")):
        frame = CompressedFrame(encode(".png", samples), f"{name}; png compressed ")
        assert crop_rgb(frame, 2, 2, 5, 5).tolist() == [[[200, 100, 50]] * 3] * 3
    # as JPEG, compressed_image_transport makes it grey before
    grey = CompressedFrame(encode(".jpg", mosaic), "bayer_rggb8; jpeg compressed mono8")
    assert grey.encoding == "mono8"
    with pytest.raises(ImageError, match="must come in a PNG of 16 bits, got a png file of 8"):
        CompressedFrame(encode(".png", mosaic), "bayer_rggb16; png compressed ")


def test_other_pictures_are_read_from_the_users_files() -> None:
    assert np.array_equal(decode_compressed("bmp", encode(".bmp")).image, picture())
    with pytest.raises(ImageError, match="got 7 unreadable bytes of format 'bmp'"):
        decode_compressed("bmp", b"nothing")


def huge_jpeg(progressive: bool) -> bytes:
    data = jpeg(progressive=progressive)
    return replaced(data, frame_header(data) + 1, struct.pack(">HH", 60_000, 60_000))


def huge_webp(kind: bytes) -> bytes:
    body = {
        b"VP8 ": b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383),
        b"VP8L": b"\x2f" + struct.pack("<I", 16383 | 16383 << 14),
        b"VP8X": bytes(4) + (60_000 - 1).to_bytes(3, "little") * 2,
    }[kind]
    chunk = kind + struct.pack("<I", 100) + body + bytes(100 - len(body))
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (huge_jpeg(False), "60000x60000"),
        (huge_jpeg(True), "60000x60000"),
        (png(60_000, 60_000, 8, 2, zlib.compress(bytes(1000))), "60000x60000"),
        (png(2**31 - 1, 2**31 - 1, 16, 6, b""), "2147483647x2147483647"),
        (huge_webp(b"VP8X"), "60000x60000"),
        (huge_webp(b"VP8L"), "16384x16384"),
        (huge_webp(b"VP8 "), "16383x16383"),
    ],
)
def test_a_huge_claim_is_refused_before_memory_is_taken(data: bytes, size: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(
            ImageError, match=rf"at most 40000000 px \(decoding.max_pixels\).*{size} px"
        ):
            CompressedFrame(data).decoded()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_limit_is_a_parameter() -> None:
    data = jpeg()
    CompressedFrame(data, "jpeg", DecodingConfig(max_pixels=WIDTH * HEIGHT))
    with pytest.raises(ImageError, match=f"at most {WIDTH * HEIGHT - 1} px"):
        CompressedFrame(data, "jpeg", DecodingConfig(max_pixels=WIDTH * HEIGHT - 1))


def claim(data: bytes, width: int, height: int) -> bytes:
    return replaced(data, frame_header(data) + 1, struct.pack(">HH", height, width))


def many_scans() -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = jpeg(progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * 100 + data[-2:]


def segments(count: int) -> bytes:
    data = jpeg()
    return data[:2] + b"\xff\xfe\x00\x02" * count + data[2:]


def cmyk() -> bytes:
    data = jpeg()
    at = frame_header(data)
    header = data[at : at + 5] + bytes((4,)) + data[at + 6 : at + 15] + bytes((4, 0x11, 0))
    return data[: at - 2] + struct.pack(">H", 20) + header + data[at + 15 :]


def animated_webp() -> bytes:
    body = bytes((0x02, 0, 0, 0)) + (99).to_bytes(3, "little") * 2
    chunk = b"VP8X" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def animated_png() -> bytes:
    data = encode(".png")
    return data[:33] + png_chunk(b"acTL", struct.pack(">II", 2, 0)) + data[33:]


def frame_type(marker: int) -> bytes:
    data = jpeg()
    return replaced(data, frame_header(data) - 3, bytes((marker,)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"no image at all", "must be a JPEG, PNG or WebP file, got 15 bytes that begin"),
        (lambda: b"", "got 0 bytes that begin with nothing"),
        (lambda: encode(".bmp"), "begin with 42 4d"),
        (lambda: encode(".tiff"), "must be a JPEG, PNG or WebP file"),
        (lambda: claim(jpeg(), 0, 10), "must not be empty, got 0x10 px"),
        (lambda: claim(jpeg(), 10, 0), "must not be empty, got 10x0 px"),
        (lambda: claim(jpeg(), 6000, 6000), "of 6000x6000 px must have at least 140625 bytes"),
        (lambda: claim(jpeg("420", True), 6000, 6000), "must have at least 70312 bytes"),
        (lambda: png(6000, 6000, 8, 2, zlib.compress(b"")), "must have at least 4360 bytes"),
        (many_scans, "at most 100 scans, got 11"),
        (lambda: segments(1000), "at most 1000 segments"),
        (cmyk, r"1 \(grey\) or 3 \(colour\) components, got 4 \(CMYK\)"),
        (lambda: frame_type(0xC9), "baseline or progressive, got frame type 0xc9"),
        (lambda: frame_type(0xC3), "baseline or progressive, got frame type 0xc3"),
        (lambda: replaced(jpeg(), frame_header(jpeg()), b"\x0c"), "samples of 8 bits, got 12"),
        (animated_webp, "must be a still, got an animated WebP"),
        (animated_png, "must be a still, got an animated PNG"),
        (lambda: replaced(encode(".png"), 2000, b"damage"), "must match its checksum"),
        (lambda: png(8, 8, 8, 0, b""), "PNG file|png file of 8x8 px is damaged"),
    ],
)
def test_other_files_are_refused_by_name(make: Callable[[], bytes], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        CompressedFrame(make()).decoded()


def test_depth_is_refused() -> None:
    with pytest.raises(ImageError, match="a colour image is expected, got format '16UC1; compr"):
        CompressedFrame(encode(".png"), "16UC1; compressedDepth png")


def test_bounds_of_real_files_hold() -> None:
    """The least size must not refuse the emptiest of pictures."""
    for shape in ((1, 1), (9, 17), (720, 1280)):
        for channels in (1, 3):
            image = np.full((*shape, channels), 128, np.uint8)
            for suffix, flags in (
                (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1)),
                (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
                (".png", (cv2.IMWRITE_PNG_COMPRESSION, 9)),
            ):
                data = encode(suffix, image, *flags)
                file = image_files.read_header(data, 10**8)
                assert 0 <= image_files.least_bytes(file) <= len(data)
                assert np.abs(to_bgr(CompressedFrame(data)).astype(int) - 128).max() <= 1
