"""The examples run as their docstrings say, and print boxes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

BOX = re.compile(r"^(\w+ )?\d+ \d+ \d+ \d+ 0\.\d\d$|^(\w+ )?\d+ \d+ \d+ \d+ 1\.00$")


def run(root: Path, cwd: Path, name: str, *arguments: object) -> list[str]:
    command = [sys.executable, root / "examples" / name, *arguments]
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def street(shared: Path) -> Path:
    """A frame of CamVid with people who are near."""
    truth = json.loads((shared / "data" / "camvid" / "val.json").read_text())
    near = max(truth["annotations"], key=lambda entry: entry["bbox"][3])
    files = {image["id"]: image["file_name"] for image in truth["images"]}
    return shared / "data" / "camvid" / str(files[near["image_id"]])


@pytest.mark.slow
def test_detect_image(root: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "road.png"), image)
    lines = run(root, tmp_path, "detect_image.py", "road.png", "tdsr-ss-x2")
    assert all(BOX.match(line) for line in lines)


@pytest.mark.slow
def test_own_detector(root: Path, tmp_path: Path, shared: Path, street: Path) -> None:
    file = shared / "weights" / "yolox_nano_coco.onnx"
    first, *lines = run(root, tmp_path, "own_detector.py", file, street)
    assert "strides (8, 16, 32), 80 classes; keeps person, bicycle; bicubic x2" in first
    assert lines and all(BOX.match(line) for line in lines)
    assert {line.split()[0] for line in lines} <= {"person", "bicycle"}


@pytest.mark.slow
def test_own_engine(root: Path, tmp_path: Path, street: Path) -> None:
    lines = run(root, tmp_path, "own_engine.py", street)
    assert all(BOX.match(line) for line in lines)
