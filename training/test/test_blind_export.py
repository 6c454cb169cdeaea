"""What export-blind writes: super-resolution that tells the blur, before a detector as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tasksr_training.blind_export import export_blind
from tasksr_training.checkpoints import LAST, build_network, save_checkpoint
from tasksr_training.errors import CheckpointError

from tasksr_ros.bundle import load_bundle, save_bundle
from tasksr_ros.networks.detectors.fcos import Detector

TINY = {"kout": 7, "ks": 3, "md_ch": 4, "reduction_ch": 4}
BLIND = {"name": "kbpn-small", "scale_factor": 4, **TINY}


def run_of(folder: Path, description: dict[str, Any]) -> Path:
    folder.mkdir()
    ema = {f"sr.{k}": v for k, v in build_network("sr", description).state_dict().items()}
    content = {"networks": {"sr": description}, "ema": ema, "model": ema, "step": 7, "seconds": 90}
    save_checkpoint(folder / LAST, content)
    return folder


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """A bundle for regions of 64x32 px that are enlarged twice."""
    folder = tmp_path / "detector"
    description = {
        "name": "detector",
        "sr": {"network": "bicubic", "scale_factor": 2},
        "detector": {"network": "fcos", "options": {"width": 0.25}},
        "classes": ["rider", "pedestrian"],
        "region_size": [64, 32],
        "score_threshold": 0.125,
    }
    save_bundle(folder, description, "# detector\n", detector=Detector(0.25, num_classes=2))
    return folder


def test_a_blind_run_before_a_detector(tmp_path: Path, detector: Path) -> None:
    run = run_of(tmp_path / "run", BLIND)
    export_blind(run, detector, tmp_path / "mine", stages=["train it"], data=["drives"])
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.estimates_blur
    assert bundle.sr is not None
    assert (bundle.sr.network, bundle.sr.options) == ("kbpn-small", TINY)
    assert (bundle.scale_factor, bundle.region_size) == (4, (32, 16))  # the detector's 128x64
    assert bundle.classes == ("rider", "pedestrian")
    assert bundle.score_threshold == 0.125
    assert bundle.recipe["detector"] == "detector"
    theirs = load_bundle(detector).load().detector.state_dict()
    ours = bundle.load().detector.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "Super-resolution `kbpn-small` x4" in card
    assert "the detector of `detector`" in card
    assert "- drives" in card


def test_a_run_that_estimates_no_blur_is_refused(tmp_path: Path, detector: Path) -> None:
    run = run_of(tmp_path / "run", {"name": "dbpn-ss", "scale_factor": 2})
    with pytest.raises(CheckpointError, match=r"expected one of kbpn, kbpn-small, .* got dbpn-ss"):
        export_blind(run, detector, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
