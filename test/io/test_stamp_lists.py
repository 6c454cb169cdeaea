"""Tests of tasksr_ros.io.stamp_lists, through the folders that it is for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.io.folders import FolderRecording
from tasksr_ros.io.recordings import open_recording

NUMBERS = ("000000.png", "000001.png", "000002.png")
BESIDE = "no stamps in the images' names or beside them: 10 frames a second are assumed"


def images(folder: Path, names: tuple[str, ...] = NUMBERS) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.full((16, 24, 3), 90, np.uint8))
    return folder


def told(folder: Path) -> list[str]:
    """The notes, without where."""
    start = f"{folder}: "
    notes = open_recording(folder).notes
    assert all(note.startswith(start) for note in notes)
    return [note.removeprefix(start).replace(f"{folder.parent}/", "") for note in notes]


def test_kitti_odometry(tmp_path: Path) -> None:
    folder = images(tmp_path / "00/image_2")
    (tmp_path / "00/times.txt").write_text("0.000000e+00\n1.037875e-01\n2.076316e-01\n")
    assert open_recording(folder).stamps == [0, 103_787_500, 207_631_600]
    assert told(folder) == ["the images' stamps are read from times.txt, line by line"]


def test_an_image_of_many_has_its_own_stamp(tmp_path: Path) -> None:
    folder = images(tmp_path / "00/image_2")
    (tmp_path / "00/times.txt").write_text("0.0\n0.1\n0.2\n")
    assert open_recording(folder / "000002.png").stamps == [200_000_000]


def test_images_that_lack_some_are_numbered_from_0(tmp_path: Path) -> None:
    folder = images(tmp_path / "00/image_2", ("000001.png", "000003.png"))
    (tmp_path / "00/times.txt").write_text("0.0\n0.1\n0.2\n0.3\n")
    assert open_recording(folder).stamps == [100_000_000, 300_000_000]
    assert told(folder) == ["the images' stamps are read from times.txt, by number, counted from 0"]


@pytest.mark.parametrize("folder", ["data", "data_rect", "data_rgb"])
def test_kitti_raw_and_360(tmp_path: Path, folder: str) -> None:
    images(tmp_path / "image_00" / folder)
    lines = [f"2013-05-28 08:46:02.{k}04381952\n" for k in (9, 4, 5)]
    lines[1:] = [line.replace("46:02", "46:03") for line in lines[1:]]
    (tmp_path / "image_00/timestamps.txt").write_text("".join(lines))
    recording = open_recording(tmp_path / "image_00" / folder)
    assert [stamp - 1_369_730_762 * 10**9 for stamp in recording.stamps] == [
        904_381_952,
        1_404_381_952,
        1_504_381_952,
    ]
    assert not recording.notes


@pytest.mark.parametrize(
    ("path", "text", "how"),
    [
        (  # TUM RGB-D
            "rgb.txt",
            "# color images\n# file: 'a.bag'\n# timestamp filename\n"
            "1305031102.175304 rgb/000000.png\n1305031102.211214 rgb/000001.png\n"
            "1305031102.243211 rgb/000002.png\n",
            "by the images' names",
        ),
        (  # EuRoC
            "rgb.csv",
            "#timestamp [ns],filename\r\n1305031102175304000,000000.png\r\n"
            "1305031102211214000,000001.png\r\n1305031102243211000,000002.png\r\n",
            "by the images' names",
        ),
        (  # TUM monocular: number, stamp, exposure
            "times.txt",
            "000000 1305031102.175304 0.0123\n000001 1305031102.211214 0.0124\n"
            "000002 1305031102.243211 0.0123\n",
            "by the images' names",
        ),
        (
            "rgb/stamps.csv",
            "file_name;stamp_ns\n000002.png;1305031102243211000\n"
            "000000.png;1305031102175304000\n000001.png;1305031102211214000\n",
            "by the images' names",
        ),
        (
            "rgb/Timestamps.TXT",
            "1305031102175304\n1305031102211214\n1305031102243211\n",
            "line by line",
        ),
        (
            "rgb/timestamps.csv",
            "frame,time (ms),exposure_ms\n7,1305031102175.304,9\n8,1305031102211.214,9\n"
            "9,1305031102243.211,9\n",
            "line by line",
        ),
        (
            "times.csv",
            "seq,secs,nsecs\n0,1305031102,175304000\n1,1305031102,211214000\n"
            "2,1305031102,243211000\n",
            "line by line",
        ),
        (
            "times.txt",
            "1305031102 175304000\n1305031102 211214000\n1305031102 243211000\n",
            "line by line",
        ),
        (
            "timestamps.txt",
            "\ufeff2011-05-10T14:38:22.175304+02:00\n2011-05-10T12:38:22.211214Z\n"
            "2011-05-10 12:38:22.243211\n",
            "line by line",
        ),
        (
            "image_timestamps.txt",
            "1.305031102175304e9 1\n1.305031102211214e9 1\n1.305031102243211e9 1\n",
            "line by line",
        ),
    ],
)
def test_forms(tmp_path: Path, path: str, text: str, how: str) -> None:
    folder = images(tmp_path / "rgb")
    (tmp_path / path).write_text(text, encoding="utf-8")
    assert open_recording(folder).stamps == [
        1305031102175304000,
        1305031102211214000,
        1305031102243211000,
    ]
    shown = path.replace("rgb/", f"{folder}/").replace(f"{tmp_path}/", "")
    assert told(folder) == [f"the images' stamps are read from {shown}, {how}"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.0\n0.1\n", "expected a stamp for image 2 of rgb, got 2 stamps"),
        ("0\n100\n200\n", "0 to 200 may be s, ms, us or ns"),
        ("0.0\n33.4\n66.7\n", "0.0 to 66.7 may be s, ms, us or ns"),
        ("0.0\n0,1\n0.2\n", "expected lines with as many values each"),
        ("0.0\nnan\n0.2\n", "expected dates and times, or numbers, got 'nan'"),
        ("-0.1\n0.0\n0.1\n", "expected dates and times, or numbers, got '-0.1'"),
        ("1e999999\n2e999999\n3e999999\n", "expected times, got 3E+999999"),
        ("0.0 0.0\n0.1 0.2\n0.2 0.3\n", "2 of its 2 columns may be stamps"),
        ("sec msec\n5 0\n5 1\n5 2\n", "2 of its 2 columns may be stamps"),
        ("5 0\n5 100000000\n5 200000000\n", "5 may be s, ms, us or ns"),
        ("000000.png 0.0\n000001.png 0.1\n", "it names 2 of the 3 images once"),
        (
            "000000.png 0.0\n000001.png 0.1\n000001.png 0.2\n000002.png 0.3\n",
            "it names 3 of the 3 images once",
        ),
        ("2011-13-26 13:04:32\n" * 3, "month must be in 1..12"),
        ("", "expected lines with as many values each"),
    ],
)
def test_what_is_not_certain_is_told_and_not_taken(tmp_path: Path, text: str, why: str) -> None:
    folder = images(tmp_path / "rgb")
    (tmp_path / "times.txt").write_text(text)
    assert open_recording(folder).stamps == [0, 100_000_000, 200_000_000]
    notes = told(folder)
    assert notes[0].startswith("times.txt is not taken for the images' stamps: ")
    assert why in notes[0]
    assert notes[1:] == [BESIDE]


def test_a_header_says_the_unit(tmp_path: Path) -> None:
    folder = images(tmp_path / "rgb")
    (tmp_path / "times.txt").write_text("# time_ms\n0\n33\n67\n")
    assert open_recording(folder).stamps == [0, 33_000_000, 67_000_000]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rgb.csv", "000000.png,0.93\n000001.png,0.91\n000002.png,0.97\n"),  # scores
        ("rgb.txt", "1 0 0 0 0.5 1.5 2.5 1 000000.png\n12 15 -1\n"),  # COLMAP
        ("rgb.txt", "0.0\n0.1\n0.2\n"),
        ("gps.txt", "0.0\n0.1\n0.2\n"),
    ],
)
def test_other_tables_are_left_alone(tmp_path: Path, name: str, text: str) -> None:
    folder = images(tmp_path / "rgb")
    (tmp_path / name).write_text(text)
    assert told(folder) == [BESIDE]


def test_each_tenth_image_with_its_line(tmp_path: Path) -> None:
    folder = images(tmp_path / "rgb", ("0010.png", "0020.png", "0030.png"))
    (tmp_path / "times.txt").write_text("1.0\n2.0\n3.0\n")
    assert open_recording(folder).stamps == [10**9, 2 * 10**9, 3 * 10**9]


def test_names_that_say_their_stamps_need_no_list(tmp_path: Path) -> None:
    folder = images(tmp_path / "rgb", ("1305031102.175304.png", "1305031102.211214.png"))
    (tmp_path / "times.txt").write_text("0.0\n0.1\n")
    assert open_recording(folder).stamps == [1305031102175304000, 1305031102211214000]


def test_images_of_a_ground_truth_have_their_own_lines(tmp_path: Path) -> None:
    """Two of three images: line 2 is not the second of them."""
    folder = images(tmp_path / "rgb", ("a.png", "b.png", "c.png"))
    (tmp_path / "times.txt").write_text("0.0\n0.1\n0.2\n")
    some = FolderRecording(folder, [folder / "a.png", folder / "c.png"])
    assert some.stamps == [0, 200_000_000]


def test_an_image_of_a_name_that_is_not_looked_for(tmp_path: Path) -> None:
    folder = images(tmp_path / "rgb", (".hidden.png",))
    assert open_recording(folder / ".hidden.png").stamps == [0]
    (tmp_path / "times.txt").write_text("1305031102.5\n")
    assert open_recording(folder / ".hidden.png").stamps == [1305031102500000000]
