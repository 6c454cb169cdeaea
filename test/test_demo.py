"""The demo from end to end: the real node in its own process, real topics, on a short drive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tasksr_ros.detect import length
from tasksr_ros.drive.coco import write_coco
from tasksr_ros.generated_drive import DriveConfig, GeneratedDrive
from tasksr_ros.make_bag import make_bag
from tasksr_ros.recordings import open_recording

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

pytestmark = [pytest.mark.wire, pytest.mark.slow]


@pytest.mark.parametrize("source", ["bag", "video"])
def test_demo_leaves_bag_video_and_contact_sheet(
    root: Path, ros_env: dict[str, str], tmp_path: Path, source: str
) -> None:
    drive = GeneratedDrive(DriveConfig(width=480, height=270, num_frames=3))
    write_coco(drive, tmp_path / "drive")
    path = tmp_path / "drive"
    if source == "bag":
        path = make_bag(path, tmp_path / "bag", compressed=True)
    out = tmp_path / "out"
    command = [sys.executable, str(root / "demo" / "demo.py"), f"--{source}", str(path)]
    done = subprocess.run(
        [*command, "--out", str(out)], env=ros_env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "3 frames" in done.stdout
    assert length(open_recording(out / "annotated.mp4")) == 3
    assert cv2.imread(str(out / "contact_sheet.png")) is not None
    stamps = [drive.stamp_ns(index) for index in range(3)]
    assert detection_stamps(out / "detections.mcap", root) == stamps


def detection_stamps(path: Path, root: Path) -> list[int]:
    """Header stamps of the Detection2DArrays in a bag."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted((root / "interfaces" / "vision_msgs" / "msg").glob("*.msg")):
        name = f"vision_msgs/msg/{file.stem}"
        typestore.register(get_types_from_msg(file.read_text(), name))
    with AnyReader([path], default_typestore=typestore) as reader:
        headers = [
            reader.deserialize(data, connection.msgtype).header
            for connection, _, data in reader.messages()
            if connection.msgtype == "vision_msgs/msg/Detection2DArray"
        ]
    return [header.stamp.sec * 1_000_000_000 + header.stamp.nanosec for header in headers]


def test_demo_of_a_missing_recording_is_one_line(root: Path, ros_env: dict[str, str]) -> None:
    command = [sys.executable, str(root / "demo" / "demo.py"), "--bag", os.devnull + ".mcap"]
    done = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [f"demo: recording {os.devnull}.mcap does not exist"]
