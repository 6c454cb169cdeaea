"""What export keeps of a run, and the cards of the bundles in the repository."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from runs import run_of
from tasksr_training.checkpoints import build_network
from tasksr_training.export import export

from tasksr_ros.bundle import load_any_bundle, load_bundle

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = [
    path.parent
    for folder in ("models", "training/study_models")
    for path in sorted((ROOT / folder).glob("*/model.yaml"))
]


def study_of(file: Path, run: Path) -> Path:
    figures = {key: {"value": 0.5} for key in ("ap50", "ap50_distant", "miss_rate", "recall@1")}
    row = {
        "name": "TDSR",
        "cost": {"gmac": 2.0},
        "sets": {"val": {**figures, "psnr_y": {"value": None}}},
        "systems": [{"detector": str(run), "thresholds": {"val": {"0.3": 0.4321}}}],
    }
    table = {
        "scale_factor": 4,
        "baseline": "TDSR",
        "bound": None,
        "rows": [row],
        "pedestrians": {"val": {"images": 2, "all": 3}},
    }
    file.write_text(json.dumps({"tables": [table]}))
    return file


def test_options_of_super_resolution_are_kept_beside_a_detector(tmp_path: Path) -> None:
    sr = {"name": "dbpn-ss", "scale_factor": 4, "nr": 8}
    run = run_of(tmp_path / "run", sr=sr, detector={"width": 0.25})
    study = study_of(tmp_path / "study.json", run)
    export(run, tmp_path / "mine", study, "TDSR", data=["drives"])
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.sr is not None
    assert (bundle.sr.network, bundle.sr.options) == ("dbpn-ss", {"nr": 8})
    assert (bundle.detector.options, bundle.score_threshold) == ({"width": 0.25}, 0.432)
    assert bundle.load().sr.state_dict().keys() == build_network("sr", sr).state_dict().keys()
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "Super-resolution `dbpn-ss` x4, nr 8 and detector `fcos`, width 0.25 in series" in card
    assert "| 2 images, 3 people | TDSR |" in card
    assert "| AP50 | 0.500 |" in card and "| PSNR-Y, dB | - |" in card


def test_super_resolution_of_video_is_kept_beside_a_detector(tmp_path: Path) -> None:
    """With the frames that it looks at, of a task-driven run."""
    sr = {"name": "rbpn-small-4", "scale_factor": 2, "past_only": 1, "base_filter": 4, "feat": 4}
    run = run_of(tmp_path / "run", sr=sr, detector={"width": 0.25})
    study = study_of(tmp_path / "study.json", run)
    export(run, tmp_path / "mine", study, "TDSR")
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.neighbours == (-1, -2, -3)
    assert bundle.load().sr.offsets == (-1, -2, -3)


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_the_card_of_a_committed_bundle_is_one_page(folder: Path) -> None:
    bundle = load_any_bundle(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {folder.name}\n") and bundle.name == folder.name
    assert len(card.splitlines()) <= 40
    native = folder.name.startswith("picodet-s-") or "-adapted-" in folder.name
    images = ["**native images**"] if native else ["**reduced by ", "On native images"]
    for said in ("**Research use**", *images, *bundle.recipe["data"]):
        assert said in card
    for link in re.findall(r"\]\((.+?)\)", card):
        assert (folder / link).exists(), link
