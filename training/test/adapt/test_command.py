"""`tasksr-train adapt` from frames to a bundle, on small frames and with few steps."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from dark_boxes import SIZE, picture, write_bundle, write_frames
from tasksr_training import cli
from tasksr_training.adapt import outcome

from tasksr_ros.bundle import load_bundle
from tasksr_ros.io.frames import Frame
from tasksr_ros.io.make_bag import make_bag
from tasksr_ros.model import load_model

NETWORK = ["--network", "dark_boxes:DarkBoxes"]
CONSTANT = ["--network", "dark_boxes:constant"]
NO_VIEWS = ("--teacher.scales", "[]", "--teacher.mirrored", "false")
SMALL = [
    *("--frames.candidates", "12", "--frames.most", "4", "--frames.held_out", "2"),
    *("--crops.size", "64", "--loop.max_minutes", "0", "--loop.accelerator", "cpu"),
    *("--loop.threads", "1", "--loop.log_every", "1", "--loop.batch_size", "2"),
    *("--measuring.samples", "40"),
]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("dark") / "detector")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("drives") / "drive", 20)


def adapt(detector: Path, drive: Path, out: Path, *more: str) -> int:
    words = ["adapt", "--detector", str(detector), "--recordings", str(drive), "--out", str(out)]
    return cli.main([*words, *NETWORK, *SMALL, *more])


def write_labels(path: Path, drive: Path) -> Path:
    """A person in the middle of each frame."""
    files = sorted(p.name for p in drive.iterdir())
    box = {"bbox": [70, 30, 14, 30], "ignore": 0, "category_id": 1}
    content = {
        "images": [{"id": k, "file_name": f"{drive.name}/{f}"} for k, f in enumerate(files)],
        "annotations": [{**box, "id": k, "image_id": k} for k in range(len(files))],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }
    path.write_text(json.dumps(content))
    return path


def test_a_run_that_was_stopped_goes_on_to_a_bundle_that_runs(
    detector: Path,
    drive: Path,
    tmp_path: Path,
    stopped_at: Callable[[int], AbstractContextManager[None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    labels = ["--labels", str(write_labels(drive.parent / "truth.json", drive))]
    with stopped_at(2):
        adapt(detector, drive, out, *labels, "--loop.max_steps", "2")
    chosen = (out / "frames/frames.json").stat().st_mtime_ns
    more = ["--loop.max_steps", "4", "--export", "anyway"]
    assert adapt(detector, drive, out, *labels, *more) == 0
    assert (out / "frames/frames.json").stat().st_mtime_ns == chosen
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "total" in line] == [1, 2, 3, 4]
    said = capsys.readouterr().out
    for part in ("4 frames to train on, 2 held out", "ONNX Runtime gives, within"):
        assert part in said
    assert "measured with; not learnt from" in said and "noise" in said
    assert "AP50 on the labels" in said
    page = (out / "page.html").read_text()
    assert page.count("<img") == 6 * 4  # three batches of two: LR, bicubic, SR, HR
    measured = json.loads((out / "measured.json").read_text())["results"]
    assert set(measured) == {"agreement", "labels"}
    assert measured["agreement"]["all"]["frames"] == 2
    bundle = load_bundle(out / "bundle")
    assert bundle.sr is not None and bundle.sr.network == "dbpn-ss-8"
    assert bundle.sr.options == {"residual": True}
    assert bundle.region_size == (SIZE[0] // 2, SIZE[1] // 2)
    assert bundle.detector == load_bundle(detector).detector
    assert bundle.files["dark.onnx"] == load_bundle(detector).files["dark.onnx"]
    found = load_model(out / "bundle").pipeline()(Frame(picture(np.random.default_rng(1), 1)))
    assert len(found.score) >= 0 and not (out / "candidate").exists()


@pytest.mark.parametrize("kind", ["bag", "video"])
def test_bags_and_videos_are_learnt_from(
    kind: str, detector: Path, drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, views = make_bag(drive, tmp_path / "bag"), ()
    if kind == "video":
        recording, views = write_video(tmp_path / "drive.avi", drive), NO_VIEWS
    assert adapt(detector, recording, tmp_path / "run", "--loop.max_steps", "1", *views) == 0
    said = capsys.readouterr().out
    assert f"4 frames to train on, 2 held out, of {recording.name}" in said
    frames = json.loads((tmp_path / "run/frames/frames.json").read_text())["frames"]
    assert len(frames) == 6 and {f["recording"] for f in frames} == {str(recording)}
    seen = (tmp_path / "run/frames/seen.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)[0] for line in seen] == [f["file"] for f in frames]


def write_video(path: Path, drive: Path) -> Path:
    """The images of a folder, 10 a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    for file in sorted(drive.iterdir()):
        writer.write(cv2.imread(str(file)))
    writer.release()
    return path


def test_what_does_not_help_is_not_exported(
    detector: Path,
    drive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    assert adapt(detector, drive, out, "--loop.max_steps", "1") == 0
    said = capsys.readouterr().out
    assert "It is not shown to help." in said and "no bundle is written" in said
    assert not (out / "bundle").exists()

    def again(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(outcome, "measure", again)
    assert adapt(detector, drive, out, "--loop.max_steps", "1", "--export", "anyway") == 0
    assert load_bundle(out / "bundle").recipe["adapted_to"] == "dark"
    options = yaml.safe_load((out / "config.yaml").read_text())["adapt"]
    assert options["recordings"] == [str(drive)] and options["export"] == "anyway"


def test_a_detector_of_nan_is_told_before_anything_is_learnt(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = write_bundle(tmp_path / "nan", extra="Log", mean=256.0)
    assert adapt(detector, drive, tmp_path / "run", "--loop.max_steps", "1") == 1
    assert "expected finite scores and boxes of the detector" in capsys.readouterr().err
    assert not (tmp_path / "run/last.ckpt").exists()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nobody", "expected people in the recordings, the detector sees nobody"),
        ("one frame", "expected a recording of at least 5 frames"),
        ("constant", "expected scores that depend on the image"),
        ("another class", "expected a detector with a class person or pedestrian"),
        ("not there", "no-such-drive does not exist"),
        ("no recording", "drive must hold a bag or images"),
    ],
)
def test_what_does_not_serve_is_one_clear_line(
    kind: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    constant, more = ({}, []) if kind != "constant" else ({"slope": 0.0}, CONSTANT)
    name = "car" if kind == "another class" else "person"
    detector = write_bundle(tmp_path / "d", name, **constant)
    drive = write_frames(tmp_path / "drive", 12, 0 if kind == "nobody" else 2)
    if kind == "one frame":
        for file in sorted(drive.iterdir())[1:]:
            file.unlink()
        drive = write_video(tmp_path / "one.avi", drive)
    if kind == "not there":
        drive = tmp_path / "no-such-drive"
    if kind == "no recording":
        for file in drive.iterdir():
            file.unlink()
    assert adapt(detector, drive, tmp_path / "run", "--loop.max_steps", "1", *more) == 1
    said = [s for s in capsys.readouterr().err.splitlines() if s.startswith("tasksr-train: ")]
    assert len(said) == 1 and told in said[0]
    assert not (tmp_path / "run/last.ckpt").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--start", "bicubic"], "expected a network that learns, got bicubic"),
        (["--start", "no-such"], "expected a network (dbpn-ss-8"),
        (["--start", "dbpn-ss-x4"], "expected scale factor 2, dbpn-ss-x4 has 4"),
        (["--scale_factor", "3"], "scale_factor"),
        (["--blur", "much"], "blur: expected auto or 0 to 8 HR px, got much"),
        (["--crops.size", "50"], "crops.size: expected a multiple of 32 px"),
        (["--frames.most", "0"], "frames.most: expected at least 1, got 0"),
        (["--teacher.scales", "[1]"], "teacher.scales: expected more than 1, at most 4, got 1"),
        (["--teacher.same", "0"], "teacher.same: expected more than 0, at most 1, got 0"),
        (["--loss.alpha", "-1"], "loss.alpha: expected 0 or more, got -1"),
        (["--classes", "[car]"], "expected a detector with a class car"),
    ],
)
def test_wrong_options_are_one_clear_line(
    detector: Path,
    drive: Path,
    tmp_path: Path,
    more: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert adapt(detector, drive, tmp_path / "run", "--loop.max_steps", "1", *more) == 1
    said = capsys.readouterr().err
    assert told in said and said.startswith("tasksr-train: ") and said.count("\n") == 1


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing more fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("size", "left"),
    [
        (20_000, set()),  # frames are of 30 kB
        (100_000, {"frames/frames.json"}),  # checkpoints of 400
        (1_000_000, {"frames/frames.json", "last.ckpt", "measured.json"}),  # the page of 3 MB
    ],
)
def test_a_full_disk_is_told_and_the_run_goes_on(
    size: int,
    left: set[str],
    detector: Path,
    drive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, more = tmp_path / "run", ["--loop.max_steps", "1"]
    with files_of_at_most(size):
        assert adapt(detector, drive, out, *more) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tasksr")]
    assert len(said) == 1 and "make room and give the same command again" in said[0]
    whole = {"frames/frames.json", "last.ckpt", "measured.json", "page.html"}
    before = {name: (out / name).stat().st_mtime_ns for name in whole if (out / name).exists()}
    assert set(before) == left
    assert adapt(detector, drive, out, *more) == 0
    assert all((out / name).is_file() for name in whole)
    frames = out / "frames/frames.json"
    assert before.get("frames/frames.json") in (None, frames.stat().st_mtime_ns)


def test_one_network_for_two_detectors(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (write_bundle(tmp_path / name) for name in ("one", "two"))
    described = second / "model.yaml"
    described.write_text(described.read_text().replace("name: dark", "name: other"))
    out = tmp_path / "run"
    more = ("--also", f"[{second}]", "--loop.max_steps", "6", "--export", "anyway", *NO_VIEWS)
    words = ["adapt", "--detector", str(first), "--recordings", str(drive), "--out", str(out)]
    assert cli.main([*words, *SMALL, *more]) == 0
    assert capsys.readouterr().out.count("4 frames to train on, 2 held out") == 2
    mine, other = load_bundle(out / "bundle"), load_bundle(out / "for-other/bundle")
    assert mine.files["sr.safetensors"] == other.files["sr.safetensors"]
    assert mine.recipe["adapted_to"] == "dark" and other.recipe["adapted_to"] == "other"
    for folder in (out, out / "for-other"):
        assert json.loads((folder / "measured.json").read_text())["results"]["agreement"]
        assert (folder / "page.html").is_file()
    words[-1] = str(tmp_path / "same")
    assert cli.main([*words, "--also", f"[{first}]", *SMALL, "--loop.max_steps", "1"]) == 1
    assert "different names, got dark, dark" in capsys.readouterr().err
