"""What learns, from what, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from dark_boxes import SIZE, picture, write_bundle
from tasksr_training.adapt.config import AdaptLossConfig
from tasksr_training.adapt.crops import CropBatch
from tasksr_training.adapt.degradation import Degradation
from tasksr_training.adapt.frozen import Frozen, frozen_detector
from tasksr_training.adapt.stage import AdaptStage, residual, starting_network
from tasksr_training.datasets import Patch, collate

from tasksr_ros.bundle import load_bundle
from tasksr_ros.networks.super_resolution.bicubic import Bicubic

MODELS = Path(__file__).resolve().parents[3] / "models"
DEGRADATION = Degradation(0.8, 0.01, 70)


def batch() -> CropBatch:
    """Two patches of 64 px, each with a labelled box."""
    rng = np.random.default_rng(4)
    box = np.array([[10, 5, 30, 60]], np.float32)
    patches = [Patch(picture(rng, 3)[:64, :64], box, np.zeros(1, bool)) for _ in range(2)]
    return CropBatch(
        **vars(collate(patches, rng)),
        degradations=(DEGRADATION, DEGRADATION),
        people=torch.tensor([[[10.0, 5, 30, 60, 0.9]]] * 2),
    )


def stage(detector: Frozen, labelled: bool = False, **loss: Any) -> AdaptStage:
    torch.manual_seed(1)
    network, description, _ = starting_network("dbpn-ss-8", 2, Path("run"))
    started = residual(network, description)
    return AdaptStage(*started, [detector], AdaptLossConfig(**loss), 0.5, labelled, [batch()])


def test_ours_is_learnt_from_with_labels_and_does_not_learn() -> None:
    detector = frozen_detector(load_bundle(MODELS / "picodet-s-x1"), [0], (64, 64), ["neck"])
    before = {k: v.clone() for k, v in detector.state_dict().items()}
    learning = stage(detector, labelled=True, features=0.5)
    losses = learning.loss(learning.module, batch(), 0.0)
    assert set(losses) == {"total", "l1", "scores", "boxes", "features", "labels"}
    parts = {"l1": 2.0, "scores": 1.0, "boxes": 0.5, "features": 0.5, "labels": 0.5}
    total = sum(weight * losses[name] for name, weight in parts.items())
    assert torch.allclose(losses["total"], torch.as_tensor(total), rtol=1e-5)
    losses["labels"].backward()
    assert all(p.grad is not None for p in learning.module.parameters())
    assert all(torch.equal(v, before[k]) for k, v in detector.state_dict().items())
    figures = learning.validate(learning.module).figures
    assert set(figures) == set(losses) and learning.networks["sr"]["name"] == "dbpn-ss-8"


def test_it_starts_at_bicubic_enlargement_and_goes_on_from_a_residual() -> None:
    network, description, _ = starting_network("dbpn-ss-8", 2, Path("run"))
    made, described = residual(network, description)
    assert described == {"name": "dbpn-ss-8", "scale_factor": 2, "residual": True}
    lr = torch.rand(1, 3, 6, 8)
    torch.testing.assert_close(made(lr), Bicubic(2)(lr), rtol=0, atol=1e-5)
    assert torch.equal(made.state_dict()["feat0.conv.weight"], network.feat0.conv.weight)
    assert residual(made, described)[0] is made


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
