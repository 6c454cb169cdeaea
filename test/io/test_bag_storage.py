"""Tests of tasksr_ros.io.bag_storage: bags as other tools leave them."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from backports import zstd
from mcap_writer import Form, write_mcap
from numpy.typing import NDArray
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ImageError, RecordingError
from tasksr_ros.io.frames import to_bgr
from tasksr_ros.io.make_bag import make_bag
from tasksr_ros.io.recording import Recording
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.replay.many import recordings_below

ROS_1, ROS_2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_JAZZY)
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
START = 7_000_000_000


def picture(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (33, 65, 3), np.uint8)


def header(types: Typestore, index: int) -> object:
    stamp = types.types["builtin_interfaces/msg/Time"](sec=7, nanosec=index)
    more = {"seq": 90 + index} if types is ROS_1 else {}
    return types.types["std_msgs/msg/Header"](stamp=stamp, frame_id="front", **more)


def image(types: Typestore, index: int) -> object:
    return types.types[IMAGE](
        header=header(types, index), height=33, width=65, encoding="bgr8", is_bigendian=0,
        step=195, data=picture(index).reshape(-1),
    )  # fmt: skip


def cdr(index: int) -> bytes:
    return bytes(ROS_2.serialize_cdr(image(ROS_2, index), IMAGE))


def plain_bag(path: Path, storage: str, count: int = 3, first: int = 0) -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        connection = writer.add_connection("/cam/image", IMAGE, typestore=ROS_2)
        for index in range(first, first + count):
            writer.write(connection, START + index, cdr(index))
    return next(f for f in path.iterdir() if f.suffix in (".mcap", ".db3"))


def numbers(recording: Recording) -> list[int]:
    """Which pictures come, in their order."""
    found = []
    for frame in recording:
        found.append(frame.stamp_ns - START)
        assert np.array_equal(to_bgr(frame), picture(found[-1]))
    return found


@pytest.mark.parametrize("suffix", [".zstd", ".zst"])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_compressed_file_alone_and_in_a_folder(tmp_path: Path, storage: str, suffix: str) -> None:
    file = plain_bag(tmp_path / "bag", storage)
    alone = tmp_path / "alone" / f"{file.name}{suffix}"
    alone.parent.mkdir()
    alone.write_bytes(zstd.compress(file.read_bytes()))
    for path in (alone, alone.parent):
        recording = open_recording(path)
        assert (len(recording), numbers(recording)) == (3, [0, 1, 2])
        assert numbers(recording) == [0, 1, 2]  # again


def test_splits_of_which_one_is_compressed(tmp_path: Path) -> None:
    first, second = plain_bag(tmp_path / "a", "mcap", 2), plain_bag(tmp_path / "b", "mcap", 4)
    folder = tmp_path / "bag"
    folder.mkdir()
    (folder / "bag_0.mcap.zstd").write_bytes(zstd.compress(first.read_bytes()))
    (folder / "bag_1.mcap").write_bytes(second.read_bytes())
    assert sorted(numbers(open_recording(folder))) == [0, 0, 1, 1, 2, 3]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_metadata_that_name_the_files_in_another_order(tmp_path: Path, storage: str) -> None:
    """As `ros2 bag reindex` did, by text: bag_10 before bag_2; their times overlap besides."""
    folder = tmp_path / "bag"
    early, late = plain_bag(folder, storage, 4), plain_bag(tmp_path / "late", storage, 3, first=3)
    late.rename(folder / f"bag_10{late.suffix}")
    early.rename(folder / f"bag_2{early.suffix}")
    metadata = folder / "metadata.yaml"
    text = metadata.read_text()
    named = f"- {early.name}\n"
    assert named in text
    other = f"- bag_10{late.suffix}\n"
    indent = " " * text.split(named)[0].rpartition("\n")[2].count(" ")
    text = text.replace(named, f"{other}{indent}- bag_2{early.suffix}\n", 1)
    metadata.write_text(text.replace("message_count: 4", "message_count: 7"))
    recording = open_recording(folder)
    assert (len(recording), numbers(recording)) == (7, [0, 1, 2, 3, 3, 4, 5])


def test_a_compressed_file_without_its_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    data = zstd.compress(plain_bag(tmp_path / "bag", "mcap", 400).read_bytes())
    file = tmp_path / "bag.mcap.zstd"
    file.write_bytes(data[: len(data) // 2])
    recording = open_recording(file)
    count = 0
    with pytest.raises(RecordingError, match=r"bag\.mcap\.zstd: its end is missing"):
        for count, frame in enumerate(recording, 1):
            assert np.array_equal(frame.image, picture(count - 1))
    assert 150 < count < 250


def test_what_is_no_zstd_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bag.mcap.zstd"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(RecordingError, match=r"bag\.mcap\.zstd: .*Unknown frame descriptor"):
        open_recording(file)


@pytest.mark.parametrize("change", [str.upper, str.title])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_suffix_in_another_case(
    tmp_path: Path, storage: str, change: Callable[[str], str]
) -> None:
    file = plain_bag(tmp_path / "bag", storage)
    other = file.rename(tmp_path / change(file.name))
    assert numbers(open_recording(other)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.mcap.lz4", "a.db3.gz", "a.bag.zst", "drive.tar.gz", "a.ZIP"])
def test_a_packed_file_is_to_be_unpacked_first(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"packed")
    with pytest.raises(RecordingError, match=r"must be unpacked first: .*\.zstd and \.zst"):
        open_recording(tmp_path / name)


def test_metadata_without_files(tmp_path: Path) -> None:
    plain_bag(tmp_path / "bag", "mcap").unlink()
    with pytest.raises(RecordingError, match=r"bag is truncated .*files are missing"):
        open_recording(tmp_path / "bag")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("name", ["run#1", "run?x=1", "100%25", "a%41b", "take 1 & 2", "caf\udce9"])
def test_paths_are_no_uris(tmp_path: Path, storage: str, name: str) -> None:
    plain_bag(tmp_path / "bag", storage)
    folder = (tmp_path / name) / "bag"
    shutil.copytree(tmp_path / "bag", folder)
    assert numbers(open_recording(folder)) == [0, 1, 2]
    file = next(f for f in folder.iterdir() if f.suffix in (".mcap", ".db3"))
    assert numbers(open_recording(file)) == [0, 1, 2]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_file_that_the_metadata_do_not_name_is_told(
    tmp_path: Path, storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "bag"
    plain_bag(folder, storage)
    other = plain_bag(tmp_path / "other", storage, first=3)
    other = other.rename(folder / f"bag_7{other.suffix}")
    recording = open_recording(folder)
    assert numbers(recording) == [0, 1, 2]
    assert caplog.messages == [
        f"{folder}: {other.name} is left out: the bag's metadata.yaml does not name it "
        f"(`ros2 bag reindex` writes it anew)"
    ]


@pytest.mark.parametrize("kept", ["folder", "without metadata", "file"])
def test_messages_of_a_killed_recorder_in_sqlites_journal_are_told(
    tmp_path: Path, kept: str
) -> None:
    file = plain_bag(tmp_path / "live", "sqlite3")
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("INSERT INTO messages SELECT id + 9, topic_id, timestamp, data FROM messages")
    database.commit()
    folder = tmp_path / "bag"
    shutil.copytree(tmp_path / "live", folder)  # as it is while the recorder runs
    database.close()
    if kept == "without metadata":
        (folder / "metadata.yaml").unlink()
    recording = open_recording(folder / file.name if kept == "file" else folder)
    wanted = f"{file.name}-wal may hold messages that {file.name} lacks: `sqlite3 {file.name} 'PRAG"
    read = []
    with pytest.raises(RecordingError, match=re.escape(wanted)):
        read.extend(frame.stamp_ns - START for frame in recording)
    assert read == [0, 1, 2]
    assert len(list(open_recording(tmp_path / "live"))) == 6


def test_fewer_images_than_the_metadata_state_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "bag"
    plain_bag(folder, "mcap")
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 3", "message_count: 9"))
    recording = open_recording(folder)
    assert (numbers(recording), numbers(recording)) == ([0, 1, 2], [0, 1, 2])
    assert caplog.messages == [f"{folder}: 9 images are stated, 3 are there"]


def test_stamps_that_do_not_rise_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/cam/image", IMAGE, typestore=ROS_2)
        for position, index in enumerate((0, 2, 1, 1, 3)):
            writer.write(connection, START + position, cdr(index))
    assert numbers(open_recording(tmp_path / "bag")) == [0, 2, 1, 1, 3]
    assert caplog.messages == [
        f"{tmp_path / 'bag'}: the stamps of 2 of 5 images on /cam/image do not rise: they are "
        f"taken as they are"
    ]


def ros_1_bag(path: Path, compression: str = "NONE") -> Path:
    types = ROS_1.types
    roi = types["sensor_msgs/msg/RegionOfInterest"]
    writer = Ros1Writer(path)
    if compression != "NONE":
        writer.set_compression(Ros1Writer.CompressionFormat[compression])
    with writer:
        raw = writer.add_connection("/cam/image_raw", IMAGE, typestore=ROS_1)
        small = writer.add_connection("/cam/image_raw/compressed", COMPRESSED, typestore=ROS_1)
        info = writer.add_connection("/cam/camera_info", INFO, typestore=ROS_1)
        text = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=ROS_1)
        hello = types["std_msgs/msg/String"](data="hello")
        writer.write(text, START, ROS_1.serialize_ros1(hello, "std_msgs/msg/String"))
        for index in range(3):
            time = START + index
            message = image(ROS_1, index)
            writer.write(raw, time, ROS_1.serialize_ros1(message, IMAGE))
            png = cv2.imencode(".png", picture(index))[1].reshape(-1)
            packed = types[COMPRESSED](header=header(ROS_1, index), format="png", data=png)
            writer.write(small, time, ROS_1.serialize_ros1(packed, COMPRESSED))
            calibration = types[INFO](
                header=header(ROS_1, index), height=33, width=65, distortion_model="plumb_bob",
                D=np.zeros(5), K=np.array([70, 0, 32, 0, 71, 16, 0, 0, 1.0]),
                R=np.eye(3).reshape(-1), P=np.zeros(12), binning_x=0, binning_y=0,
                roi=roi(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
            )  # fmt: skip
            writer.write(info, time, ROS_1.serialize_ros1(calibration, INFO))
    return path


@pytest.mark.parametrize("compression", ["NONE", "BZ2", "LZ4"])
@pytest.mark.parametrize("topic", ["/cam/image_raw", "/cam/image_raw/compressed"])
def test_a_ros_1_bag(tmp_path: Path, compression: str, topic: str) -> None:
    recording = open_recording(ros_1_bag(tmp_path / "drive.bag", compression), topic)
    assert (len(recording), recording.frame_id) == (3, "front")
    assert numbers(recording) == [0, 1, 2]
    assert recording.camera == CameraModel(65, 33, 70, 71, 32, 16)


def test_a_ros_1_bag_becomes_one_of_ros_2(tmp_path: Path) -> None:
    source = open_recording(ros_1_bag(tmp_path / "drive.bag"), "/cam/image_raw")
    again = open_recording(make_bag(source, tmp_path / "bag"))
    assert numbers(again) == [0, 1, 2]
    assert again.camera == CameraModel(65, 33, 70, 71, 32, 16)


def test_ros_1_bags_are_recordings_of_a_folder(tmp_path: Path) -> None:
    bags = [ros_1_bag(tmp_path / name) for name in ("1.bag", "2.bag")]
    (tmp_path / "._1.bag").write_bytes(b"\0\5\x16\7")  # as macOS copies
    (tmp_path / "3.ts").write_bytes(b"G")
    assert recordings_below(tmp_path) == [*bags, tmp_path / "3.ts"]


def test_what_macos_leaves_beside_storage_files_is_none_of_them(tmp_path: Path) -> None:
    file = plain_bag(tmp_path / "bag", "mcap")
    (file.parent / "metadata.yaml").unlink()
    file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
    assert numbers(open_recording(file.parent)) == [0, 1, 2]


def test_an_unreadable_message_of_ros_1_is_one_image_less(tmp_path: Path) -> None:
    with Ros1Writer(tmp_path / "drive.bag") as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=ROS_1)
        for index in range(3):
            data = bytes(ROS_1.serialize_ros1(image(ROS_1, index), IMAGE))
            writer.write(connection, START + index, data[:60] if index == 1 else data)
    items = list(open_recording(tmp_path / "drive.bag").pending())
    assert [items[k].load().stamp_ns - START for k in (0, 2)] == [0, 2]
    with pytest.raises(ImageError, match="is unreadable"):
        items[1].load()


def test_a_ros_1_bag_without_an_index_says_what_to_do(tmp_path: Path) -> None:
    path = ros_1_bag(tmp_path / "drive.bag.active")
    data = bytearray(path.read_bytes())
    at = data.index(b"index_pos=") + len(b"index_pos=")
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=r"not indexed, reindex before reading"):
        open_recording(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_ros_1_bag_is_refused(tmp_path: Path, share: float) -> None:
    path = ros_1_bag(tmp_path / "drive.bag")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(RecordingError, match=r"drive\.bag is truncated or unreadable"):
        list(open_recording(path, "/cam/image_raw"))


ALL = ("schemas", "channels", "statistics", "chunks")
FORMS = {
    "indexed": Form(summary=ALL, message_index=True),
    "no summary": Form(),
    "no chunks": Form(chunked=False),
    "no message index": Form(summary=ALL),
    "no message index, no statistics": Form(summary=("schemas", "channels", "chunks")),
    "statistics alone": Form(summary=("statistics",)),
    "no channels": Form(summary=("schemas", "statistics", "chunks"), message_index=True),
    "no profile": Form(profile="", summary=ALL, message_index=True),
    "no profile, no summary": Form(profile="", chunked=False),
    "JSON beside": Form(foreign=True),
    "JSON beside, indexed": Form(foreign=True, summary=ALL, message_index=True),
}


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [0, 2, 1, 4, 3], [4, 3, 2, 1, 0]])
@pytest.mark.parametrize("form", FORMS)
def test_an_mcap_of_another_tool(tmp_path: Path, form: str, order: Sequence[int]) -> None:
    messages = [(START + index, cdr(index)) for index in order]
    path = write_mcap(tmp_path / "other.mcap", "/cam/image", IMAGE, messages, FORMS[form])
    recording = open_recording(path)
    assert (len(recording), numbers(recording)) == (5, [0, 1, 2, 3, 4])
    assert recording.duration_s == pytest.approx(4e-9, abs=1e-9)


def test_two_at_the_same_time_keep_their_order(tmp_path: Path) -> None:
    messages = [(START + t, cdr(i)) for t, i in ((5, 0), (5, 1), (1, 2), (5, 3))]
    path = write_mcap(tmp_path / "other.mcap", "/cam/image", IMAGE, messages, Form())
    assert numbers(open_recording(path)) == [2, 0, 1, 3]


@pytest.mark.parametrize("profile", ["", "ros2"])
def test_an_mcap_without_its_end_is_told_whatever_its_profile(tmp_path: Path, profile: str) -> None:
    messages = [(START + index, cdr(index)) for index in range(5)]
    form = Form(profile=profile, chunked=False)
    path = write_mcap(tmp_path / "other.mcap", "/cam/image", IMAGE, messages, form)
    path.write_bytes(path.read_bytes()[:-3000])
    found = []
    with pytest.raises(RecordingError, match=r"other\.mcap: its end is missing, \d+ bytes"):
        for frame in open_recording(path):
            found.append(frame.stamp_ns - START)
    assert found == [0, 1, 2, 3]


def test_an_mcap_of_ros_1_is_refused_by_name(tmp_path: Path) -> None:
    form = Form(profile="ros1")
    path = write_mcap(tmp_path / "other.mcap", "/cam/image", IMAGE, [(START, cdr(0))], form)
    with pytest.raises(RecordingError, match="of ROS 2 is expected, got one of ROS 1"):
        open_recording(path)
