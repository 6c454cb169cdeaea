"""Tests of tasksr_ros.cli.detect."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasksr_ros.cli.detect import by_height, detect
from tasksr_ros.cli.main import main
from tasksr_ros.config import DetectionConfig, EngineConfig, PipelineConfig, RegionConfig
from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.predictions import coco_results
from tasksr_ros.io.recordings import open_recording
from tasksr_ros.io.video_writer import VideoWriter, fitted

CONFIG = PipelineConfig(
    RegionConfig(mode="full", tile_overlap=8),
    DetectionConfig(score_threshold=0.0),
    EngineConfig(name="torch", device="cpu", threads=1),
)
SIZES = [(96, 42), (60, 80), (120, 64)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, (width, height) in enumerate(SIZES):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
    return folder


def image_ids(out: Path) -> set[int]:
    return {p["image_id"] for p in json.loads((out / "predictions.json").read_text())}


def test_images_of_different_sizes(images: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    detect(open_recording(images), str(tiny_bundle), CONFIG, out)
    assert image_ids(out) == {1, 2, 3}
    assert [frame.size for frame in open_recording(out / "annotated.mp4")] == [SIZES[0]] * 3


def test_the_blur_is_printed_where_it_is_estimated(
    images: Path, blind_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    detect(open_recording(images), str(blind_bundle), CONFIG, tmp_path / "out")
    assert re.search(r"blur: \d+\.\d px in the median of frames, \d+\.\d px at most", caplog.text)


def test_what_was_found_is_told_by_height() -> None:
    heights = [11.9, 20.0, 31.9, 45.0, 60.0, 300.0, 61.0]
    found = [{"bbox": [0.0, 0.0, 9.0, height]} for height in heights]
    assert by_height(found) == " (1 below 20 px, 2 of 20-32, 1 of 32-60, 3 of 60 and more)"
    assert by_height([]) == ""


def test_a_bad_file_in_a_folder_ends_nothing(
    images: Path, tiny_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (images / "1.png").write_bytes((images / "1.png").read_bytes()[:200])
    (images / "._0.png").write_bytes(b"\0\5\x16\7" * 10)  # as macOS copies
    out = tmp_path / "out"
    detect(open_recording(images), str(tiny_bundle), CONFIG, out)
    assert image_ids(out) == {1, 3}
    assert len(list(open_recording(out / "annotated.mp4"))) == 2
    assert caplog.text.count("frame 1 not read: ") == 1
    assert "._0.png" not in caplog.text


def test_bad_files_alone_are_an_error_that_leaves_earlier_results(
    images: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    for file in images.iterdir():
        file.write_bytes(b"broken")
    out = tmp_path / "out"
    out.mkdir()
    (out / "predictions.json").write_text("[1]")
    with pytest.raises(RecordingError, match=r"none of the 3 frames of .* can be read: frame 0"):
        detect(open_recording(images), str(tiny_bundle), CONFIG, out)
    assert (out / "predictions.json").read_text() == "[1]"


def test_what_is_replaced_is_told(
    images: Path, tiny_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    for told in (0, 1):
        detect(open_recording(images), str(tiny_bundle), CONFIG, out)
        line = f"predictions.json, annotated.mp4 of an earlier run in {out}: replaced"
        assert caplog.text.count(line) == told


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_end_leaves_a_playable_video(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: signal.Signals
) -> None:
    source, out = tmp_path / "long.mp4", tmp_path / "out"
    with VideoWriter(source, 20, (64, 48)) as writer:
        for index in range(1000):
            writer.write(np.full((48, 64, 3), index % 200, np.uint8))
    ended = threading.Event()

    def end_it() -> None:
        while not (out / "annotated.mp4").exists():
            if ended.wait(0.05):
                return
        os.kill(os.getpid(), ending)
        os.kill(os.getpid(), ending)  # as a launch file and an impatient user do

    threading.Thread(target=end_it).start()
    arguments = ["detect", str(source), "--out", str(out), "--bundle", str(tiny_bundle)]
    quick = ["--engine.name", "torch", "--engine.threads", "1", "--detection.score_threshold", "0"]
    status = main([*arguments, *quick, "--near.width", "0", "--region.tile_overlap", "8"])
    ended.set()
    assert status == 128 + ending
    assert capsys.readouterr().err.rstrip().endswith("tasksr detect: interrupted")
    frames = len(list(open_recording(out / "annotated.mp4")))
    assert 1 <= frames < 1000
    assert abs(max(image_ids(out)) - frames) <= 1


def test_fitted_by_hand() -> None:
    image = np.full((10, 20, 3), 200, np.uint8)
    assert fitted(image, (20, 10)) is image
    tall = fitted(image, (40, 40))
    assert tall.shape == (40, 40, 3)
    assert (tall[10:30] == 200).all()
    assert (tall[:10] == 0).all()
    assert (tall[30:] == 0).all()
    wide = fitted(image, (30, 5))
    assert (wide[:, 10:20] == 200).all()
    assert wide.sum() == 5 * 10 * 3 * 200


def test_results_have_track_ids_where_there_are_tracks() -> None:
    boxes, scores = np.array([[1, 2, 4, 8], [0, 0, 1, 1]], np.float32), np.ones(2, np.float32)
    classes = np.zeros(2, np.int32)
    found = Detections(boxes, scores, classes, np.array([7, NO_TRACK], np.int32))
    results = coco_results(found, 3, 5)
    first = {"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 6], "score": 1, "stamp_ns": 5}
    assert results[0] == {**first, "track_id": 7}
    assert "track_id" not in results[1]
