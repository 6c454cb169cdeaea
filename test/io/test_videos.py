"""Tests of tasksr_ros.io.videos: the time of each frame, as phones and browsers write it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.io.recording import length
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.video_writer import VideoWriter

VARIABLE = [0, 33, 67, 100, 1300, 1400, 1500, 1700]
"""Milliseconds: 30 frames a second, a gap of 1.2 s, then 10 a second with one left out."""


def picture(index: int) -> np.ndarray:
    return np.full((48, 64, 3), 8 * index + 40, np.uint8)


def mkv(path: Path, times_ms: Sequence[int], duration_ms: float = 0.0) -> Path:
    """A Matroska file of JPEG frames (RFC 9559)."""

    def element(number: str, data: bytes) -> bytes:
        return bytes.fromhex(number) + (len(data) | 1 << 56).to_bytes(8, "big") + data

    head = element("1A45DFA3", element("4282", b"matroska"))
    duration = element("4489", struct.pack(">d", duration_ms)) if duration_ms else b""
    info = element("1549A966", element("2AD7B1", (1_000_000).to_bytes(3, "big")) + duration)
    size = element("B0", bytes([64])) + element("BA", bytes([48]))
    track = (
        element("D7", b"\1")
        + element("73C5", b"\1")
        + element("83", b"\1")
        + element("86", b"V_MJPEG")
        + element("E0", size)
    )
    blocks = element("E7", b"\0")
    for index, time in enumerate(times_ms):
        jpeg = cv2.imencode(".jpg", picture(index))[1].tobytes()
        blocks += element("A3", b"\x81" + time.to_bytes(2, "big") + b"\x80" + jpeg)
    tracks = element("1654AE6B", element("AE", track))
    path.write_bytes(head + element("18538067", info + tracks + element("1F43B675", blocks)))
    return path


def plain_mp4(path: Path, count: int) -> Path:
    with VideoWriter(path, 20, (64, 48)) as writer:
        for index in range(count):
            writer.write(picture(index))
    return path


def box_at(data: bytes, way: Sequence[bytes]) -> tuple[list[int], int]:
    """Where the boxes on a way from the top of an mp4 begin, and where the last one ends."""
    start, end, found = 0, len(data), []
    for name in way:
        while data[start + 4 : start + 8] != name:
            start += int.from_bytes(data[start : start + 4], "big")
            assert start < end, name
        found.append(start)
        end = start + int.from_bytes(data[start : start + 4], "big")
        start += 8
    return found, end


TRACK = (b"moov", b"trak", b"mdia")
STTS = (*TRACK, b"minf", b"stbl", b"stts")


def mp4(path: Path, times_ms: Sequence[int]) -> Path:
    """An mp4 whose frames are shown at these times (ISO 14496-12, 8.6.1.2)."""
    data = bytearray(plain_mp4(path, len(times_ms)).read_bytes())
    mdhd = box_at(data, (*TRACK, b"mdhd"))[0][-1]
    scale = int.from_bytes(data[mdhd + 20 : mdhd + 24], "big")
    ticks = [time * scale // 1000 for time in times_ms]
    steps = np.diff([*ticks, ticks[-1] + scale // 10]).tolist()
    entries = b"".join(struct.pack(">II", 1, step) for step in steps)
    stts = b"stts" + bytes(4) + struct.pack(">I", len(steps)) + entries
    starts, end = box_at(data, STTS)
    more = len(stts) + 4 - (end - starts[-1])
    for start in starts[:-1]:
        size = int.from_bytes(data[start : start + 4], "big")
        data[start : start + 4] = (size + more).to_bytes(4, "big")
    data[starts[-1] : end] = (len(stts) + 4).to_bytes(4, "big") + stts
    edits = box_at(data, (b"moov", b"trak", b"edts"))[0][-1]
    data[edits + 4 : edits + 8] = b"free"  # they end where the frames did
    path.write_bytes(data)
    return path


def read(path: Path) -> tuple[list[float], list[int]]:
    """Milliseconds of the frames, and which picture each is."""
    frames = list(open_recording(path))
    levels = [round((float(f.image.mean()) - 40) / 8) for f in frames]
    return [round(f.stamp_ns / 1e6) for f in frames], levels


def test_an_mp4_of_variable_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = mp4(tmp_path / "phone.mp4", VARIABLE)
    times, levels = read(path)
    assert np.abs(np.subtract(times, VARIABLE)).max() <= 1
    assert levels == [0, 1, 2, 3, 4, 5, 6, 7]
    assert len(open_recording(path)) == 8
    assert not caplog.records


def test_a_matroska_file_of_variable_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = mkv(tmp_path / "browser.mkv", VARIABLE)
    assert read(path) == (VARIABLE, [0, 1, 2, 3, 4, 5, 6, 7])
    assert length(open_recording(path)) is None
    assert not caplog.records


def test_the_same_stamps_when_read_again(tmp_path: Path) -> None:
    recording = open_recording(mkv(tmp_path / "v.mkv", VARIABLE))
    first = [item.stamp_ns for item in recording.pending()]
    assert first == [item.stamp_ns for item in recording.pending()]
    assert first[4] == 1_300_000_000


def test_stamps_count_from_the_first_frame(tmp_path: Path) -> None:
    assert read(mkv(tmp_path / "cut.mkv", [2000, 2033, 2067]))[0] == [0, 33, 67]


def test_a_container_without_times_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (64, 48))
    for index in range(3):
        writer.write(picture(index))
    writer.release()
    recording = open_recording(path)
    for _ in range(2):
        assert [item.stamp_ns for item in recording.pending()] == [0, 50_000_000, 100_000_000]
    told = "drive.avi: its container holds no time of each frame: 20 frames a second are assumed"
    assert caplog.text.count(told) == 1


def test_a_raw_stream_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    jpegs = [cv2.imencode(".jpg", picture(index))[1].tobytes() for index in range(3)]
    (tmp_path / "drive.mjpeg").write_bytes(b"".join(jpegs))
    assert read(tmp_path / "drive.mjpeg") == ([0, 40, 80], [0, 1, 2])
    assert "25 frames a second are assumed" in caplog.text


def test_times_that_do_not_rise_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(mkv(tmp_path / "v.mkv", [0, 40, 40, 40, 200]))[0] == [0, 40, 41, 42, 200]
    assert "the times of 2 of 5 frames do not rise" in caplog.text


def test_a_video_without_its_end_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = mkv(tmp_path / "v.mkv", VARIABLE, duration_ms=1800)
    assert read(path)[0] == VARIABLE
    assert not caplog.records
    path.write_bytes(path.read_bytes()[:3000])
    assert len(read(path)[0]) < 5
    assert "v.mkv states 1.8 s, its frames end after 0." in caplog.text


@pytest.mark.parametrize(
    ("matrix", "brightest"),
    [
        ((1, 0, 0, 1), "left"),
        ((0, 1, -1, 0), "top"),
        ((-1, 0, 0, -1), "right"),
        ((0, -1, 1, 0), "bottom"),
    ],
)
def test_a_phone_held_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], brightest: str
) -> None:
    """The track's matrix turns the frames as players do."""
    path = tmp_path / "phone.mp4"
    image = np.full((48, 64, 3), 40, np.uint8)
    image[:, :32] = 200
    with VideoWriter(path, 20, (64, 48)) as writer:
        writer.write(image)
    data = bytearray(path.read_bytes())
    tkhd = box_at(data, (b"moov", b"trak", b"tkhd"))[0][-1]
    a, b, c, d = (value << 16 for value in matrix)
    data[tkhd + 48 : tkhd + 84] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    frame = next(iter(open_recording(path)))
    halves = np.array_split
    rows, columns = halves(frame.image, 2, axis=0), halves(frame.image, 2, axis=1)
    sides = {"top": rows[0], "bottom": rows[1], "left": columns[0], "right": columns[1]}
    assert max(sides, key=lambda side: float(sides[side].mean())) == brightest
    assert frame.size == ((64, 48) if brightest in ("left", "right") else (48, 64))
