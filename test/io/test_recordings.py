from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ImageError, RecordingError
from tasksr_ros.io.bags import IMAGE, camera_info_topics
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.recording import Encoded, Recording, make_folder
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.video_writer import VideoWriter

TYPES = get_typestore(Stores.ROS2_JAZZY)


def picture(index: int, width: int = 65, height: int = 33) -> NDArray[np.uint8]:
    rng = np.random.default_rng(index)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def image_folder(folder: Path, count: int = 3, suffix: str = "png") -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:04d}.{suffix}"), picture(index))
    return folder


def image_message(index: int, **changes: object) -> object:
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=7, nanosec=index)
    fields: dict[str, object] = {
        "header": TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id="front"),
        "height": 33,
        "width": 65,
        "encoding": "bgr8",
        "is_bigendian": 0,
        "step": 195,
        "data": picture(index).reshape(-1),
    }
    return TYPES.types["sensor_msgs/msg/Image"](**{**fields, **changes})


def write_bag(path: Path, topics: dict[str, list[object]], storage: str = "mcap") -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        for topic, messages in topics.items():
            msgtype = messages[0].__msgtype__  # type: ignore[attr-defined]
            connection = writer.add_connection(topic, msgtype, typestore=TYPES)
            for message in messages:
                data = TYPES.serialize_cdr(message, msgtype)
                stamp = getattr(message, "header", None)
                nanoseconds = stamp.stamp.nanosec if stamp else 0
                writer.write(connection, 7_000_000_000 + nanoseconds, data)
    return path


def text_message() -> object:
    return TYPES.types["std_msgs/msg/String"](data="hello")


def test_a_folder_is_read_by_name(tmp_path: Path) -> None:
    recording = open_recording(image_folder(tmp_path / "images"))
    assert len(recording) == 3
    assert recording.camera is None
    for _ in range(2):
        frames = list(recording)
        assert [f.stamp_ns for f in frames] == [0, 100_000_000, 200_000_000]
        assert all(np.array_equal(f.image, picture(i)) for i, f in enumerate(frames))
        assert {f.encoding for f in frames} == {"bgr8"}


def test_stored_files_stay_as_they_are(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images", suffix="jpg")
    cv2.imwrite(str(folder / "0003.bmp"), picture(3))
    items = list(open_recording(folder).encoded())
    assert isinstance(items[0], Encoded)
    assert (items[0].format, items[0].data) == ("jpeg", (folder / "0000.jpg").read_bytes())
    assert isinstance(items[3], Frame)


def test_one_image(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    recording = open_recording(folder / "0001.png")
    assert len(recording) == 1
    assert np.array_equal(next(iter(recording)).image, picture(1))


def test_a_folder_is_in_natural_order_without_hidden_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (10, 2, 1, 11):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number))
    (tmp_path / "._1.png").write_bytes(b"\0\5\x16\7")
    recording = open_recording(tmp_path)
    assert [item.name for item in recording.pending()] == ["1.png", "2.png", "10.png", "11.png"]
    assert [item.stamp_ns for item in recording.pending()] == [0, 10**8, 2 * 10**8, 3 * 10**8]
    assert caplog.text.count("10 frames a second are assumed") == 1


@pytest.mark.parametrize(
    ("names", "order", "note"),
    [
        (["0.1", "0.05", "0.15", "0.2"], ["0.05", "0.1", "0.15", "0.2"], ""),
        (["t1.5", "t1.05", "t0.95"], ["t0.95", "t1.05", "t1.5"], ""),
        (["2.10", "2.09", "2.11"], ["2.09", "2.10", "2.11"], ""),
        (["1.10", "1.9"], ["1.9", "1.10"], "1.9 before 1.10"),
        (["0.0", "0.25", "0.5", "0.75"], ["0.0", "0.5", "0.25", "0.75"], "0.5 before 0.25"),
        (["1.1", "2.10"], ["1.1", "2.10"], ""),
        (["a\u00b2b1", "a2", "a10"], ["a2", "a10", "a\u00b2b1"], ""),
    ],
)
def test_names_with_a_point(tmp_path: Path, names: list[str], order: list[str], note: str) -> None:
    """Seconds, 0.05 before 0.1, or two numbers, 1.9 before 1.10."""
    for name in names:
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture(1))
    recording = open_recording(tmp_path)
    assert [item.name.removesuffix(".png") for item in recording.pending()] == order
    told = [n for n in recording.notes if "10 frames" not in n]
    taken = f"{tmp_path}: numbers with a point are taken for two each: {note}"
    assert told == ([taken] if note else [])


@pytest.mark.parametrize(
    ("names", "stamps"),
    [
        (
            ["1403636579813555456", "1403636579763555584"],
            [1403636579763555584, 1403636579813555456],
        ),
        (["1616004242.35", "1616004242.100000000"], [1616004242100000000, 1616004242350000000]),
        (["1616004242350", "1616004242450"], [1616004242350000000, 1616004242450000000]),
        (["n__CAM__1532402927612460", "n__CAM__1532402927712460"], None),
    ],
)
def test_stamps_in_all_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], stamps: list[int] | None
) -> None:
    for name in names:
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture(1))
    found = [item.stamp_ns for item in open_recording(tmp_path).pending()]
    assert found == (stamps or [1532402927612460000, 1532402927712460000])
    assert not caplog.records


def test_stamps_that_do_not_rise_are_told(tmp_path: Path) -> None:
    for name in ("1616004242.5", "1616004242.50", "1616004243.5"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture(1))
    assert open_recording(tmp_path).notes == [
        f"{tmp_path}: the stamps of 1 of 3 images do not rise: they are taken as they are"
    ]


def test_other_recordings_in_a_folder_of_images_are_told(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images", 1)
    for name in ("a.MP4", "b.mp4", "c.bag", "d.heic", "._e.mp4"):
        (folder / name).write_bytes(b"")
    assert open_recording(folder).notes == [
        f"{folder}: 1 images are left out: .heic is not read",
        f"{folder}: 3 recordings are left out: .bag, .mp4 is read if it is named",
    ]


def kitti_drive(folder: Path, stamps: int = 4) -> Path:
    images = image_folder(folder / "image_02/data", 4)
    (images / "0001.png").unlink()  # real drives lack some, too
    lines = [f"2011-09-26 13:04:32.{i}49659964\n" for i in range(stamps)]
    (folder / "image_02/timestamps.txt").write_text("".join(lines))
    return folder


KITTI_START = 1_317_042_272_000_000_000


def test_kitti_layout_with_its_stamps_and_calibration(tmp_path: Path) -> None:
    drive = kitti_drive(tmp_path / "date/drive")
    (tmp_path / "date/calib_cam_to_cam.txt").write_text(
        "S_rect_02: 65 33\nP_rect_02: 70 0 32 0 0 71 16 0 0 0 1 0\n"
    )
    recording = open_recording(drive)
    assert [f.stamp_ns - KITTI_START for f in recording] == [49_659_964, 249_659_964, 349_659_964]
    assert recording.camera == CameraModel(65, 33, 70, 71, 32, 16)
    assert len(open_recording(drive / "image_02/data")) == 3


def test_kitti_with_stamps_of_oxts_only(tmp_path: Path) -> None:
    drive = kitti_drive(tmp_path / "drive")
    (drive / "oxts").mkdir()
    (drive / "image_02/timestamps.txt").rename(drive / "oxts/timestamps.txt")
    assert next(iter(open_recording(drive))).stamp_ns == KITTI_START + 49_659_964


def test_too_few_stamps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"a stamp for image 3 .* got 3 stamps"):
        open_recording(kitti_drive(tmp_path / "drive", stamps=3))


def test_stamps_of_images_without_numbers_need_a_line_each(tmp_path: Path) -> None:
    drive = kitti_drive(tmp_path / "drive")
    for file in (drive / "image_02/data").iterdir():
        file.rename(file.with_stem(f"f{file.stem}"))
    with pytest.raises(RecordingError, match=r"not numbered, got 4 for 3$"):
        open_recording(drive)
    lines = (drive / "image_02/timestamps.txt").read_text().splitlines()
    (drive / "image_02/timestamps.txt").write_text("\n".join(lines[:3]))
    assert [f.stamp_ns - KITTI_START for f in open_recording(drive)] == [
        49_659_964,
        149_659_964,
        249_659_964,
    ]


def test_stamps_and_camera_of_a_ground_truth(tmp_path: Path) -> None:
    image_folder(tmp_path / "drive/images", 2)
    camera = {"width": 65, "height": 33, "fx": 70, "fy": 70, "cx": 32, "cy": 16}
    images = [{"file_name": f"images/000{i}.png", "stamp_ns": 5 + i} for i in (1, 0)]
    text = json.dumps({"images": images, "camera": camera})
    (tmp_path / "drive/ground_truth.json").write_text(text)
    recording = open_recording(tmp_path / "drive")
    assert [f.stamp_ns for f in recording] == [5, 6]
    assert recording.camera == CameraModel(65, 33, 70, 70, 32, 16)


def two_cameras(folder: Path, listed: list[str]) -> Path:
    """Folders of two images each, with the same names; the ground truth above states stamps."""
    for side in ("left", "right"):
        image_folder(folder / side, 2)
    names = [f"{side}/{k:04d}.png" for side in listed for k in range(2)]
    images = [{"id": k, "file_name": n, "stamp_ns": 7_000 + k} for k, n in enumerate(names)]
    (folder / "ground_truth.json").write_text(json.dumps({"images": images}))
    return folder


@pytest.mark.parametrize("prefix", ["", "drive/", "C:\\drive\\"])
def test_each_folder_has_the_stamps_stated_for_it(tmp_path: Path, prefix: str) -> None:
    folder = two_cameras(tmp_path / "drive", [f"{prefix}left", f"{prefix}right"])
    assert open_recording(folder / "left").stamps == [7_000, 7_001]
    assert open_recording(folder / "right").stamps == [7_002, 7_003]


def test_stamps_of_another_folder_are_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = two_cameras(tmp_path / "drive", ["left"])
    assert open_recording(folder / "left").stamps == [7_000, 7_001]
    right = open_recording(folder / "right")
    assert right.stamps == [0, 100_000_000]
    assert len(list(right)) == 2
    assert "right: no stamps in the images' names or beside them: 10 frames" in caplog.text


def test_an_image_that_is_stated_twice_is_named(tmp_path: Path) -> None:
    folder = two_cameras(tmp_path / "drive", ["left", "left"])
    with pytest.raises(
        RecordingError, match=r"may be images\[0\] \(left/0000.png\) or images\[2\]"
    ):
        open_recording(folder / "left")


@pytest.mark.parametrize(
    ("stamps", "message"),
    [([1616004242.35, 1616004242.45], "whole nanoseconds, not 1616004242.35"), (["x"], "'x'")],
)
def test_stamps_of_a_ground_truth_are_whole_nanoseconds(
    tmp_path: Path, stamps: list[Any], message: str
) -> None:
    folder = image_folder(tmp_path / "images", len(stamps))
    images = [{"file_name": f"000{k}.png", "stamp_ns": stamp} for k, stamp in enumerate(stamps)]
    (folder / "ground_truth.json").write_text(json.dumps({"images": images}))
    with pytest.raises(RecordingError, match=f"must be COCO ground truth, got .*{message}"):
        open_recording(folder)


def test_stamps_in_names(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "n008__CAM_FRONT__1535639716662720.png"), picture(0))
    assert next(iter(open_recording(tmp_path))).stamp_ns == 1_535_639_716_662_720_000


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    (folder / "0001.png").write_bytes(b"broken")
    frames = iter(open_recording(folder))
    next(frames)
    with pytest.raises(ImageError, match=r"0001\.png: .* got 6 bytes that begin with"):
        next(frames)


def test_an_empty_folder_is_refused_and_images_below_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="must hold a bag or images"):
        open_recording(tmp_path)
    image_folder(tmp_path / "deep/CAM_FRONT")
    with pytest.raises(RecordingError, match=r"there are images in .*deep/CAM_FRONT"):
        open_recording(tmp_path)


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"xx cannot be read: File name too long"):
        open_recording(tmp_path / ("x" * 300))


def test_an_output_folder_is_made_or_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match=r"cannot write to .*file: File exists"):
        make_folder(tmp_path / "file")


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        open_recording(tmp_path / "nowhere")


def test_a_video(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    with VideoWriter(path, 20, (64, 48)) as writer:
        for level in (0, 120, 240):
            writer.write(np.full((48, 64, 3), level, np.uint8))
    recording = open_recording(path)
    frames = list(recording)
    assert len(recording) == len(frames) == 3
    assert [f.stamp_ns for f in frames] == [0, 50_000_000, 100_000_000]
    assert [round(float(f.image.mean()) / 120) for f in frames] == [0, 1, 2]


@pytest.mark.parametrize("name", ["drive.mp4", "notes.txt"])
def test_an_unreadable_video_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is no video")
    with pytest.raises(RecordingError, match="cannot be read as a video"):
        open_recording(tmp_path / name)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_as_folder_and_as_file(tmp_path: Path, storage: str) -> None:
    messages = [image_message(i) for i in range(3)]
    bag = write_bag(tmp_path / "bag", {"/cam/image": messages}, storage)
    file = next(f for f in bag.iterdir() if f.suffix in (".mcap", ".db3"))
    for path in (bag, file):
        recording = open_recording(path)
        frames = list(recording)
        assert (recording.topic, recording.frame_id, len(recording)) == ("/cam/image", "front", 3)
        assert [f.stamp_ns for f in frames] == [7_000_000_000 + i for i in range(3)]
        assert all(np.array_equal(f.image, picture(i)) for i, f in enumerate(frames))


def test_a_split_bag_is_read_in_order(tmp_path: Path) -> None:
    for part in (0, 1):
        write_bag(
            tmp_path / f"bag_{part}",
            {"/cam/image": [image_message(i) for i in range(2 * part, 2 * part + 2)]},
        )
    bag = tmp_path / "bag"
    bag.mkdir()
    for part in (0, 1):
        (tmp_path / f"bag_{part}/bag_{part}.mcap").rename(bag / f"bag_{part}.mcap")
    assert [f.stamp_ns % 10 for f in open_recording(bag)] == [0, 1, 2, 3]
    metadata = (tmp_path / "bag_0/metadata.yaml").read_text()
    metadata = metadata.replace("  - bag_0.mcap", "  - bag_0.mcap\n  - bag_1.mcap")
    assert metadata.count("bag_1.mcap") == 1
    (bag / "metadata.yaml").write_text(metadata)
    assert [f.stamp_ns % 10 for f in open_recording(bag)] == [0, 1, 2, 3]


def test_several_image_topics_need_a_choice(tmp_path: Path) -> None:
    topics = {f"/{name}/image": [image_message(i)] for i, name in enumerate(("left", "right"))}
    bag = write_bag(tmp_path / "bag", topics)
    with pytest.raises(RecordingError, match="choose one of /left/image, /right/image"):
        open_recording(bag)
    assert next(iter(open_recording(bag, "/right/image"))).stamp_ns == 7_000_000_001
    with pytest.raises(RecordingError, match="no images on '/rear/image'; choose one of /left"):
        open_recording(bag, "/rear/image")


def test_a_bag_without_images_lists_its_topics(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/chatter": [text_message()]})
    with pytest.raises(RecordingError, match=r"got /chatter \(std_msgs/msg/String\)"):
        open_recording(bag)


def read_all(recording: Recording) -> tuple[list[int], str]:
    """Last digits of the stamps of the frames that are readable, and why there are no more."""
    stamps = []
    try:
        for frame in recording:
            stamps.append(frame.stamp_ns % 10)
    except RecordingError as error:
        return stamps, str(error)
    return stamps, ""


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_bag_is_never_read_as_a_whole_one(
    tmp_path: Path, storage: str, share: float
) -> None:
    messages = [image_message(i) for i in range(8)]
    bag = write_bag(tmp_path / "bag", {"/cam/image": messages}, storage)
    file = next(f for f in bag.iterdir() if f.suffix in (".mcap", ".db3"))
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    for path in (bag, file):
        with pytest.raises(RecordingError):
            list(open_recording(path))


def truncated_mcap(tmp_path: Path) -> Path:
    """The file of a bag of eight large images, cut in the middle of the sixth."""
    wide = [image_message(i, height=500, width=1000, step=3000, data=BLACK) for i in range(8)]
    bag = write_bag(tmp_path / "bag", {"/cam/image": wide, "/chatter": [text_message()]})
    file = bag / "bag.mcap"
    data = file.read_bytes()
    file.write_bytes(data[: int(5.5 * 1_500_000)])
    return file


BLACK = np.zeros(1_500_000, np.uint8)


def test_a_truncated_mcap_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = truncated_mcap(tmp_path)
    for path in (file, file.parent):
        stamps, reason = read_all(open_recording(path))
        assert stamps == [0, 1, 2, 3, 4]
        assert "bag.mcap: its end is missing, 7" in reason
        assert "bytes are no whole record" in reason
    (file.parent / "metadata.yaml").unlink()  # as a killed recorder leaves it
    assert read_all(open_recording(file.parent))[0] == [0, 1, 2, 3, 4]


def test_of_a_split_bag_with_a_file_missing_the_others_are_read(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/cam/image": [image_message(i) for i in range(3)]})
    text = (bag / "metadata.yaml").read_text()
    (bag / "metadata.yaml").write_text(text.replace("- bag.mcap", "- bag.mcap\n  - lost.mcap"))
    stamps, reason = read_all(open_recording(bag))
    assert stamps == [0, 1, 2]
    assert "lost.mcap" in reason


@pytest.mark.parametrize("mode", ["file", "message"])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_compressed_bags(tmp_path: Path, mode: str, storage: str) -> None:
    bag = tmp_path / "bag"
    writer = Writer(bag, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[mode.upper()], CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/cam/image", IMAGE, typestore=TYPES)
        for index in range(3):
            data = TYPES.serialize_cdr(image_message(index), IMAGE)
            writer.write(connection, 7_000_000_000 + index, data)
    frames = list(open_recording(bag))
    assert all(np.array_equal(f.image, picture(i)) for i, f in enumerate(frames))
    assert len(frames) == 3
    if mode == "message":
        (bag / "metadata.yaml").unlink()
        assert np.array_equal(next(iter(open_recording(bag))).image, picture(0))


def test_an_unreadable_message_is_one_image_less(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/cam/image", IMAGE, typestore=TYPES)
        for index in range(3):
            data = TYPES.serialize_cdr(image_message(index), IMAGE)
            writer.write(connection, 100 + index, data if index != 1 else data[:50])
    items = list(open_recording(tmp_path / "bag").pending())
    assert [item.index for item in items] == [0, 1, 2]
    assert [items[k].load().stamp_ns for k in (0, 2)] == [7_000_000_000, 7_000_000_002]
    with pytest.raises(ImageError, match=r"/cam/image, recorded at 101 ns: message of 50 bytes"):
        items[1].load()


def unstamped(message: Any, nanosec: int = 0) -> object:
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=0, nanosec=nanosec)
    return replace(message, header=replace(message.header, stamp=stamp))


@pytest.mark.parametrize("compressed", [False, True])
def test_images_without_stamps_have_the_time_of_their_recording(
    tmp_path: Path, compressed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    message = compressed_message if compressed else image_message
    messages = [unstamped(message(k)) for k in range(3)]
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        msgtype = messages[0].__msgtype__  # type: ignore[attr-defined]
        connection = writer.add_connection("/cam/image", msgtype, typestore=TYPES)
        for k, one in enumerate(messages):
            writer.write(connection, 10**12 + k * 10**9, TYPES.serialize_cdr(one, msgtype))
    recording = open_recording(tmp_path / "bag")
    stamps = [10**12, 10**12 + 10**9, 10**12 + 2 * 10**9]
    for _ in range(2):
        assert [item.stamp_ns for item in recording.pending()] == stamps
        assert [frame.stamp_ns for frame in recording] == stamps
        assert [one.stamp_ns for one in recording.encoded()] == stamps
    told = "the images on /cam/image have no stamps (all zero): the times of their recording are"
    assert caplog.text.count(told) == 1
    assert [told in note for note in recording.notes] == [True]


def test_the_first_image_of_a_simulation_may_have_the_stamp_zero(tmp_path: Path) -> None:
    messages = [unstamped(image_message(k), k * 10**8) for k in range(3)]
    recording = open_recording(write_bag(tmp_path / "bag", {"/cam/image": messages}))
    assert [item.stamp_ns for item in recording.pending()] == [0, 10**8, 2 * 10**8]
    assert recording.notes == []


def test_single_stamps_of_zero_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a driver that starts; the first of them does not fall behind anything."""
    messages: list[Any] = [image_message(k) for k in range(4)]
    for message, seconds in zip(messages, (0, 5000, 0, 6000), strict=True):
        message.header.stamp.sec, message.header.stamp.nanosec = seconds, 0
    recording = open_recording(write_bag(tmp_path / "bag", {"/cam/image": messages}))
    stamps = sorted(item.stamp_ns for item in recording.pending())
    assert stamps == [0, 0, 5000 * 10**9, 6000 * 10**9]
    assert "the stamps of 2 of 4 images on /cam/image are zero: they are taken as they are" in (
        caplog.text
    )


def test_intrinsics_that_change_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As of a zoom lens; what comes before the first valid ones has a line of its own."""
    topics = {
        "/cam/camera_info": [camera_info(focal) for focal in (0.0, 70.0, 70.0, 80.0, 0.0, 70.0)],
        "/cam/image": [image_message(0)],
    }
    recording = open_recording(write_bag(tmp_path / "bag", topics))
    assert len(list(recording.pending())) == len(list(recording)) == 1
    told = "/cam/camera_info: 2 CameraInfo differ from the one that is taken for all images"
    assert recording.notes[1:] == [f"{tmp_path / 'bag'}: {told}"]
    assert caplog.text.count(told) == 1


def test_several_cameras_are_read_in_order_of_time(tmp_path: Path) -> None:
    topics = {
        "/left/image": [image_message(i) for i in (0, 2, 4)],
        "/right/image": [image_message(i) for i in (1, 3)],
        "/rear/image": [image_message(5)],
        "/right/camera_info": [camera_info(70.0)],
    }
    bag = write_bag(tmp_path / "bag", topics)
    recording = open_recording(bag, ["/right/image", "/left/image"])
    items = [(p.camera, p.index, p.stamp_ns % 10) for p in recording.pending()]
    left, right = "/left/image", "/right/image"
    assert items == [(left, 0, 0), (right, 0, 1), (left, 1, 2), (right, 1, 3), (left, 2, 4)]
    assert len(recording) == 5
    assert recording.cameras == {right: CameraModel(65, 33, 70, 70, 32, 16), left: None}


@pytest.mark.parametrize("metadata", ["", "{", "rosbag2_bagfile_information: {version: 9}"])
def test_broken_metadata_are_told_once_the_images_were_read(tmp_path: Path, metadata: str) -> None:
    bag = write_bag(tmp_path / "bag", {"/cam/image": [image_message(0)]})
    (bag / "metadata.yaml").write_text(metadata)
    stamps, reason = read_all(open_recording(bag))
    assert stamps == [0]
    assert "truncated or unreadable" in reason


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_flipped_bytes_never_raise_anything_else(tmp_path: Path, storage: str) -> None:
    """Whatever a corrupt bag holds, it is read or refused."""
    messages = [image_message(i, height=1, data=picture(i)[:1].reshape(-1)) for i in range(3)]
    topics = {"/cam/image": messages, "/cam/camera_info": [camera_info(70.0)]}
    bag = write_bag(tmp_path / "bag", topics, storage)
    file = next(f for f in bag.iterdir() if f.suffix in (".mcap", ".db3"))
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(150):
        broken = bytearray(data)
        for position in rng.integers(0, len(data), 1 + trial % 8):
            broken[position] ^= int(rng.integers(1, 256))
        file.write_bytes(broken)
        try:
            list(open_recording(bag if trial % 2 else file))
        except (RecordingError, ImageError):
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("error", [MemoryError(), OverflowError("huge"), AttributeError("x")])
def test_whatever_the_parser_raises_is_one_kind_of_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bag = write_bag(tmp_path / "bag", {"/cam/image": [image_message(0)]})

    def fail(*_: object) -> None:
        raise error

    reason = str(error) or type(error).__name__
    monkeypatch.setattr("tasksr_ros.io.bags._TYPES.deserialize_cdr", fail)
    with pytest.raises(ImageError, match=f"is unreadable: {reason}"):
        list(open_recording(bag))
    monkeypatch.setattr("tasksr_ros.io.bag_files.Rosbag2.messages", fail)
    with pytest.raises(RecordingError, match=f"truncated or unreadable: {reason}"):
        open_recording(bag)


def test_a_bag_whose_images_are_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = write_bag(tmp_path / "bag", {"/cam/image": [image_message(0)]})
    monkeypatch.setattr("tasksr_ros.io.bag_files.Rosbag2.messages", lambda *_: iter(()))
    with pytest.raises(RecordingError, match="must hold images on /cam/image, got none"):
        open_recording(bag)


def camera_info(fx: float) -> object:
    time = TYPES.types["builtin_interfaces/msg/Time"](sec=7, nanosec=0)
    roi = TYPES.types["sensor_msgs/msg/RegionOfInterest"]
    return TYPES.types["sensor_msgs/msg/CameraInfo"](
        header=TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id="front"),
        height=33,
        width=65,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([fx, 0, 32, 0, fx, 16, 0, 0, 1], float),
        r=np.eye(3).reshape(-1),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def compressed_message(index: int) -> object:
    message = image_message(index)
    return TYPES.types["sensor_msgs/msg/CompressedImage"](
        header=message.header,  # type: ignore[attr-defined]
        format="png",
        data=cv2.imencode(".png", picture(index))[1].reshape(-1),
    )


def test_another_cameras_info_is_not_taken(tmp_path: Path) -> None:
    front, rear = [image_message(0)], [image_message(1)]
    topics = {"/front/image": front, "/rear/image": rear, "/rear/camera_info": [camera_info(70.0)]}
    bag = write_bag(tmp_path / "bag", topics)
    assert open_recording(bag, "/front/image").camera is None
    assert open_recording(bag, "/rear/image").camera == CameraModel(65, 33, 70, 70, 32, 16)


def test_the_only_info_is_taken_for_the_only_camera(tmp_path: Path) -> None:
    topics = {
        "/front/image": [image_message(0)],
        "/front/image/compressed": [compressed_message(0)],
        "/elsewhere/info": [camera_info(70.0)],
    }
    bag = write_bag(tmp_path / "bag", topics)
    for topic in ("/front/image", "/front/image/compressed"):
        recording = open_recording(bag, topic)
        assert recording.camera == CameraModel(65, 33, 70, 70, 32, 16)
        assert recording.notes == [
            f"{bag}: {topic} has no CameraInfo beside it: that of /elsewhere/info is taken for its "
            "own"
        ]


@pytest.mark.parametrize("info", ["/cam/camera_info", "/cam/image/camera_info"])
@pytest.mark.parametrize("image", ["/cam/image", "/cam/image/compressed"])
def test_an_info_beside_the_image_needs_no_word(tmp_path: Path, image: str, info: str) -> None:
    message = compressed_message(0) if image.endswith("compressed") else image_message(0)
    bag = write_bag(tmp_path / "bag", {image: [message], info: [camera_info(70.0)]})
    assert open_recording(bag).camera is not None
    assert open_recording(bag).notes == []


def test_one_info_above_two_cameras_is_told(tmp_path: Path) -> None:
    topics = {"/a/image": [image_message(0)], "/b/image": [image_message(0)]}
    bag = write_bag(tmp_path / "bag", {**topics, "/camera_info": [camera_info(70.0)]})
    told = "has no CameraInfo beside it: that of /camera_info is taken for its own"
    notes = open_recording(bag, list(topics)).notes
    assert notes == [f"{bag}: /a/image {told}", f"{bag}: /b/image {told}"]


def test_the_info_beside_the_image_comes_first(tmp_path: Path) -> None:
    topics = {
        "/camera_info": [camera_info(50.0)],
        "/front/image": [image_message(0)],
        "/front/camera_info": [camera_info(70.0)],
    }
    camera = open_recording(write_bag(tmp_path / "bag", topics)).camera
    assert camera is not None
    assert camera.fx == 70


def test_a_lying_message_is_named(tmp_path: Path) -> None:
    messages = [image_message(0), image_message(1, height=99)]
    frames = iter(open_recording(write_bag(tmp_path / "bag", {"/cam/image": messages})))
    next(frames)
    with pytest.raises(ImageError, match=r"/cam/image at 7000000001 ns: .* 195 x 99"):
        next(frames)


def test_padded_rows_of_a_bag(tmp_path: Path) -> None:
    rows = np.zeros((33, 200), np.uint8)
    rows[:, :195] = picture(4).reshape(33, 195)
    message = image_message(4, step=200, data=rows.reshape(-1))
    frame = next(iter(open_recording(write_bag(tmp_path / "bag", {"/image": [message]}))))
    assert np.array_equal(frame.image, picture(4))


def test_a_bag_of_an_uncalibrated_camera_has_no_camera(tmp_path: Path) -> None:
    topics = {"/cam/image": [image_message(0)], "/cam/camera_info": [camera_info(0.0)]}
    recording = open_recording(write_bag(tmp_path / "bag", topics))
    assert recording.camera is None
    assert [note.split(": camera must")[0] for note in recording.notes] == [
        f"{tmp_path / 'bag'}: /cam/camera_info: the first 1 CameraInfo have no valid intrinsics, "
        "none is taken"
    ]


def test_the_first_valid_info_of_a_bag_is_taken_and_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    infos = [camera_info(focal) for focal in (0.0, 0.0, 70.0, 80.0)]
    topics = {"/cam/image": [image_message(0)], "/cam/camera_info": infos}
    recording = open_recording(write_bag(tmp_path / "bag", topics))
    assert recording.camera == CameraModel(65, 33, 70, 70, 32, 16)
    assert list(recording.notes) == [
        f"{tmp_path / 'bag'}: /cam/camera_info: the first 2 CameraInfo have no valid intrinsics, "
        "the first valid one is taken: camera must have positive size and focal lengths, "
        "got 65x33 px, fx 0, fy 0, cx 32, cy 16"
    ]
    recording.tell()
    assert "the first valid one is taken" in caplog.text
    calibrated = {"/cam/image": [image_message(0)], "/cam/camera_info": infos[2:]}
    assert list(open_recording(write_bag(tmp_path / "other", calibrated)).notes) == []


def test_rectified_topics_of_a_bag_have_p(tmp_path: Path) -> None:
    info = camera_info(70.0)
    info.p[[0, 2, 5, 6, 10]] = (60, 31, 61, 15, 1)  # type: ignore[attr-defined]
    for name, fx in (("image_raw", 70), ("image_rect", 60), ("image_rect_color", 60)):
        topics = {f"/cam/{name}": [image_message(0)], "/cam/camera_info": [info]}
        bag = write_bag(tmp_path / name, topics)
        camera = open_recording(bag).camera
        assert camera is not None
        assert camera.fx == fx
        told = open_recording(bag, intrinsics="rectified").camera
        assert told == CameraModel(65, 33, 60, 61, 31, 15)


@pytest.mark.parametrize(
    ("topic", "info"),
    [
        ("/front/image_raw", ("/front/camera_info", "/camera_info")),
        ("/a/image/compressed", ("/a/image/camera_info", "/a/camera_info")),
        ("/image", ("/camera_info",)),
    ],
)
def test_where_camera_info_is_looked_for(topic: str, info: tuple[str, ...]) -> None:
    assert camera_info_topics(topic) == info


def test_the_real_drive(shared: Path) -> None:
    recording = open_recording(shared / "data/kitti_drive_0005")
    assert len(recording) == 154
    assert recording.camera is not None
    frame = next(iter(recording))
    assert (frame.size, frame.stamp_ns) == ((1242, 375), 1_317_042_272_349_659_964)


def test_images_of_kinds_that_are_not_read_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = image_folder(tmp_path / "images", 2)
    for name in ("IMG_1.HEIC", "IMG_2.heic", "a.jfif", "._b.heic", "notes.txt"):
        (folder / name).write_bytes(b"x")
    assert len(list(open_recording(folder))) == 2
    assert f"{folder}: 3 images are left out: .heic, .jfif is not read" in caplog.messages


def test_files_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Of a ground truth's camera, which is left out where it cannot be read, and KITTI's times."""
    folder = image_folder(tmp_path / "drive" / "image_02" / "data", 2)
    times = "2011-09-26 13:04:32.5\n2011-09-26 13:04:32.6\n"
    (folder.parent / "timestamps.txt").write_text(times, encoding="utf-8-sig")
    camera = {"width": 65, "height": 33, "fx": 70, "fy": 71, "cx": 32, "cy": 16}
    content = {"images": [], "annotations": [], "camera": camera}
    (folder / "ground_truth.json").write_text(json.dumps(content), encoding="utf-8-sig")
    recording = open_recording(folder)
    assert recording.camera == CameraModel(65, 33, 70, 71, 32, 16)
    assert [f.stamp_ns for f in recording] == [1317042272500000000, 1317042272600000000]
