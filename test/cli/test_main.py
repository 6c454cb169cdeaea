"""Tests of the command ``tasksr``, as a user calls it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore

from tasksr_ros import __version__
from tasksr_ros.cli.main import main
from tasksr_ros.io.recordings import open_recording

QUICK = [
    *("--engine.name", "torch", "--engine.threads", "1", "--region.mode", "full"),
    *("--region.tile_overlap", "8", "--detection.score_threshold", "0"),
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        image = rng.integers(0, 256, (41, 93, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


def test_help_and_version_of_the_installed_command() -> None:
    command = Path(sys.executable).with_name("tasksr")
    if not command.is_file():
        command_line = [sys.executable, "-m", "tasksr_ros.cli"]
    else:
        command_line = [str(command)]
    run = subprocess.run([*command_line, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == __version__
    run = subprocess.run(
        [*command_line, "detect", "--help"], capture_output=True, text=True, check=True
    )
    assert "--region.top" in run.stdout


def test_detect_in_a_folder(images: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        main(["detect", str(images), "--bundle", str(tiny_bundle), "--out", str(out), *QUICK]) == 0
    )
    predictions = json.loads((out / "predictions.json").read_text())
    assert {p["image_id"] for p in predictions} == {1, 2, 3}
    assert {p["category_id"] for p in predictions} == {1}
    for p in predictions:
        x, y, width, height = p["bbox"]
        assert 0 <= x < x + width <= 93.001
        assert 0 <= y < y + height <= 41.001
        assert 0 <= p["score"] <= 1
    assert len(open_recording(out / "annotated.mp4")) == 3


def test_detect_in_an_image(images: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = ["--bundle", str(tiny_bundle), "--out", str(tmp_path / "out"), *QUICK]
    assert main(["detect", str(images / "1.png"), *arguments]) == 0
    assert cv2.imread(str(tmp_path / "out" / "annotated.png")).shape == (41, 93, 3)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compressed", [False, True])
def test_make_bag(images: Path, tmp_path: Path, storage: str, compressed: bool) -> None:
    bag = tmp_path / "bag"
    arguments = ["--storage", storage, *(["--compressed"] if compressed else [])]
    assert main(["make-bag", str(images), str(bag), *arguments]) == 0
    for frame, file in zip(open_recording(bag), sorted(images.iterdir()), strict=True):
        np.testing.assert_array_equal(frame.image, cv2.imread(str(file)))


def test_make_drive(tmp_path: Path) -> None:
    assert main(["make-drive", str(tmp_path / "drive"), "--frames", "2"]) == 0
    truth = json.loads((tmp_path / "drive" / "ground_truth.json").read_text())
    assert len(truth["images"]) == 2
    assert all("distance_m" in annotation for annotation in truth["annotations"])


def test_models_lists_the_shipped_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "tdsr-ss-x4: dbpn-ss x4, detector fcos, regions of 320x96 px" in capsys.readouterr().out


def test_errors_are_one_line_and_a_status(
    images: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_video = tmp_path / "broken.mp4"
    broken_video.write_bytes(b"\0" * 100)
    (tmp_path / "empty").mkdir()
    bundle = ["--bundle", str(tiny_bundle), "--out", str(tmp_path / "out")]
    wrong = {
        "does not exist": ["detect", str(tmp_path / "nothing.mp4"), *bundle],
        "cannot be read": ["detect", str(broken_video), *bundle],
        "must hold a bag or images": ["detect", str(tmp_path / "empty"), *bundle],
        "no bundle 'nope'": ["detect", str(images), "--bundle", "nope"],
        "region.top must be less than region.bottom": [
            *("detect", str(images), *bundle, "--region.top", "0.9")
        ],
        "needs the camera's intrinsics": [
            *("detect", str(images), *bundle, *QUICK, "--region.mode", "distance")
        ],
        "no bundle": ["models", str(tmp_path)],
        "cannot write to": [
            *("detect", str(images), "--bundle", str(tiny_bundle), *QUICK),
            *("--out", str(broken_video)),
        ],
    }
    for message, arguments in wrong.items():
        assert main(arguments) == 1, message
        lines = without_progress(capsys.readouterr().err)
        assert len(lines) == 1, lines
        assert message in lines[0]
        assert lines[0].startswith(f"tasksr {arguments[0]}: ")


def tasksr(*arguments: str | Path) -> tuple[int, list[str]]:
    """Status and stderr's lines, without those of progress, of the command in a process."""
    command = [sys.executable, "-m", "tasksr_ros.cli", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return run.returncode, without_progress(run.stderr)


def without_progress(text: str) -> list[str]:
    lines = text.replace("\r", "\n").splitlines()
    return [line for line in lines if line and not line.endswith("frame/s]")]


def bag_of(path: Path, **changes: object) -> Path:
    """A bag with one image of 65x33 px, or with a text where the image has no encoding."""
    types = get_typestore(Stores.ROS2_JAZZY)
    stamp = types.types["builtin_interfaces/msg/Time"](sec=7, nanosec=0)
    fields: dict[str, object] = {
        "header": types.types["std_msgs/msg/Header"](stamp=stamp, frame_id="front"),
        "height": 33,
        "width": 65,
        "encoding": "bgr8",
        "is_bigendian": 0,
        "step": 195,
        "data": np.zeros(33 * 195, np.uint8),
    }
    message = types.types["sensor_msgs/msg/Image"](**{**fields, **changes})
    if not message.encoding:
        message = types.types["std_msgs/msg/String"](data="hello")
    with Writer(path, version=9) as writer:
        connection = writer.add_connection("/topic", message.__msgtype__, typestore=types)
        writer.write(connection, 0, types.serialize_cdr(message, message.__msgtype__))
    return path


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encoding": ""}, "must hold images, got /topic (std_msgs/msg/String)"),
        ({"encoding": "yuv999"}, "/topic at 7000000000 ns: encoding must be one of"),
        (
            {"height": 99},
            "/topic at 7000000000 ns: data of a bgr8 image of 65x99 px must hold step",
        ),
    ],
)
def test_a_bag_that_does_not_serve_is_one_line(
    tmp_path: Path, tiny_bundle: Path, changes: dict[str, object], expected: str
) -> None:
    bag = bag_of(tmp_path / "bag", **changes)
    out = tmp_path / "out"
    status, lines = tasksr("detect", bag, "--bundle", tiny_bundle, "--out", out, *QUICK)
    assert (status, len(lines)) == (1, 1), lines
    assert lines[0].startswith("tasksr detect: ")
    assert expected in lines[0]


def test_a_bundle_with_a_wrong_hash_is_one_line(
    images: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    weights = bundle / "detector.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    status, lines = tasksr("detect", images, "--bundle", bundle, "--out", tmp_path / "out")
    assert (status, len(lines)) == (1, 1), lines
    assert lines[0].startswith(f"tasksr detect: {weights}: wrong hash: expected sha256 ")


def test_unusable_paths_are_one_line(
    images: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    wrong = {
        f"cannot write to {os.devnull}/images: Not a directory": ["make-drive", os.devnull],
        f"cannot write to {tmp_path}/file": [
            *("benchmark", "engines", "--json", str(tmp_path / "file" / "x.json"))
        ],
        "File name too long": ["detect", "x" * 300],
        "too long": ["detect", str(images), "--bundle", "x" * 300],
        "bag": ["make-bag", str(images), str(tmp_path / ("x" * 300))],
    }
    for message, arguments in wrong.items():
        assert main(arguments) == 1, message
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"tasksr {arguments[0]}: ")
        assert message in line


def test_a_device_that_fails_is_one_line(
    images: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch")

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 9 GiB")

    monkeypatch.setattr("tasksr_ros.networks.tdsr.RegionDetector.forward", fail)
    out = tmp_path / "out"
    arguments = ["detect", str(images), "--bundle", str(tiny_bundle), "--out", str(out), *QUICK]
    assert main(arguments) == 1
    lines = without_progress(capsys.readouterr().err)
    assert lines == [
        "tasksr detect: out of memory with a batch of 1, too: torch failed: CUDA out of memory."
    ]


def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["detect"], ["detect", "x", "--engine.name", "tvm"], ["nothing"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_an_unreadable_video_is_one_line_on_the_terminal(tmp_path: Path) -> None:
    """In a process of its own: FFmpeg writes past Python's stderr."""
    video = tmp_path / "broken.mp4"
    video.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x08free\0\0\0\x08mdat")
    command = [sys.executable, "-m", "tasksr_ros.cli", "detect", str(video)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("cannot be read as a video")
