"""Tests of tasksr_ros.io.cv_bridge, with a stand-in that has the real one's faults."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv_bridge_stand_in
import numpy as np
import pytest
from numpy.typing import NDArray

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io import cv_bridge
from tasksr_ros.io.decoding import decode_message
from tasksr_ros.io.frames import crop_rgb


@pytest.fixture(params=["stand-in", "real"])
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "real":
        pytest.importorskip("cv_bridge", reason="cv_bridge is not installed")
    else:
        monkeypatch.setitem(sys.modules, "cv_bridge", cv_bridge_stand_in)
        monkeypatch.setattr(cv_bridge, "_problem", lambda: "")  # it is in this process only
    cv_bridge.bridge.cache_clear()
    cv_bridge._tell.cache_clear()
    if cv_bridge.bridge() is None:
        pytest.skip("cv_bridge is installed, but cannot be used")
    yield
    cv_bridge.bridge.cache_clear()


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    cv_bridge.bridge.cache_clear()
    yield
    cv_bridge.bridge.cache_clear()


def message(
    samples: NDArray[Any], encoding: str, padding: int = 0, big_endian: bool = False
) -> SimpleNamespace:
    """(H, W, C) samples as a driver would send them."""
    height, width = samples.shape[:2]
    kind = samples.dtype.newbyteorder(">" if big_endian else "<")
    rows = samples.astype(kind).reshape(height, -1).view(np.uint8)
    padded = np.full((height, rows.shape[1] + padding), 99, np.uint8)
    padded[:, : rows.shape[1]] = rows
    stamp = SimpleNamespace(sec=1, nanosec=2)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="front"), height=height, width=width,
        encoding=encoding, is_bigendian=int(big_endian), step=padded.shape[1],
        data=padded.tobytes(),
    )  # fmt: skip


RGB = np.array([[(10, 20, 30), (40, 50, 60)], [(70, 80, 90), (255, 0, 1)]])
ORDER = {"rgb16": (0, 1, 2), "bgr16": (2, 1, 0), "rgba16": (0, 1, 2, 0), "bgra16": (2, 1, 0, 0)}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 2, 5])
@pytest.mark.parametrize("encoding", ORDER)
def test_further_encodings_with_padded_rows_of_either_byte_order(
    encoding: str, padding: int, big_endian: bool
) -> None:
    samples = (RGB * 257).astype(np.uint16)[..., list(ORDER[encoding])]
    frame = decode_message(message(samples, encoding, padding, big_endian))
    assert (frame.encoding, frame.size, frame.stamp_ns) == ("rgb8", (2, 2), 1_000_000_002)
    assert frame.image.tolist() == RGB.tolist()


@pytest.mark.usefixtures("installed")
def test_twelve_bits_of_a_further_encoding() -> None:
    samples = np.array([[[4095, 0, 2048]]], np.uint16)
    frame = decode_message(message(samples, "rgb16"), DecodingConfig(significant_bits=12))
    assert frame.image.tolist() == [[[255, 0, 128]]]
    assert frame.from_16_bits


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("yuv999", "cv_bridge does not know the encoding 'yuv999': Unrecognized"),
        ("32FC1", "encoding must be one of rgb8, .*, got '32FC1'"),
    ],
)
def test_what_it_does_not_know_either_is_refused(encoding: str, text: str) -> None:
    with pytest.raises(ImageError, match=text):
        decode_message(message(np.zeros((2, 2, 1), np.float32), encoding))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "changes",
    [{"step": 11}, {"step": 2**32 - 1}, {"height": 3}, {"height": 0}, {"width": 0}, {"data": b""}],
)
def test_a_lying_header_never_reaches_it(changes: dict[str, object]) -> None:
    lie = message(np.zeros((2, 2, 3), np.uint16), "rgb16")
    vars(lie).update(changes)
    with pytest.raises(ImageError, match=r"must hold rows of at least|must not be empty"):
        decode_message(lie)


@pytest.mark.usefixtures("installed")
def test_known_encodings_go_past_it() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    frame = decode_message(message(pixels, "bgr8", padding=1))
    assert frame.encoding == "bgr8"
    assert crop_rgb(frame, 0, 0, 1, 1).tolist() == [[[2, 1, 0]]]


@pytest.mark.usefixtures("absent")
def test_without_it_the_encodings_that_serve_are_named() -> None:
    with pytest.raises(ImageError, match=r"one of rgb8, .* got 'rgb16'; cv_bridge, where it is"):
        decode_message(message(np.zeros((2, 2, 3), np.uint16), "rgb16"))
    assert cv_bridge.to_message(np.zeros((2, 2, 3), np.uint8), "bgr8") is None


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a cv_bridge that is installed."""
    monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    cv_bridge.bridge.cache_clear()
    cv_bridge._problem.cache_clear()
    yield tmp_path / "cv_bridge.py"
    sys.modules.pop("cv_bridge", None)
    cv_bridge.bridge.cache_clear()
    cv_bridge._problem.cache_clear()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('_ARRAY_API')", "ImportError: _ARRAY_API"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "an image ends Python with "
         f"SIGSEGV (was it built for another NumPy than {np.__version__}?)"),
        ("from cv_bridge_stand_in import CvBridge\nCvBridge.imgmsg_to_cv2 = lambda *_: {i}"
         .format(i="__import__('numpy').zeros((1, 1, 3))"), "AssertionError: wrong pixels"),
    ],
)  # fmt: skip
def test_one_that_was_built_for_another_numpy_is_told_once_and_left_alone(
    package: Path, caplog: pytest.LogCaptureFixture, code: str, reason: str
) -> None:
    """It would end the node with a segmentation fault."""
    package.write_text(code)
    assert not cv_bridge.convertible("rgb16")
    assert not cv_bridge.convertible("rgb16")
    assert caplog.messages == [f"cv_bridge is installed, but cannot be used: {reason}"]


def test_one_that_fits_is_used(package: Path, caplog: pytest.LogCaptureFixture) -> None:
    package.write_text("from cv_bridge_stand_in import *\n")
    assert cv_bridge.convertible("rgb16")
    assert caplog.messages == []


@pytest.mark.usefixtures("installed")
def test_an_image_of_which_it_makes_no_message_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with NumPy 2 and the tostring() of an older one."""

    def fail(*_: object) -> None:
        raise AttributeError("tostring")

    monkeypatch.setattr(type(cv_bridge.bridge()), "cv2_to_imgmsg", fail)
    for _ in range(2):
        assert cv_bridge.to_message(np.zeros((2, 2, 3), np.uint8), "bgr8") is None
    told = "cv_bridge cannot make a message of a bgr8 image: tostring"
    assert caplog.messages == [told]


@pytest.mark.usefixtures("installed")
def test_outgoing_images_are_made_by_it() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::2]
    made = cv_bridge.to_message(image, "bgr8")
    assert made is not None
    assert (made.height, made.width, made.step, made.encoding) == (2, 2, 6, "bgr8")
    assert bytes(made.data) == bytes([0, 1, 2, 6, 7, 8, 12, 13, 14, 18, 19, 20])
