from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from tiny_replay import FAST

from tasksr_ros.camera import CameraModel
from tasksr_ros.cli.main import main
from tasksr_ros.config import PipelineConfig, RegionConfig
from tasksr_ros.detections import Detections
from tasksr_ros.io.bag_files import open_bag
from tasksr_ros.io.bags import CAMERA_INFO, COMPRESSED, IMAGE
from tasksr_ros.io.folders import FolderRecording
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.make_bag import CameraTopics, append, connect, make_bag
from tasksr_ros.io.message_types import DETECTIONS, detection_array, message_types
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.video_writer import VideoWriter
from tasksr_ros.model import load_model
from tasksr_ros.replay.outcome import Outcome
from tasksr_ros.replay.outputs import _most_interesting

SIZE = (64, 32)
STEP_NS = 100_000_000
START_NS = 1_000_000_000


def picture(index: int) -> NDArray[np.uint8]:
    """A random image; with the random network, it gives some detections."""
    rng = np.random.default_rng(index)
    return rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"{index:04d}.png"), picture(index))
    return folder


@pytest.fixture
def bag(folder: Path, tmp_path: Path) -> Path:
    """The six images at 10 Hz, raw."""
    return make_bag(folder, tmp_path / "bag")


def run(tiny_bundle: Path, source: Path, out: Path, *options: object) -> int:
    arguments = ["replay", source, "--bundle", tiny_bundle, "--predictions", out]
    return main([str(argument) for argument in [*arguments, *FAST, *options]])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def described(out: Path) -> dict[str, Any]:
    return dict(read(out.with_suffix(".run.json")))


def ground_truth(path: Path, images: list[dict[str, Any]], **more: Any) -> Path:
    categories = [{"id": 1, "name": "pedestrian"}]
    path.write_text(
        json.dumps({"images": images, "annotations": [], "categories": categories, **more})
    )
    return path


def test_every_frame_of_a_bag_as_the_pipeline_sees_it(
    tiny_bundle: Path, bag: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.json"
    assert run(tiny_bundle, bag, out) == 0
    config = PipelineConfig(RegionConfig(mode="full", tile_overlap=8))
    pipeline = load_model(tiny_bundle, "torch").pipeline(config)
    expected = []
    for number, frame in enumerate(open_recording(bag), 1):
        found = pipeline(frame)
        for box, score in zip(found.xyxy.tolist(), found.score.tolist(), strict=True):
            expected.append((number, frame.stamp_ns, [*box[:2], box[2] - box[0]], score))
    got = read(out)
    assert len(got) == len(expected) > 6
    for entry, (number, stamp, box, score) in zip(got, expected, strict=True):
        assert (entry["image_id"], entry["stamp_ns"]) == (number, stamp)
        assert entry["category_id"] == 1
        assert entry["bbox"][:3] == pytest.approx(box, abs=2e-3)
        assert entry["score"] == pytest.approx(score, abs=1e-5)


def test_decoding_ahead_is_part_of_the_latency(
    tiny_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = FolderRecording._load

    def slow(*arguments: Any) -> Frame:
        time.sleep(0.02)
        return load(*arguments)

    monkeypatch.setattr(FolderRecording, "_load", slow)
    assert run(tiny_bundle, folder, tmp_path / "p.json") == 0
    latency_ms = described(tmp_path / "p.json")["latency_ms"]
    assert min(latency_ms["decode"]) >= 20
    stages = [latency_ms[stage] for stage in ("decode", "regions", "engine", "merge")]
    assert latency_ms["total"] == pytest.approx(np.sum(stages, 0), abs=0.01)


def test_the_run_says_what_it_was(tiny_bundle: Path, bag: Path, tmp_path: Path) -> None:
    assert run(tiny_bundle, bag, tmp_path / "p.json") == 0
    told = described(tmp_path / "p.json")
    assert told["image_ids"] == [1, 2, 3, 4, 5, 6]
    assert set(told["latency_ms"]) == {"decode", "regions", "engine", "merge", "total"}
    assert all(len(values) == 6 for values in told["latency_ms"].values())
    assert told["counts"]["frames"] == told["counts"]["processed"] == 6
    assert told["warnings"] == told["unreadable"] == []
    assert told["info"]["bundle"] == str(tiny_bundle)
    assert len(told["info"]["bundle_sha256"]) == 64
    assert "cores" in told["info"]["machine"]
    assert told["frames"][2] == {
        "image_id": 3,
        "camera": "/camera/image",
        "index": 2,
        "file_name": "",
        "stamp_ns": 2 * STEP_NS,
        "width": 64,
        "height": 32,
    }


def test_the_blur_of_every_frame_stands_in_the_run(
    blind_bundle: Path, tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "blind.json"
    assert run(blind_bundle, folder, out, "--every", 3) == 0
    region = RegionConfig(mode="full", tile_overlap=8)
    pipeline = load_model(blind_bundle, "torch").pipeline(PipelineConfig(region))
    told = [frame["blur"] for frame in described(out)["frames"]]
    for index, blur in zip((0, 3), told, strict=True):
        expected = pipeline.run(Frame(picture(index)[:, :, ::-1])).blur
        assert expected is not None
        assert blur["length_px"] == pytest.approx(expected.frame.length, abs=2e-3)
        assert blur["angle_deg"] == pytest.approx(expected.frame.angle, abs=1e-2)
        assert [region["rect"] for region in blur["regions"]] == [[0, 0, 64, 32]]
    assert told[0] != told[1]
    assert run(tiny_bundle, folder, tmp_path / "plain.json", "--every", 3) == 0
    assert all("blur" not in frame for frame in described(tmp_path / "plain.json")["frames"])


@pytest.mark.parametrize("kind", ["folder", "sqlite3", "compressed", "file"])
def test_whatever_holds_the_same_pixels_gives_the_same_predictions(
    tiny_bundle: Path, folder: Path, bag: Path, tmp_path: Path, kind: str
) -> None:
    source = {
        "folder": lambda: folder,
        "sqlite3": lambda: make_bag(folder, tmp_path / "other", "sqlite3"),
        "compressed": lambda: make_bag(folder, tmp_path / "other", compressed=True),
        "file": lambda: bag / "bag.mcap",
    }[kind]()
    assert run(tiny_bundle, bag, tmp_path / "a.json") == 0
    assert run(tiny_bundle, source, tmp_path / "b.json") == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_video(tiny_bundle: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "drive.mp4", 10, SIZE) as video:
        for index in range(4):
            video.write(picture(index))
    assert run(tiny_bundle, tmp_path / "drive.mp4", tmp_path / "p.json") == 0
    stamps = [f["stamp_ns"] for f in described(tmp_path / "p.json")["frames"]]
    assert stamps == [0, STEP_NS, 2 * STEP_NS, 3 * STEP_NS]


@pytest.mark.parametrize(
    ("options", "indices"),
    [
        (("--every", 2), [0, 2, 4]),
        (("--start", 0.2), [2, 3, 4, 5]),
        (("--start", 0.1, "--duration", 0.3), [1, 2, 3]),
        (("--start", 0.1, "--every", 3), [1, 4]),
    ],
)
def test_a_part_of_a_recording(
    tiny_bundle: Path, bag: Path, tmp_path: Path, options: tuple[object, ...], indices: list[int]
) -> None:
    assert run(tiny_bundle, bag, tmp_path / "p.json", *options) == 0
    assert [f["index"] for f in described(tmp_path / "p.json")["frames"]] == indices


def test_nothing_in_the_chosen_time_is_no_empty_result(
    tiny_bundle: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny_bundle, bag, tmp_path / "p.json", "--start", 100) == 1
    assert "none of the 0 frames" in capsys.readouterr().err
    assert not (tmp_path / "p.json").exists()


# Resuming

SLOW_REPLAY = """
import sys, time
from tasksr_ros.engines.torch import TorchEngine
from tasksr_ros.cli.main import main
call = TorchEngine.__call__
def slow(self, regions):
    time.sleep(0.2)
    return call(self, regions)
TorchEngine.__call__ = slow
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_replay_goes_on_to_the_same_result(
    tiny_bundle: Path, bag: Path, tmp_path: Path
) -> None:
    assert run(tiny_bundle, bag, tmp_path / "whole.json") == 0
    journal = tmp_path / "p.journal"
    options = ["--bundle", tiny_bundle, "--predictions", tmp_path / "p.json"]
    command = [sys.executable, "-c", SLOW_REPLAY, "replay", bag, *options, *FAST]
    for _ in range(2):
        lines = len(journal.read_bytes().splitlines()) if journal.exists() else 0
        process = subprocess.Popen([str(c) for c in command], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and len(journal.read_bytes().splitlines()) > lines + 1:
                break
            time.sleep(0.02)
        process.kill()
        process.wait(timeout=20)
    with journal.open("ab") as file:
        file.write(b'{"camera": "/camera/ima')  # as if the last line had been torn
    before = len(journal.read_bytes().splitlines()) - 2
    assert 0 < before < 6
    assert not (tmp_path / "p.json").exists()
    assert run(tiny_bundle, bag, tmp_path / "p.json") == 0
    assert (tmp_path / "p.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert described(tmp_path / "p.json")["counts"]["processed"] == 6


def test_a_finished_replay_is_not_run_again(
    tiny_bundle: Path, bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "p.json"
    assert run(tiny_bundle, bag, out) == 0
    first = out.read_bytes()
    out.unlink()

    def never(*_: object) -> None:
        raise AssertionError("an engine was built")

    monkeypatch.setattr("tasksr_ros.replay.run.load_model", never)
    assert run(tiny_bundle, bag, out, "--video", tmp_path / "later.mp4") == 0
    assert out.read_bytes() == first
    assert len(open_recording(tmp_path / "later.mp4")) == 6


def test_a_journal_of_another_run_is_kept(
    tiny_bundle: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.json"
    assert run(tiny_bundle, bag, out) == 0
    assert run(tiny_bundle, bag, out, "--every", 2) == 1
    error = capsys.readouterr().err
    assert "p.journal holds another replay (every 1 -> 2)" in error
    assert run(tiny_bundle, bag, out, "--every", 2, "--restart") == 0
    assert described(out)["counts"]["processed"] == 3


def test_two_replays_do_not_write_one_file(
    tiny_bundle: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "p.journal").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run(tiny_bundle, bag, tmp_path / "p.json") == 1
    assert "p.journal is in use" in capsys.readouterr().err


# Ground truth


def test_images_of_a_folder_have_the_ids_of_their_names(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    names = [("images/0004.png", 50), ("images\\0001.png", 70), ("images\\lost.png", 90)]
    truth = ground_truth(tmp_path / "gt.json", [{"id": i, "file_name": n} for n, i in names])
    for source in (folder, tmp_path):
        out = tmp_path / f"{source.name}.p.json"
        assert run(tiny_bundle, source, out, "--ground-truth", truth) == 0
        assert described(out)["image_ids"] == [70, 50]
        assert described(out)["ground_truth"]["matched_by"] == "file_name"


def test_a_folder_without_one_of_the_images_is_refused(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = ground_truth(tmp_path / "gt.json", [{"id": 1, "file_name": "other/x.png"}])
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--ground-truth", truth) == 1
    assert "none of the 1 images" in capsys.readouterr().err


def test_frames_of_a_bag_are_found_by_their_stamps(
    tiny_bundle: Path, bag: Path, tmp_path: Path
) -> None:
    images = [
        {"id": 7, "stamp_ns": 4 * STEP_NS + 1_500_000},
        {"id": 9, "stamp_ns": 0},
        {"id": 12, "stamp_ns": 2 * STEP_NS + 5_000_000},
    ]
    truth = ground_truth(tmp_path / "gt.json", images, categories=[{"id": 3, "name": "pedestrian"}])
    out = tmp_path / "p.json"
    assert run(tiny_bundle, bag, out, "--ground-truth", truth) == 0
    told = described(out)
    assert told["image_ids"] == [9, 13, 14, 15, 7, 16]
    assert told["without_ground_truth"] == [13, 14, 15, 16]
    assert told["ground_truth"]["matched"] == 2
    assert told["warnings"] == [
        f"1 images of {truth} have no frame within 2 ms although they lie between the first and "
        f"the last frame"
    ]
    assert {entry["category_id"] for entry in read(out)} == {3}
    assert run(tiny_bundle, bag, out, "--ground-truth", truth, "--tolerance", 6) == 0
    assert described(out)["image_ids"] == [9, 13, 12, 14, 7, 15]


def test_stamps_that_do_not_match_are_told(
    tiny_bundle: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = ground_truth(tmp_path / "gt.json", [{"id": 1, "stamp_ns": 9_000_000_000}])
    assert run(tiny_bundle, bag, tmp_path / "p.json", "--ground-truth", truth) == 1
    error = capsys.readouterr().err
    assert "no stamp of the 6 frames (0 to 500000000 ns)" in error
    assert "the nearest differ by 8500 ms" in error
    assert not (tmp_path / "p.json").exists()


def test_frames_are_found_by_number_where_there_are_no_stamps(
    tiny_bundle: Path, bag: Path, tmp_path: Path
) -> None:
    images = [{"id": 100 + n, "frame": n, "sequence": "a"} for n in (1, 3, 8)]
    truth = ground_truth(tmp_path / "gt.json", images)
    assert run(tiny_bundle, bag, tmp_path / "p.json", "--ground-truth", truth) == 0
    assert described(tmp_path / "p.json")["image_ids"] == [109, 101, 110, 103, 111, 112]
    images[0]["sequence"] = "b"
    ground_truth(truth, images)
    assert run(tiny_bundle, bag, tmp_path / "p.json", "--ground-truth", truth) == 1


def test_ground_truth_of_another_size_stops_before_anything_is_replayed(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [
        {"id": k, "file_name": f"images/{k:04d}.png", "width": 128, "height": 64} for k in range(6)
    ]
    truth = ground_truth(tmp_path / "gt.json", images)
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--ground-truth", truth) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "got 64x32 px for image 0 (images/0000.png) of 128x64 px" in error
    assert not list(tmp_path.glob("p.*"))


def test_what_a_truth_topic_leaves_out_stands_in_the_run_file(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        camera = CameraTopics(writer, "/cam/image", None, compressed=False)
        topic = connect(writer, "/truth", DETECTIONS)
        camera.write(Frame(picture(0), START_NS, "c", "bgr8"))
        found = Detections.from_arrays(np.array([[4.0, 6, 14, 36]]), np.ones(1), np.array([7]))
        append(writer, topic, START_NS, detection_array(found, START_NS, "c"))
    out = tmp_path / "p.json"
    assert run(tiny_bundle, path, out, "--ground-truth", "/truth") == 0
    assert described(out)["warnings"] == [
        "1 objects of /truth are left out, their class_id is none of the bundle's classes "
        "('pedestrian' or '0'): '7' 1"
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"images": []}', '{"images": [{"name": 3}]}'])
def test_what_is_no_ground_truth_is_refused(
    tiny_bundle: Path, bag: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gt.json").write_text(text)
    out = tmp_path / "p.json"
    assert run(tiny_bundle, bag, out, "--ground-truth", tmp_path / "gt.json") == 1
    assert "gt.json must be COCO JSON with images" in capsys.readouterr().err


def two_cameras(path: Path) -> Path:
    """A bag of /left/image and /right/image, with ground truth on /left/truth and /right/truth."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        cameras = [CameraTopics(writer, f"/{s}/image", None, compressed=False) for s in SIDES]
        truths = [connect(writer, f"/{s}/truth", DETECTIONS) for s in SIDES]
        for index in range(4):
            for shift, (camera, truth) in enumerate(zip(cameras, truths, strict=True)):
                stamp = index * STEP_NS + shift * 1_000_000
                camera.write(Frame(picture(index + 10 * shift), stamp, "c", "bgr8"))
                boxes = np.array([[4.0 + 10 * shift, 6, 14 + 10 * shift, 36]])
                message = detection_array(Detections.from_arrays(boxes, np.ones(1)), stamp, "c")
                append(writer, truth, stamp, message)
    return path


SIDES = ("left", "right")


def test_of_several_cameras_some_must_be_chosen(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = two_cameras(tmp_path / "two")
    assert run(tiny_bundle, bag, tmp_path / "p.json") == 1
    assert "several image topics; choose one of /left/image, /right/image" in (
        capsys.readouterr().err
    )


def test_several_cameras(tiny_bundle: Path, tmp_path: Path) -> None:
    bag = two_cameras(tmp_path / "two")
    both = ("--topic", "/right/image", "--topic", "/left/image")
    out = tmp_path / "p.json"
    images = [
        {"id": 1 + 10 * k + n, "camera": side.upper(), "stamp_ns": n * STEP_NS}
        for k, side in enumerate(SIDES)
        for n in range(4)
    ]
    truth = ground_truth(tmp_path / "gt.json", images)
    assert run(tiny_bundle, bag, out, *both, "--ground-truth", truth) == 0
    assert described(out)["image_ids"] == [1, 11, 2, 12, 3, 13, 4, 14]
    cameras = [frame["camera"] for frame in described(out)["frames"]]
    assert cameras == ["/left/image", "/right/image"] * 4
    assert run(tiny_bundle, bag, out, *both, "--video", tmp_path / "v.mp4") == 0
    assert {p.name for p in tmp_path.glob("v*.mp4")} == {
        "v_left_image.mp4",
        "v_right_image.mp4",
    }


def test_ground_truth_of_a_topic(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag, out = two_cameras(tmp_path / "two"), tmp_path / "p.json"
    left = ("--topic", "/left/image")
    assert run(tiny_bundle, bag, out, *left, "--ground-truth", "/left/truth") == 0
    assert described(out)["image_ids"] == [1, 2, 3, 4]
    truth = read(tmp_path / "p.ground_truth.json")
    assert [a["bbox"] for a in truth["annotations"]] == [[4, 6, 10, 30]] * 4
    assert [i["stamp_ns"] for i in truth["images"]] == [n * STEP_NS for n in range(4)]
    assert run(tiny_bundle, bag, out, *left, "--ground-truth", "/left/image") == 1
    assert "there are: /left/truth, /right/truth" in capsys.readouterr().err


def test_ground_truth_of_a_topic_for_each_camera(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stamps of the cameras differ by less than the tolerance: images are told by camera."""
    bag, out = two_cameras(tmp_path / "two"), tmp_path / "p.json"
    both = ("--topic", "/right/image", "--topic", "/left/image")
    assert run(tiny_bundle, bag, out, *both, "--ground-truth", "/left/truth") == 1
    assert "a topic for each of 2 cameras in the order of --topic (/right/image, /left/image)" in (
        capsys.readouterr().err
    )
    truths = ("--ground-truth", "/right/truth", "--ground-truth", "/left/truth")
    assert run(tiny_bundle, bag, out, *both, *truths) == 0
    assert described(out)["image_ids"] == [5, 1, 6, 2, 7, 3, 8, 4]
    assert described(out)["without_ground_truth"] == []
    truth = read(tmp_path / "p.ground_truth.json")
    boxes = {a["image_id"]: a["bbox"] for a in truth["annotations"]}
    assert boxes == {i: [14 if i < 5 else 4, 6, 10, 30] for i in range(1, 9)}
    for image in truth["images"]:
        frame = next(f for f in described(out)["frames"] if f["image_id"] == image["id"])
        assert (frame["camera"], frame["stamp_ns"]) == (image["camera"], image["stamp_ns"])


# Outputs


@pytest.mark.parametrize("compressed", [False, True])
def test_a_bag_with_the_detections(
    tiny_bundle: Path, folder: Path, tmp_path: Path, compressed: bool
) -> None:
    source = make_bag(
        folder,
        tmp_path / "bag",
        camera=CameraModel(*SIZE, 50, 50, 32, 16),
        compressed=compressed,
    )
    out = tmp_path / "p.json"
    assert run(tiny_bundle, source, out, "--bag", tmp_path / "seen") == 0
    with open_bag(tmp_path / "seen") as seen:
        topics = {c.topic: (c.msgtype, c.msgcount) for c in seen.connections}
        images = "/camera/image/compressed" if compressed else "/camera/image"
        assert topics == {
            images: (COMPRESSED if compressed else IMAGE, 6),
            "/camera/camera_info": (CAMERA_INFO, 6),
            "/camera/detections": (DETECTIONS, 6),
            "/camera/annotated/compressed": (COMPRESSED, 6),
        }
        found = [
            message_types().deserialize_cdr(data, DETECTIONS)
            for *_, data in seen.messages(lambda c: c.topic == "/camera/detections")
        ]
    assert sum(len(array.detections) for array in found) == len(read(out))
    first, message = read(out)[0], found[0].detections[0]  # type: ignore[attr-defined]
    assert message.bbox.size_x == pytest.approx(first["bbox"][2], abs=2e-3)
    assert message.results[0].hypothesis.score == pytest.approx(first["score"], abs=1e-5)
    frames = list(open_recording(tmp_path / "seen", images))
    assert all(np.array_equal(f.image, picture(k)) for k, f in enumerate(frames))


def test_a_contact_sheet_shows_the_frames_with_most_in_them(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--sheet", sheet) == 0
    assert cv2.imread(str(sheet)).shape == (3 * 480, 2 * 960, 3)  # six frames of 64x32 px
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--sheet", tmp_path / "sheet") == 1
    assert "--sheet must end in .png or .jpg, got " in capsys.readouterr().err


def outcome(index: int, *scores: float) -> Outcome:
    boxes = np.tile(np.float32([0, 0, 5, 9]), (len(scores), 1))
    return Outcome("", index, "", index, detections=Detections.from_arrays(boxes, np.array(scores)))


def test_of_each_part_the_frame_with_the_highest_sum_of_scores() -> None:
    scores = [(0.9,), (0.5, 0.6), *[()] * 9, (0.1,)]  # two frames a part
    chosen = _most_interesting([outcome(k, *s) for k, s in enumerate(scores)])
    assert [o.index for o in chosen] == [1, 2, 4, 6, 8, 11]
    assert [o.index for o in _most_interesting([outcome(7)])] == [7]


def test_predictions_go_below_the_threshold_of_what_is_shown(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    """The bundle's threshold is .01: nothing else is shown, whatever the predictions hold."""
    out, seen = tmp_path / "p.json", tmp_path / "seen"
    assert run(tiny_bundle, folder, out, "--least_score", 0.001, "--bag", seen) == 0
    scores = [entry["score"] for entry in read(out)]
    assert described(out)["config"]["detection.score_threshold"] == 0.001
    with open_bag(seen) as bag:
        found = [
            message_types().deserialize_cdr(data, DETECTIONS)
            for *_, data in bag.messages(lambda c: c.topic == "/camera/detections")
        ]
    shown = [d.results[0].hypothesis.score for array in found for d in array.detections]
    assert 0 < len(shown) < len(scores)
    assert min(shown) >= np.float32(0.01)


# Bad input


def test_a_truncated_bag_is_replayed_as_far_as_it_goes(
    tiny_bundle: Path, bag: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = bag / "bag.mcap"
    large = tmp_path / "large"
    with Writer(large, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        camera = CameraTopics(writer, "/image", None, compressed=False)
        for index in range(4):
            image = np.tile(picture(index), (8, 8, 1))
            camera.write(Frame(image, index * STEP_NS, "c", "bgr8"))
    file = large / "large.mcap"
    file.write_bytes(file.read_bytes()[: int(3.5 * image.nbytes)])
    options = ("--region", "far")
    assert run(tiny_bundle, large, tmp_path / "p.json", *options) == 0
    told = described(tmp_path / "p.json")
    assert told["counts"]["processed"] == 3
    assert "its end is missing" in told["warnings"][0]
    assert "its end is missing" in caplog.text


def test_an_unreadable_image_is_told_and_the_rest_goes_on(
    tiny_bundle: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "0002.png").write_bytes(b"broken")
    assert run(tiny_bundle, folder, tmp_path / "p.json") == 0
    told = described(tmp_path / "p.json")
    assert told["image_ids"] == [1, 2, 4, 5, 6]
    assert told["counts"]["unreadable"] == 1
    assert "0002.png" in told["unreadable"][0]["reason"]
    assert "frame 2 not processed" in caplog.text


def test_where_nothing_is_readable_there_are_no_predictions(
    tiny_bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in folder.iterdir():
        file.write_bytes(b"broken")
    assert run(tiny_bundle, folder, tmp_path / "p.json") == 1
    assert "none of the 6 frames" in capsys.readouterr().err
    assert not (tmp_path / "p.json").exists()


def test_an_unknown_message_type_is_named(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Writer(tmp_path / "odd", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        definition = "uint8[] pixels\n"
        odd = writer.add_connection(
            "/cam", "my_msgs/msg/Picture", msgdef=definition, rihs01="RIHS01_" + "0" * 64
        )
        writer.write(odd, 1, b"\0\1\0\0\0\0\0\0")
    assert run(tiny_bundle, tmp_path / "odd", tmp_path / "p.json") == 1
    assert "must hold images, got /cam (my_msgs/msg/Picture)" in capsys.readouterr().err


# Regions


@pytest.mark.parametrize(
    "text",
    [
        "{mode: fixed, top: 0.5, bottom: 1.0}",
        "region: {mode: fixed, top: 0.5, bottom: 1.0}",
        "/**:\n  ros__parameters:\n    region: {top: 0.5, bottom: 1.0}\n    bundle: x\n",
        "/**:\n  ros__parameters:\n    region.top: 0.5\n    region.bottom: 1.0\n",
    ],
)
def test_a_file_of_region_parameters(
    tiny_bundle: Path, folder: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "region.yaml").write_text(text)
    out = tmp_path / "p.json"
    assert run(tiny_bundle, folder, out, "--region", tmp_path / "region.yaml") == 0
    config = described(out)["config"]
    assert (config["region.mode"], config["region.top"]) == ("fixed", 0.5)
    assert {entry["image_id"] for entry in read(out)} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{tpo: 0.5}", "did you mean 'region.top'"),
        ("[1, 2]", "which holds no parameters"),
        ("{", "must be YAML"),
        (None, "region must be far, full or a YAML file"),
    ],
)
def test_a_wrong_region_is_refused(
    tiny_bundle: Path,
    folder: Path,
    tmp_path: Path,
    text: str | None,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "region.yaml"
    if text is not None:
        path.write_text(text)
    assert run(tiny_bundle, folder, tmp_path / "p.json", "--region", path) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "tracked", [("--tracking.enabled", "true"), ("--region.budget", "1", "--region", "full")]
)
def test_tracks_and_attention_make_a_killed_replay_begin_anew(
    tiny_bundle: Path, bag: Path, tmp_path: Path, tracked: tuple[str, ...]
) -> None:
    """A track's id, and where one looks, depend on all frames before."""
    whole, torn = tmp_path / "whole.json", tmp_path / "p.json"
    assert run(tiny_bundle, bag, whole, *tracked) == 0
    lines = (tmp_path / "whole.journal").read_bytes().splitlines(keepends=True)
    (tmp_path / "p.journal").write_bytes(b"".join(lines[:4]))
    assert run(tiny_bundle, bag, torn, *tracked) == 0
    again = (tmp_path / "p.journal").read_bytes().splitlines()
    ids = [[json.loads(line).get("track_id") for line in some] for some in (lines, again)]
    assert ids[0] == ids[1]
    assert len(again) == len(lines)


def test_with_intrinsics_predictions_state_distances(
    tiny_bundle: Path, bag: Path, tmp_path: Path
) -> None:
    camera = {"width": 64, "height": 32, "fx": 60.0, "fy": 60.0, "cx": 32.0, "cy": 10.0}
    calibration = tmp_path / "camera.json"
    calibration.write_text(json.dumps({"camera": camera}))
    assert run(tiny_bundle, bag, tmp_path / "a.json", "--region", "full") == 0
    assert not any("distance_m" in entry for entry in read(tmp_path / "a.json"))
    given = ("--region", "full", "--calibration", calibration)
    assert run(tiny_bundle, bag, tmp_path / "b.json", *given) == 0
    known = [entry for entry in read(tmp_path / "b.json") if "distance_m" in entry]
    assert known
    assert all(0 < entry["distance_m"] <= 300 and entry["distance_sd_m"] > 0 for entry in known)
    journal = [json.loads(line) for line in (tmp_path / "b.journal").read_text().splitlines()]
    depths = [line["depth_m"] for line in journal if "depth_m" in line]
    assert len(depths) == 6
    again = tmp_path / "b.json"
    before = again.read_bytes()
    assert run(tiny_bundle, bag, again, *given) == 0  # from the journal
    assert again.read_bytes() == before
