"""Tests of `tasksr replay` on a folder of recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from tiny_replay import FAST

from tasksr_ros.cli.main import main
from tasksr_ros.detections import Detections
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.make_bag import CameraTopics, append, connect, make_bag
from tasksr_ros.io.message_types import DETECTIONS, detection_array
from tasksr_ros.replay.many import recordings_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bags of two frames each, and a broken one."""
    folder = tmp_path / "drives"
    for number, name in enumerate(("monday/a", "monday/b")):
        images = tmp_path / f"images{number}"
        images.mkdir()
        for index in range(2):
            rng = np.random.default_rng(10 * number + index)
            image = rng.integers(0, 256, (32, 64, 3), np.uint8)
            stamp_us = 1_500_000_000_000_000 + 1_000_000 * (10 * number + index)
            cv2.imwrite(str(images / f"x__{stamp_us}.png"), image)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_bag(images, folder / name)
    (folder / "broken").mkdir()
    (folder / "broken" / "broken.mcap").write_bytes(b"nothing")
    return folder


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are replayed in this process, which is quicker."""

    def run_part(arguments: Sequence[str], _: object) -> str:
        return "" if main(["replay", *arguments]) == 0 else "failed"

    monkeypatch.setattr("tasksr_ros.replay.many.run_part", run_part)


def run(bundle: Path, source: Path, out: Path, *options: object) -> int:
    arguments = ["replay", source, "--bundle", bundle, "--predictions", out, *FAST, *options]
    return main([str(argument) for argument in arguments])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_recordings_are_found(folder: Path, tmp_path: Path) -> None:
    (folder / "tuesday").mkdir()
    (folder / "tuesday" / "x.mp4").touch()
    (folder / "tuesday" / "notes.txt").touch()
    (folder / "drive_0005" / "image_02" / "data").mkdir(parents=True)
    names = [r.relative_to(folder).as_posix() for r in recordings_below(folder)]
    assert names == ["broken", "drive_0005", "monday/a", "monday/b", "tuesday/x.mp4"]
    assert recordings_below(folder / "monday/a") == []
    assert recordings_below(tmp_path / "images0") == []


def test_a_recording_that_fails_does_not_keep_the_others(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.json"
    assert run(tiny_bundle, folder, out, "--workers", 2) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("tasksr replay: 1 of 3 recordings failed: broken (")
    told = read(tmp_path / "p.run.json")
    assert told["recordings"] == ["monday__a", "monday__b"]
    assert told["image_ids"] == [1, 2, 3, 4]
    assert list(told["failed"]) == ["broken"]
    assert told["counts"]["processed"] == 4
    parts = [read(tmp_path / f"p.parts/monday__{name}.json") for name in "ab"]
    shifted = [{**e, "image_id": e["image_id"] + 2} for e in parts[1]]
    assert read(out) == parts[0] + shifted
    assert len(parts[0]) > 0
    assert len(parts[1]) > 0


@pytest.mark.usefixtures("in_process")
def test_finished_recordings_are_not_done_again(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.json"
    (folder / "broken" / "broken.mcap").unlink()
    (folder / "broken").rmdir()
    assert run(tiny_bundle, folder, out) == 0
    journals = sorted((tmp_path / "p.parts").glob("*.journal"))
    before = [journal.read_bytes() for journal in journals]  # latencies would differ
    assert len(before) == 2
    first = out.read_bytes()
    assert run(tiny_bundle, folder, out, "--workers", 2) == 0
    assert [journal.read_bytes() for journal in journals] == before
    assert out.read_bytes() == first


@pytest.mark.usefixtures("in_process")
def test_common_ground_truth_keeps_its_ids(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    second = 1_000_000_000
    stamps = [1_500_000_000 * second + n * second for n in (11, 0)]
    images = [{"id": 40 + k, "stamp_ns": stamp} for k, stamp in enumerate(stamps)]
    truth = tmp_path / "gt.json"
    truth.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    (folder / "broken").rename(tmp_path / "elsewhere")
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--ground-truth", truth) == 0
    told = read(tmp_path / "p.run.json")
    assert told["image_ids"] == [41, 42, 43, 40]
    assert told["without_ground_truth"] == [42, 43]


DRIVE = "2011_09_26_drive_{:04d}_sync"


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """Two KITTI drives of one date, whose images have the same names."""
    for drive in (1, 2):
        folder = tmp_path / "2011_09_26" / DRIVE.format(drive) / "image_02/data"
        folder.mkdir(parents=True)
        for index in range(2):
            image = np.full((32, 64, 3), 100 * drive + index, np.uint8)
            cv2.imwrite(str(folder / f"{index:010d}.png"), image)
    return tmp_path / "2011_09_26"


def truth_of_drives(path: Path, *drives: int) -> Path:
    """Ids 10, 11 of the first drive, 20, 21 of the second."""
    images = [
        {
            "id": 10 * drive + index,
            "file_name": f"2011_09_26/{DRIVE.format(drive)}/image_02/data/{index:010d}.png",
        }
        for drive in drives
        for index in range(2)
    ]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return path


@pytest.mark.usefixtures("in_process")
def test_drives_with_the_same_file_names_have_their_own_ids(
    tiny_bundle: Path, drives: Path, tmp_path: Path
) -> None:
    truth = truth_of_drives(tmp_path / "gt.json", 1, 2)
    assert run(tiny_bundle, drives, tmp_path / "p.json", "--ground-truth", truth) == 0
    told = read(tmp_path / "p.run.json")
    by_drive = [(f["recording"][17:21], f["image_id"]) for f in told["frames"]]
    assert by_drive == [("0001", 10), ("0001", 11), ("0002", 20), ("0002", 21)]


@pytest.mark.usefixtures("in_process")
def test_an_id_is_not_given_to_two_recordings(
    tiny_bundle: Path, drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = truth_of_drives(tmp_path / "gt.json", 2)
    assert run(tiny_bundle, drives, tmp_path / "p.json", "--ground-truth", truth) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert (
        f"image 20 of {truth} may be in 2011_09_26_drive_0001_sync or in 2011_09_26_drive_0002_sync"
    ) in error
    assert not (tmp_path / "p.json").exists()


@pytest.mark.usefixtures("in_process")
def test_ground_truth_of_each_bag_is_merged(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drives"
    folder.mkdir()
    for number in range(2):
        with Writer(folder / f"{number}", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            camera = CameraTopics(writer, "/cam/image", None, compressed=False)
            truth = connect(writer, "/truth", DETECTIONS)
            camera.write(Frame(np.zeros((32, 64, 3), np.uint8), 5, "c", "bgr8"))
            boxes = Detections.from_arrays(np.array([[1.0, 2, 3, 4 + number]]), np.ones(1))
            append(writer, truth, 5, detection_array(boxes, 5, "c"))
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--ground-truth", "/truth") == 0
    merged = read(tmp_path / "p.ground_truth.json")
    assert [i["id"] for i in merged["images"]] == read(tmp_path / "p.run.json")["image_ids"]
    assert [i["sequence"] for i in merged["images"]] == ["0", "1"]
    boxes_by_image = [(a["id"], a["image_id"], a["bbox"][3]) for a in merged["annotations"]]
    assert boxes_by_image == [(1, 1, 2), (2, 2, 3)]


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Address of a Dask cluster of this machine."""
    distributed = pytest.importorskip("distributed", reason="Dask (distributed) is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
def test_a_dask_cluster(
    tiny_bundle: Path,
    folder: Path,
    tmp_path: Path,
    scheduler: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--scheduler", scheduler) == 1
    assert "1 of 3 recordings failed: broken (" in capsys.readouterr().err
    assert read(tmp_path / "p.run.json")["image_ids"] == [1, 2, 3, 4]


def test_each_recording_gets_a_contact_sheet_of_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run_part(arguments: Sequence[str], _: object) -> str:
        asked.append([*arguments])
        return "failed"

    monkeypatch.setattr("tasksr_ros.replay.many.run_part", run_part)
    out = tmp_path / "out"
    options = ["--bundle", "tdsr-ss-x4", "--predictions", str(out / "p.json")]
    assert main(["replay", str(folder), *options, "--sheet", str(out / "sheet.png")]) == 1
    sheets = sorted(a[a.index("--sheet") + 1] for a in asked)
    assert all(Path(sheet).parent == out / "sheet" for sheet in sheets)
    assert len(set(sheets)) == len(sheets) == 3
