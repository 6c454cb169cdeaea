"""Tests of tasksr_ros.io.frames: every encoding, whole and in crops."""

from __future__ import annotations

import importlib
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.errors import ImageError
from tasksr_ros.io import cv_bridge
from tasksr_ros.io.decoding import decode_image
from tasksr_ros.io.frames import ENCODINGS, Frame, crop_rgb, reduced_rgb, to_bgr, with_whole_pixels

RED, GREEN, BLUE = 200, 100, 50
BAYER = [name for name in ENCODINGS if name.startswith("bayer_")]
YUV422 = ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"]
NV = ["nv12", "nv21"]


def noise(encoding: str, width: int = 38, height: int = 26, padding: int = 0) -> Frame:
    """A frame of random samples, its rows padded by as many bytes."""
    known = ENCODINGS[encoding]
    step = width * known.bytes_per_pixel + padding
    data = np.random.default_rng(1).integers(0, 256, known.rows(height) * step, np.uint8)
    return Frame(decode_image(height, width, encoding, step, data), encoding=encoding)


def whole(frame: Frame) -> NDArray[np.uint8]:
    return crop_rgb(frame, 0, 0, *frame.size)


@pytest.mark.parametrize(
    ("encoding", "samples", "expected"),
    [
        ("rgb8", (10, 20, 30), (10, 20, 30)),
        ("bgr8", (30, 20, 10), (10, 20, 30)),
        ("rgba8", (10, 20, 30, 40), (10, 20, 30)),
        ("bgra8", (30, 20, 10, 40), (10, 20, 30)),
        ("mono8", (25,), (25, 25, 25)),
    ],
)
def test_colours_of_interleaved_encodings(
    encoding: str, samples: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    frame = Frame(np.tile(np.array(samples, np.uint8), (2, 3, 1)), encoding=encoding)
    crop = crop_rgb(frame, 1, 0, 3, 1)
    assert crop.shape == (1, 2, 3)
    assert crop.tolist() == [[list(expected)] * 2]
    assert tuple(to_bgr(frame)[1, 2]) == expected[::-1]


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_sixteen_bits_are_scaled_and_rounded(byte_order: str) -> None:
    samples = np.arange(65536, dtype=f"{byte_order}u2").reshape(256, 256, 1)
    rgb = whole(Frame(samples, encoding="mono16"))
    expected = (np.arange(65536).reshape(256, 256) + 128) // 257  # 65535 / 255 = 257
    assert np.array_equal(rgb, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("encoding", BAYER)
def test_a_mosaic_of_one_colour_gives_that_colour(encoding: str) -> None:
    """The pattern is spelled out here: its letters name the first two rows."""
    pattern = encoding.removeprefix("bayer_")[:4]
    deep = encoding.endswith("16")
    colours = np.array([dict(r=RED, g=GREEN, b=BLUE)[letter] for letter in pattern])
    mosaic = np.tile(colours.reshape(2, 2), (4, 5)) * (257 if deep else 1)
    frame = Frame(mosaic.astype("u2" if deep else "u1")[..., None], encoding=encoding)
    assert np.array_equal(whole(frame), np.full((8, 10, 3), (RED, GREEN, BLUE)))


# BT.601 in the range of video: Y 81, U 90, V 240 is pure red, Y 41, U 240, V 110 pure blue
@pytest.mark.parametrize(
    ("encoding", "first", "second"),
    [
        ("yuv422", (90, 81), (240, 81)),
        ("uyvy", (90, 81), (240, 81)),
        ("yuv422_yuy2", (81, 90), (81, 240)),
        ("yuyv", (81, 90), (81, 240)),
    ],
)
def test_yuv422_is_bt601(encoding: str, first: tuple[int, int], second: tuple[int, int]) -> None:
    image = np.tile(np.array([first, second], np.uint8), (3, 2, 1))
    rgb = whole(Frame(image, encoding=encoding)).astype(int)
    assert np.abs(rgb - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", (240, 110)), ("nv21", (110, 240))])
def test_two_planes_are_bt601(encoding: str, chroma: tuple[int, int]) -> None:
    image = np.full((6, 6, 1), 41, np.uint8)
    image[4:] = np.tile(chroma, 3)[None, :, None]
    frame = Frame(image, encoding=encoding)
    assert frame.size == (6, 4)
    assert np.abs(whole(frame).astype(int) - (0, 0, 255)).max() <= 2


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [0, 5])
def test_a_crop_equals_the_crop_of_the_whole(encoding: str, padding: int) -> None:
    frame = noise(encoding, padding=padding)
    expected = whole(frame)
    width, height = frame.size
    random = np.random.default_rng(2)
    rects = [(0, 0, 1, 1), (width - 1, height - 1, width, height), (0, 0, width, height)]
    for _ in range(200):
        x0, y0 = random.integers(0, width), random.integers(0, height)
        rects.append((x0, y0, random.integers(x0, width) + 1, random.integers(y0, height) + 1))
    for x0, y0, x1, y1 in rects:
        assert np.array_equal(crop_rgb(frame, x0, y0, x1, y1), expected[y0:y1, x0:x1])


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "mono16", *BAYER])
def test_odd_sizes(encoding: str) -> None:
    frame = noise(encoding, 37, 25)
    expected = whole(frame)
    assert expected.shape == (25, 37, 3)
    assert np.array_equal(crop_rgb(frame, 35, 23, 37, 25), expected[23:, 35:])


@pytest.mark.parametrize("encoding", BAYER)
def test_wide_mosaics_are_exact_too(encoding: str) -> None:
    """OpenCV has other code for long rows."""
    frame = noise(encoding, 1920, 64)
    expected = whole(frame)
    for x0, x1 in ((1, 321), (801, 1133), (1600, 1920)):
        assert np.array_equal(crop_rgb(frame, x0, 17, x1, 41), expected[17:41, x0:x1])


@pytest.mark.parametrize("encoding", [*YUV422, *NV, "mono16", *BAYER])
def test_the_whole_is_opencvs_conversion(encoding: str) -> None:
    frame = noise(encoding)
    width, height = frame.size
    code, image = ENCODINGS[encoding].to_rgb, frame.image
    assert code is not None
    if encoding in NV:
        expected = cv2.cvtColor(image, code)  # the single-plane form has the same layout
    else:
        expected = cv2.cvtColor(image, code)
        if ENCODINGS[encoding].bits == 16:
            expected = (expected.astype(int) + 128) // 257
    assert np.array_equal(whole(frame), expected.reshape(height, width, 3))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_reduced_pixels(encoding: str) -> None:
    frame = noise(encoding)
    rgb = reduced_rgb(frame, (2, 4, 38, 24), (18, 10))
    expected = cv2.resize(whole(frame)[4:24, 2:38], (18, 10), interpolation=cv2.INTER_AREA)
    assert np.array_equal(rgb, expected)


def test_an_rgb_crop_is_a_view() -> None:
    source = noise("rgb8")
    assert np.shares_memory(crop_rgb(source, 0, 0, 2, 2), source.image)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_whole_pixels(encoding: str) -> None:
    frame = noise(encoding)
    plain = with_whole_pixels(frame)
    assert (plain is frame) == (encoding in ("rgb8", "bgr8", "rgba8", "bgra8", "mono8"))
    assert np.array_equal(whole(plain), whole(frame))


@pytest.mark.parametrize(
    "rect", [(-1, 0, 2, 2), (0, 0, 39, 2), (0, 0, 2, 27), (2, 0, 2, 2), (0, 2, 2, 1)]
)
def test_a_crop_outside_the_image_is_refused(rect: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie inside 38x26"):
        crop_rgb(noise("rgb8"), *rect)


@pytest.mark.parametrize(
    ("image", "encoding", "message"),
    [
        (np.zeros((2, 2, 3), np.uint8), "rgb16", "encoding must be one of rgb8, .*got 'rgb16'"),
        (np.zeros((2, 2, 3), np.uint8), "mono8", r"\(height, width, 1\), got uint8 of shape"),
        (np.zeros((2, 2), np.uint8), "mono8", r"got uint8 of shape \(2, 2\)"),
        (np.zeros((2, 2, 3), np.float32), "rgb8", "must be uint8 .* got float32"),
        (np.zeros((2, 2, 1), np.uint8), "mono16", "must be uint16 .* got uint8"),
        (np.zeros((0, 2, 3), np.uint8), "rgb8", "must not be empty, got 2x0 px"),
        (np.zeros((2, 3, 2), np.uint8), "yuyv", "width of a yuyv image must be even.*got 3x2"),
        (np.zeros((6, 3, 1), np.uint8), "nv12", "width and height of a nv12 .*got 3x4"),
        (np.zeros((2, 8, 1), np.uint8), "bayer_rggb8", "at least 3x3 px, got 8x2"),
    ],
)
def test_a_frame_must_fit_its_encoding(
    image: NDArray[np.uint8], encoding: str, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        Frame(image, encoding=encoding)


def message_of(frame: Frame, big_endian: bool = False) -> SimpleNamespace:
    """What a camera's driver would send, rows unpadded."""
    width, height = frame.size
    data = np.ascontiguousarray(frame.image).view(np.uint8).reshape(-1)
    step = width * ENCODINGS[frame.encoding].bytes_per_pixel
    return SimpleNamespace(
        height=height, width=width, encoding=frame.encoding, step=step, data=data,
        is_bigendian=int(big_endian),
    )  # fmt: skip


@pytest.mark.parametrize(
    "encoding", [name for name in ENCODINGS if ENCODINGS[name].bits == 8 and name not in NV]
)
def test_the_same_as_rosbags_image(encoding: str) -> None:
    """It follows cv_bridge but for 16 bits, which it does not round, and nv12's planes."""
    image: ModuleType = pytest.importorskip("rosbags.image", reason="rosbags-image not installed")
    frame = noise(encoding)
    assert np.array_equal(whole(frame), image.image_to_cvimage(message_of(frame), "rgb8"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_as_cv_bridge(encoding: str) -> None:
    bridge = cv_bridge.bridge()
    if bridge is None:
        pytest.skip("cv_bridge is not installed, or cannot be used")
    try:
        bridge.encoding_to_dtype_with_channels(encoding)
    except Exception as error:  # by its version
        pytest.skip(f"cv_bridge does not know {encoding}: {error}")
    message_type = importlib.import_module("sensor_msgs.msg").Image
    frame = noise(encoding)
    fields = vars(message_of(frame))
    message = message_type(**{**fields, "data": fields["data"].tolist()})
    assert np.array_equal(whole(frame), bridge.imgmsg_to_cv2(message, "rgb8"))
