"""Tests of tasksr_ros.io.sample_range and of decoding's significant_bits and assume_colours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tasksr_ros.config import DecodingConfig
from tasksr_ros.errors import ImageError
from tasksr_ros.io.decoding import CompressedFrame, decode_message
from tasksr_ros.io.frames import Frame, crop_rgb, reduced_rgb, to_bgr, with_whole_pixels
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.sample_range import FRAMES, SampleRange

TWELVE = DecodingConfig(significant_bits=12)


def deep(largest: int, bits: int = 0, encoding: str = "mono16") -> Frame:
    image = np.zeros((4, 4, 1), np.uint16)
    image[1, 2] = largest
    return Frame(image, encoding=encoding, significant_bits=bits)


def message(encoding: str, data: bytes, step: int, big_endian: bool = False) -> SimpleNamespace:
    stamp = SimpleNamespace(sec=0, nanosec=0)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id=""), height=len(data) // step, width=4,
        encoding=encoding, step=step, data=data, is_bigendian=int(big_endian),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0, [0, 8, 16, 64]), (12, [0, 128, 255, 255]), (14, [0, 32, 64, 255]), (16, [0, 8, 16, 64])],
)
@pytest.mark.parametrize("big_endian", [False, True])
def test_so_many_bits_are_white(bits: int, expected: list[int], big_endian: bool) -> None:
    data = np.array([0, 2048, 4095, 16383], ">u2" if big_endian else "<u2").tobytes()
    config = DecodingConfig(significant_bits=bits)
    frame = decode_message(message("mono16", data, 8, big_endian), config)
    for rgb in (
        crop_rgb(frame, 0, 0, 4, 1),
        reduced_rgb(frame, (0, 0, 4, 1), (4, 1)),
        to_bgr(frame),
        with_whole_pixels(frame).image,
    ):
        assert rgb[0, :, 0].tolist() == expected


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_of_twelve_bits(pattern: str) -> None:
    data = np.full((4, 4), 4095, "<u2").tobytes()
    frame = decode_message(message(f"bayer_{pattern}16", data, 8), TWELVE)
    assert crop_rgb(frame, 0, 0, 4, 4).tolist() == [[[255, 255, 255]] * 4] * 4


@pytest.mark.parametrize(
    ("format", "encoding"), [("", "mono8"), ("bayer_rggb16; png", "bayer_rggb16")]
)
def test_a_png_of_twelve_bits(format: str, encoding: str) -> None:
    data = cv2.imencode(".png", np.full((4, 4), 2048, np.uint16))[1].tobytes()
    frame = CompressedFrame(data, format, TWELVE)
    assert frame.encoding == encoding
    assert crop_rgb(frame.decoded(), 0, 0, 4, 4).tolist() == [[[128, 128, 128]] * 4] * 4


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_files_of_twelve_bits(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"0.{suffix}"), np.full((4, 4), 4095, np.uint16))
    recording = open_recording(tmp_path)
    dark = next(iter(recording))
    assert (dark.encoding, int(dark.image.max()), dark.from_16_bits) == ("bgr8", 16, True)
    recording.decoding = TWELVE
    assert int(next(iter(recording)).image.min()) == 255


def look(frames: list[Frame]) -> SampleRange:
    seen = SampleRange()
    for frame in frames:
        seen.look(frame)
    return seen


@pytest.mark.parametrize("encoding", ["mono16", "bayer_rggb16"])
def test_a_camera_that_stays_below_an_eighth_is_told_once(
    caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    seen = look([deep(4095, encoding=encoding)] * (FRAMES - 1))
    assert not caplog.records
    for _ in range(20):
        seen.look(deep(4095, encoding=encoding))
    seen.conclude()
    (record,) = caplog.records
    assert "in 10 images of 16 bits no sample reaches more than 6.2 % of white" in record.message
    assert "decoding.significant_bits 12" in record.message


def test_a_short_recording_is_told_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    look([deep(4095)]).conclude()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("largest", [8192, 65535])
def test_an_eighth_is_enough_and_once_is_enough(
    caplog: pytest.LogCaptureFixture, largest: int
) -> None:
    look([deep(10), deep(largest), *[deep(10)] * 30]).conclude()
    assert not caplog.records


def test_images_of_eight_bits_are_never_told(caplog: pytest.LogCaptureFixture) -> None:
    look([Frame(np.zeros((4, 4, 1), np.uint8), encoding="mono8")] * 30).conclude()
    assert not caplog.records


def test_more_bits_than_said_are_told(caplog: pytest.LogCaptureFixture) -> None:
    look([deep(16383, bits=12)])
    assert "samples reach 16383, more than the 4095 of decoding.significant_bits 12" in caplog.text


def test_with_the_right_bits_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    look([deep(4000, bits=12)] * 30).conclude()
    assert not caplog.records


@pytest.mark.parametrize(
    ("encoding", "assumed", "row"),
    [("8UC1", "mono8", 4), ("8UC3", "bgr8", 12), ("8UC4", "bgra8", 16), ("16UC1", "mono16", 8)],
)
def test_encodings_without_colours_by_a_parameter_that_says_so(
    encoding: str, assumed: str, row: int
) -> None:
    data = np.random.default_rng(0).integers(0, 256, 3 * (row + 1), np.uint8).tobytes()
    sent = message(encoding, data, row + 1)  # padded rows
    with pytest.raises(
        ImageError, match=f"got '{encoding}'; decoding.assume_colours takes it as {assumed}"
    ):
        decode_message(sent)
    frame = decode_message(sent, DecodingConfig(assume_colours=True))
    assert frame.encoding == assumed
    same = decode_message(message(assumed, data, row + 1))
    assert np.array_equal(crop_rgb(frame, 0, 0, 4, 3), crop_rgb(same, 0, 0, 4, 3))


@pytest.mark.parametrize("encoding", ["8UC2", "16SC1", "32FC1", "64FC3"])
def test_others_without_colours_are_refused_all_the_same(encoding: str) -> None:
    with pytest.raises(ImageError, match=f"got '{encoding}'"):
        decode_message(message(encoding, bytes(128), 32), DecodingConfig(assume_colours=True))
