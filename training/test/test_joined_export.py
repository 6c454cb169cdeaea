"""Tests of tasksr_training.joined_export: super-resolution before a detector as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dark_boxes import SIZE, write_bundle
from runs import run_of
from tasksr_training.checkpoints import LAST
from tasksr_training.cli import main
from tasksr_training.joined_export import export_joined

from tasksr_ros.bundle import Bundle, ForeignDetector, load_bundle, save_bundle
from tasksr_ros.config import EngineConfig, NearConfig
from tasksr_ros.io.frames import Frame
from tasksr_ros.model import load_model
from tasksr_ros.networks.detectors.fcos import Detector

KBPN = {"kout": 7, "ks": 3, "md_ch": 4, "reduction_ch": 4}
SR = {
    **{"name": "rbpn-small-4", "scale_factor": 2, "past_only": 1},
    **{"base_filter": 4, "feat": 4},
}


def check_runs(bundle: Bundle) -> None:
    """In the engine that is for all detectors, three frames one after the other."""
    model = load_model(bundle.folder, EngineConfig(name="openvino"), NearConfig(width=0))
    pipeline = model.pipeline()
    rng = np.random.default_rng(0)
    for k in range(2):
        image = rng.integers(0, 256, (200, 300, 3), np.uint8)
        result = pipeline.run(Frame(image, stamp_ns=(k + 10) * 10**8))
    assert result.latency_ms["flow"] > 0


def test_a_video_run_before_the_detector_of_a_bundle(tmp_path: Path) -> None:
    """Another's detector, as it is: regions are as large as what it sees."""
    run, theirs = run_of(tmp_path / "run", sr=SR), write_bundle(tmp_path / "theirs")
    words = ["--run", run, "--bundle", tmp_path / "mine", "--detector", theirs]
    assert main(["export-joined", *map(str, words), '--data=["drives"]']) == 0
    bundle, before = load_bundle(tmp_path / "mine"), load_bundle(theirs)
    assert bundle.neighbours == (-1, -2, -3)
    assert isinstance(bundle.detector, ForeignDetector)
    assert bundle.detector == before.detector
    assert (bundle.classes, bundle.score_threshold) == (before.classes, before.score_threshold)
    assert bundle.region_size == (SIZE[0] // 2, SIZE[1] // 2)
    saved, loaded = torch.load(run / LAST, weights_only=True)["ema"], bundle.load_sr().state_dict()
    assert all(torch.equal(saved[f"sr.{key}"], value) for key, value in loaded.items())
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "with the same place in 3 other frames" in card and "come after" not in card
    assert "- drives" in card and "| 7 steps" not in card
    check_runs(bundle)


@pytest.mark.parametrize(
    ("described", "size", "says", "estimates_blur"),
    [
        (
            {"name": "kbpn-small", "scale_factor": 4, **KBPN},
            (32, 16),  # the detector's 128x64
            "boxes of rider, pedestrian and the blur's kernels out",
            True,
        ),
        (
            {"name": "dbpn-ss", "scale_factor": 2, "nr": 4},
            (64, 32),
            "boxes of rider, pedestrian out",
            False,
        ),
    ],
)
def test_a_run_of_still_images_before_a_detector_of_ours(
    tmp_path: Path,
    described: dict[str, Any],
    size: tuple[int, int],
    says: str,
    estimates_blur: bool,
) -> None:
    theirs = {
        "name": "theirs",
        "sr": {"network": "bicubic", "scale_factor": 2},
        "detector": {"network": "fcos", "options": {"width": 0.25}},
        "classes": ["rider", "pedestrian"],
        "region_size": [64, 32],
        "score_threshold": 0.125,
    }
    save_bundle(tmp_path / "theirs", theirs, "# theirs\n", detector=Detector(0.25, num_classes=2))
    run = run_of(tmp_path / "run", sr=described)
    export_joined(run, tmp_path / "mine", tmp_path / "theirs", data=["drives"])
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.estimates_blur == estimates_blur
    assert bundle.sr is not None and bundle.sr.network == described["name"]
    assert (bundle.scale_factor, bundle.region_size) == (described["scale_factor"], size)
    assert (bundle.classes, bundle.score_threshold) == (("rider", "pedestrian"), 0.125)
    assert bundle.recipe["detector"] == "theirs"
    before = load_bundle(tmp_path / "theirs").load().detector.state_dict()
    after = bundle.load().detector.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert says in card and "other frames" not in card and "- drives" in card


def test_a_run_of_both_networks(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", sr={**SR, "past_only": 0}, detector={"width": 0.25})
    export_joined(run, tmp_path / "mine", region_size=(64, 32), score_threshold=0.4)
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.neighbours == (-2, -1, 1)
    assert (bundle.region_size, bundle.score_threshold) == ((64, 32), 0.4)
    assert "1 of the frames come after each" in (tmp_path / "mine" / "README.md").read_text()


def test_what_does_not_serve_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = run_of(tmp_path / "v", sr=SR)
    detector = run_of(tmp_path / "d", detector={"width": 0.25})
    for words, message in (
        (["--run", detector], "expected a checkpoint or bundle with 'sr', got ['detector']"),
        (["--run", video], "expected a checkpoint or bundle with 'detector', got ['sr']"),
        (["--run", video, "--detector", detector], "score_threshold: expected with the detector"),
        (["--run", video, "--detector", "models/dbpn-ss-x2"], "expected a bundle with a detector"),
        (["--run", tmp_path / "nope"], "expected a checkpoint, there is none"),
    ):
        given = ["export-joined", "--bundle", tmp_path / "out", *words]
        assert main([str(word) for word in given]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
