"""The demo from end to end: the real node in its own process, real topics, on a short drive."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.io.make_bag import make_bag
from tasksr_ros.io.recording import length
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

pytestmark = [pytest.mark.wire, pytest.mark.slow]


@pytest.mark.parametrize("source", ["bag", "video"])
def test_demo_leaves_bag_video_contact_sheet_and_report(
    root: Path, ros_env: dict[str, str], tmp_path: Path, source: str
) -> None:
    drive = GeneratedDrive(DriveConfig(width=480, height=270, num_frames=3))
    write_coco(drive, tmp_path / "drive")
    path = tmp_path / "drive"
    if source == "bag":
        path = make_bag(path, tmp_path / "bag", compressed=True)
    out = tmp_path / "out"
    stale = out / "bag" / "other.mcap"  # of an earlier run
    stale.parent.mkdir(parents=True)
    stale.touch()
    command = [sys.executable, str(root / "demo" / "demo.py"), f"--{source}", str(path)]
    done = subprocess.run(
        [*command, "--out", str(out)], env=ros_env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "3 frames, " in done.stderr
    assert json.loads((out / "predictions.run.json").read_text())["counts"]["dropped"] == 0
    assert length(open_recording(out / "annotated.mp4")) == 3
    assert cv2.imread(str(out / "contact_sheet.png")) is not None
    stamps = [drive.stamp_ns(index) for index in range(3)]
    assert detection_stamps(out / "bag", root) == stamps
    assert not stale.exists()
    evaluated = "recall at" in done.stdout
    assert evaluated == (out / "report.html").is_file() == (source == "video")


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


def test_demo_of_images_of_different_sizes(
    root: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for index, (width, height) in enumerate([(320, 200), (200, 320), (480, 200)]):
        picture = np.full((height, width, 3), 90, np.uint8)
        cv2.imwrite(str(images / f"{index}.png"), picture)
    out = tmp_path / "out"
    command = [sys.executable, str(root / "demo" / "demo.py"), "--video", str(images)]
    done = subprocess.run(
        [*command, "--out", str(out)], env=ros_env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [frame.size for frame in open_recording(out / "annotated.mp4")] == [(320, 200)] * 3


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_ends_in_one_line_and_ends_the_node(
    root: Path, ros_env: dict[str, str], tmp_path: Path, ending: signal.Signals
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for index in range(200):
        cv2.imwrite(str(images / f"{index:03d}.png"), np.full((400, 640, 3), index, np.uint8))
    command = [sys.executable, str(root / "demo" / "demo.py"), "--video", str(images)]
    with (tmp_path / "errors").open("w") as errors:
        demo = subprocess.Popen(
            [*command, "--out", str(tmp_path / "out")],
            env=ros_env,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        wait_for(lambda: re.search(r"live.* [1-9]\d*/200", (tmp_path / "errors").read_text()))
        (node,) = children(demo.pid)
        os.killpg(demo.pid, ending)  # a terminal's Ctrl-C goes to the whole group
        try:
            assert demo.wait(timeout=60) == 128 + ending
        finally:
            demo.kill()
    text = (tmp_path / "errors").read_text()
    assert "Traceback" not in text
    assert text.splitlines()[-1] == "tasksr replay: interrupted"
    assert not Path(f"/proc/{node}").exists()


def wait_for(done: Callable[[], object], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_a_changed_drive_is_generated_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root / "demo"))
    demo = importlib.import_module("demo")
    config = DriveConfig(width=96, height=64, num_frames=1)
    folder = tmp_path / "out" / "drive"
    truth = folder / "ground_truth.json"

    def made() -> int:
        return truth.stat().st_mtime_ns

    demo.make_drive(folder, config)
    first = made()
    demo.make_drive(folder, config)
    assert made() == first
    demo.make_drive(folder, replace(config, seed=3))
    second = made()
    assert second != first
    copy = tmp_path / "source" / "generated_drive.py"
    copy.parent.mkdir()
    copy.write_text("# another generator")
    monkeypatch.setattr(demo.generated_drive, "__file__", str(copy))
    demo.make_drive(folder, replace(config, seed=3))
    assert made() != second


def test_demo_into_a_file_is_one_line(root: Path, ros_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, str(root / "demo" / "demo.py"), "--out", str(tmp_path / "file")]
    done = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"demo: cannot write to {tmp_path}/file: File exists"]


def test_demo_of_a_missing_recording_is_one_line(root: Path, ros_env: dict[str, str]) -> None:
    command = [sys.executable, str(root / "demo" / "demo.py"), "--bag", os.devnull + ".mcap"]
    done = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    expected = f"tasksr replay: recording {os.devnull}.mcap does not exist"
    assert done.stderr.strip().splitlines() == [expected]


def test_the_demo_does_not_replace_what_it_is_to_play(
    root: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    bag = tmp_path / "bag" / "bag.mcap"
    bag.parent.mkdir()
    bag.touch()
    command = [sys.executable, str(root / "demo" / "demo.py"), "--bag", str(bag.parent)]
    command += ["--out", str(tmp_path)]
    done = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "must not be what the demo writes" in done.stderr
    assert bag.exists()
