from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tasksr_ros.camera import CameraModel
from tasksr_ros.errors import ConfigError, RecordingError
from tasksr_ros.io.frames import Frame, to_bgr
from tasksr_ros.io.make_bag import make_bag
from tasksr_ros.io.recording import Encoded, Pending, Recording
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

CAMERA = CameraModel(65, 33, 70.0, 71.0, 32.0, 16.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 256, (33, 65, 3), np.uint8)
        cv2.imwrite(str(images / f"{index}.jpg"), pixels)
    return images


class Sequence(Recording):
    """Frames that are already there."""

    def __init__(self, frames: list[Frame]) -> None:
        self.path = Path("memory")
        self.cameras = {"": None}
        self.frames = frames

    def __len__(self) -> int:
        raise TypeError("not known")

    def pending(self) -> Iterator[Pending]:
        for index, frame in enumerate(self.frames):
            load = partial(self.frames.__getitem__, index)
            yield Pending(index, frame.stamp_ns, "", "", load, load)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_raw_pixels_and_stamps_come_back(folder: Path, tmp_path: Path, storage: str) -> None:
    bag = make_bag(folder, tmp_path / "bag", storage, camera=CAMERA)  # type: ignore[arg-type]
    recording = open_recording(bag)
    assert (recording.topic, recording.camera) == ("/camera/image", CAMERA)
    for source, back in zip(open_recording(folder), recording, strict=True):
        assert np.array_equal(source.image, back.image)
        assert (source.stamp_ns, source.frame_id, source.encoding) == (
            back.stamp_ns,
            back.frame_id,
            back.encoding,
        )


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_jpeg_files_keep_their_bytes(folder: Path, tmp_path: Path, storage: str) -> None:
    bag = make_bag(folder, tmp_path / "bag", storage, compressed=True, camera=CAMERA)  # type: ignore[arg-type]
    recording = open_recording(bag)
    assert (recording.topic, recording.camera) == ("/camera/image/compressed", CAMERA)
    items = list(recording.encoded())
    files = [folder / f"{index}.jpg" for index in range(3)]
    assert all(isinstance(item, Encoded) for item in items)
    assert [item.data for item in items] == [file.read_bytes() for file in files]  # type: ignore[union-attr]
    assert {item.format for item in items} == {"jpeg"}  # type: ignore[union-attr]
    again = make_bag(bag, tmp_path / "again", compressed=True)
    assert [item.data for item in open_recording(again).encoded()] == [  # type: ignore[union-attr]
        file.read_bytes() for file in files
    ]


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
def test_all_encodings_raw_and_compressed(tmp_path: Path, encoding: str) -> None:
    channels = {"mono8": 1, "rgb8": 3, "bgr8": 3}.get(encoding, 4)
    colour = np.array([40, 120, 200, 255][:channels], np.uint8)  # first to last channel
    wide = np.broadcast_to(colour, (48, 90, channels))[:, ::2]
    source = Sequence([Frame(wide, 3_000_000_001, "front", encoding)])
    raw = next(iter(open_recording(make_bag(source, tmp_path / "raw"))))
    assert (raw.encoding, raw.stamp_ns, raw.frame_id) == (encoding, 3_000_000_001, "front")
    assert np.array_equal(raw.image, wide)
    small = next(iter(open_recording(make_bag(source, tmp_path / "jpeg", compressed=True))))
    blue, green, red = to_bgr(small)[20, 20].tolist()
    expected = {"mono8": (40, 40, 40)}.get(
        encoding, (200, 120, 40) if encoding.startswith("rgb") else (40, 120, 200)
    )
    assert (blue, green, red) == pytest.approx(expected, abs=4)


def test_the_metadata_is_what_rosbag2_reads(folder: Path, tmp_path: Path) -> None:
    bag = make_bag(folder, tmp_path / "bag", camera=CAMERA, topic="/front/image_raw")
    info = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (info["version"], info["storage_identifier"]) == (9, "mcap")
    assert info["relative_file_paths"] == ["bag.mcap"]
    topics = {
        t["topic_metadata"]["name"]: (t["topic_metadata"]["type"], t["message_count"])
        for t in info["topics_with_message_count"]
    }
    assert topics == {
        "/front/image_raw": ("sensor_msgs/msg/Image", 3),
        "/front/camera_info": ("sensor_msgs/msg/CameraInfo", 3),
    }


def test_without_a_camera_there_is_no_camera_info(folder: Path, tmp_path: Path) -> None:
    recording = open_recording(make_bag(folder, tmp_path / "bag"))
    assert recording.camera is None


def test_a_generated_drive_brings_its_camera_and_stamps(tmp_path: Path) -> None:
    drive = GeneratedDrive(DriveConfig(width=128, height=72, num_frames=2, num_pedestrians=2))
    write_coco(drive, tmp_path / "drive")
    recording = open_recording(make_bag(tmp_path / "drive", tmp_path / "bag", compressed=True))
    assert recording.camera == drive.camera
    frames = list(recording)
    assert [f.stamp_ns for f in frames] == [drive.stamp_ns(0), drive.stamp_ns(1)]
    assert np.array_equal(frames[1].image, drive.frame(1)[0].image)


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag/keep").write_text("mine")
    with pytest.raises(RecordingError, match=r"bag .*bag cannot be written: .* exists already"):
        make_bag(folder, tmp_path / "bag")
    assert (tmp_path / "bag/keep").read_text() == "mine"


def test_an_unreadable_image_is_left_out_and_told(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "1.jpg").write_bytes(b"broken")
    recording = open_recording(make_bag(folder, tmp_path / "bag"))
    assert [f.stamp_ns for f in recording] == [0, 200_000_000]
    assert caplog.text.count("frame 1 not read: ") == 1
    assert "1.jpg: compressed image must be a JPEG, PNG or WebP file, got 6 bytes" in caplog.text


def test_unreadable_images_alone_leave_no_bag(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(RecordingError, match=r"none of the 3 frames of .* can be read: frame 0"):
        make_bag(folder, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


def test_wrong_arguments_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be one of mcap, sqlite3, got 'zip'"):
        make_bag(folder, tmp_path / "bag", "zip")  # type: ignore[arg-type]
    for topic in ("image", "/image/", "/a//b", "/camera 1/image", "/1cam/image", "/cam-1/image"):
        with pytest.raises(ConfigError, match=f"must be absolute, like .*, got '{topic}'$"):
            make_bag(folder, tmp_path / "bag", topic=topic)
    with pytest.raises(ConfigError, match="a bag of sqlite3 must have no '#' in its path, got "):
        make_bag(folder, tmp_path / "bag#1", "sqlite3")
    assert make_bag(folder, tmp_path / "bag#2").is_dir()
    with pytest.raises(RecordingError, match="does not exist"):
        make_bag(tmp_path / "nowhere", tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


@pytest.mark.slow
def test_the_real_drive_as_a_bag(shared: Path, tmp_path: Path) -> None:
    source = shared / "data/kitti_drive_0005"
    bag = make_bag(source, tmp_path / "bag", compressed=True)
    recording, original = open_recording(bag), open_recording(source)
    assert recording.camera == original.camera
    count = 0
    for a, b in zip(original, recording, strict=True):
        assert a.stamp_ns == b.stamp_ns
        assert np.array_equal(a.image, b.image)
        count += 1
    assert count == 154
