"""What learns, from what, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from dark_boxes import SIZE, picture, write_bundle
from tasksr_training.adapt.config import AdaptLossConfig
from tasksr_training.adapt.degradation import Degradation
from tasksr_training.adapt.frozen import Frozen, frozen_detector
from tasksr_training.adapt.stage import AdaptStage, starting_network
from tasksr_training.datasets import Batch, Patch, collate

from tasksr_ros.bundle import load_bundle

MODELS = Path(__file__).resolve().parents[3] / "models"
DEGRADATION = Degradation(0.8, 0.01, 70)


def batch() -> Batch:
    """Two patches of 64 px, each with a labelled box."""
    rng = np.random.default_rng(4)
    box = np.array([[10, 5, 30, 60]], np.float32)
    patches = [Patch(picture(rng, 3)[:64, :64], box, np.zeros(1, bool)) for _ in range(2)]
    return collate(patches, rng)


def stage(detector: Frozen, begun: bool = True, labelled: bool = False, **loss: Any) -> AdaptStage:
    torch.manual_seed(1)
    network, description, _ = starting_network("dbpn-ss-8", 2, Path("run"))
    config = AdaptLossConfig(**loss)
    return AdaptStage(
        network, description, begun, detector, DEGRADATION, config, labelled, [batch()]
    )


def test_ours_is_learnt_from_with_labels_and_does_not_learn() -> None:
    detector = frozen_detector(load_bundle(MODELS / "picodet-s-x1"), [0], (64, 64), ["neck"])
    before = {k: v.clone() for k, v in detector.state_dict().items()}
    learning = stage(detector, labelled=True, features=0.5)
    losses = learning.loss(learning.module, batch(), 0.0)
    assert set(losses) == {"total", "l1", "scores", "boxes", "features", "labels"}
    parts = {"l1": 10.0, "scores": 1.0, "boxes": 0.5, "features": 0.5, "labels": 0.5}
    total = sum(weight * losses[name] for name, weight in parts.items())
    assert torch.allclose(losses["total"], torch.as_tensor(total), rtol=1e-5)
    losses["labels"].backward()
    assert all(p.grad is not None for p in learning.module.parameters())
    assert all(torch.equal(v, before[k]) for k, v in detector.state_dict().items())
    figures = learning.validate(learning.module).figures
    assert set(figures) == set(losses) and learning.networks["sr"]["name"] == "dbpn-ss-8"


def test_a_network_without_weights_learns_images_first(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "d"))
    detector = frozen_detector(bundle, [0], SIZE, network="dark_boxes:DarkBoxes")
    learning = stage(detector, begun=False, images_fraction=0.3)
    assert set(learning.loss(learning.module, batch(), 0.29)) == {"total", "l1"}
    assert "scores" in learning.loss(learning.module, batch(), 0.3)


def test_what_the_detector_sees_comes_nearer(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "d"))
    detector = frozen_detector(bundle, [0], SIZE, network="dark_boxes:DarkBoxes")
    learning = stage(detector, alpha=0.0)
    optimizer = torch.optim.Adam(learning.module.parameters(), lr=2e-3)
    seen = []
    for _ in range(15):
        losses = learning.loss(learning.module, batch(), 1.0)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        seen.append(float(losses["scores"].detach()))
    assert seen[-1] < 0.5 * seen[0]
