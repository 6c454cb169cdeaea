"""Super-resolution that learns what a detector wants to see, and nothing of it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasksr_ros.bundle import find_bundle
from tasksr_ros.errors import BundleError
from tasksr_ros.networks import SR_NAMES
from tasksr_ros.networks.detectors.fcos import Detector
from tasksr_training.adapt.config import AdaptLossConfig
from tasksr_training.adapt.crops import CropBatch
from tasksr_training.adapt.degradation import lr_copies
from tasksr_training.adapt.frozen import Frozen, Seen
from tasksr_training.adapt.losses import agreement
from tasksr_training.adapt.targets import targets
from tasksr_training.checkpoints import LAST, build_network, load_network
from tasksr_training.errors import CheckpointError, TrainingError
from tasksr_training.loop import Validation
from tasksr_training.losses import DetectionLossConfig, detection_loss
from tasksr_training.lr_space import super_resolve


class Enlarger(nn.Module):
    """The network that learns, under the name that checkpoints have it by."""

    def __init__(self, sr: nn.Module) -> None:
        super().__init__()
        self.sr = sr

    def forward(self, lr: Tensor) -> Tensor:
        """(N, 3, h, w) in [0, 1] -> (N, 3, h·s, w·s)."""
        return super_resolve(self.sr, lr).float()


class AdaptStage:
    """See `tasksr_training.loop.Stage`.

    Args:
        sr: what it starts from; see `starting_network`.
        description: what `build_network` takes.
        detectors: that stay as they are; a batch names the one that sees it.
        config: what is learnt from.
        same: IoU from which on a box of the detector is that of a person.
        labelled: whether the batches' boxes are labels, and the detector learns from such.
        held_out: batches that the validation measures on.
    """

    def __init__(
        self,
        sr: nn.Module,
        description: dict[str, Any],
        detectors: Sequence[Frozen],
        config: AdaptLossConfig,
        same: float,
        labelled: bool,
        held_out: Sequence[CropBatch],
    ) -> None:
        self.networks = {"sr": description}
        self.module: nn.Module = Enlarger(sr.requires_grad_(True).train())
        self.learning_rates: dict[str, float] = {}
        self._scale_factor = int(description["scale_factor"])
        self._detectors, self._config = list(detectors), config
        self._labels = [_assignment(detector) for detector in detectors]
        self._labelled, self._same = labelled, same
        self._held_out = held_out

    def loss(self, module: nn.Module, batch: CropBatch, progress: float) -> dict[str, Tensor]:
        """Weighted sum; see `Stage`."""
        del progress
        config = self._config
        lr = lr_copies(batch.hr, batch.degradations, self._scale_factor, batch.seed)
        sr = module(lr)
        l1 = (sr - batch.hr).abs().mean()
        losses = {"l1": l1}
        total = config.alpha * l1
        seen, on_hr = self._both(self._detectors[batch.detector], sr, batch.hr)
        people, least = batch.people, config.least_score
        wanted, weight = targets(seen, on_hr, people, least, self._same)
        distances = agreement(seen, wanted, least, config.focus, weight)
        for name, value in distances.items():
            losses[name] = value
            total = total + getattr(config, name) * value
        if self._labelled and seen.levels is not None:
            labels = self._labels[batch.detector]
            of_labels = detection_loss(seen.levels, batch.boxes, batch.kind, labels)
            losses["labels"] = of_labels["detection"]
            total = total + config.labels * losses["labels"]
        return {"total": total, **losses}

    @staticmethod
    def _both(detector: Frozen, sr: Tensor, hr: Tensor) -> tuple[Seen, Seen]:
        detector.to(sr.device)
        with torch.no_grad():
            on_hr = detector(hr)
        return detector(sr), on_hr

    @torch.no_grad()
    def validate(self, module: nn.Module) -> Validation:
        """Distances on patches of held-out frames."""
        rows = []
        device = next(module.parameters()).device
        for batch in self._held_out:
            moved = batch.to(device)
            losses = self.loss(module, moved, 1.0)
            rows.append({name: float(value) for name, value in losses.items()})
        names = rows[0] if rows else ()
        return Validation({k: round(float(np.mean([r[k] for r in rows])), 4) for k in names}, {})


def _assignment(detector: Frozen) -> DetectionLossConfig:
    """How a detector of ours learnt from labels."""
    gaussian = isinstance(getattr(detector, "detector", None), Detector)
    return DetectionLossConfig(assignment="gaussian" if gaussian else "task-aligned")


def residual(network: nn.Module, description: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The network as one that adds to bicubic enlargement: nothing at first, unless it did so.

    Args:
        network: a DBPN; its features are kept.
        description: what `build_network` takes.
    """
    if description.get("residual"):
        return network, description
    wanted = {**description, "residual": True}
    made = build_network("sr", wanted)
    made.load_state_dict(network.state_dict())
    for parameter in made.get_submodule("output_conv").parameters():
        nn.init.zeros_(parameter)
    return made, wanted


def starting_network(
    start: str, scale_factor: int, out: Path
) -> tuple[nn.Module, dict[str, Any], bool]:
    """A fresh network by its name, or that of a bundle or a run.

    Args:
        start: name of a network, folder or name of a bundle, or folder of a run.
        scale_factor: SR px per LR px.
        out: folder of the run that is to start, which it must not be.

    Returns:
        The network, what `build_network` takes, and whether it has weights.

    Raises:
        TrainingError: for a network that has no weights to learn.
        CheckpointError: for one that is not there, or of another scale factor.
    """
    if start in SR_NAMES:
        if start == "bicubic":
            raise TrainingError("start: expected a network that learns, got bicubic")
        description = {"name": start, "scale_factor": scale_factor}
        try:
            return build_network("sr", description), description, False
        except ValueError as error:
            raise TrainingError(f"scale_factor: {error}") from None
    path = Path(start)
    if not (path / LAST).is_file():
        try:
            path = find_bundle(start)
        except BundleError:
            names = ", ".join(n for n in SR_NAMES if n != "bicubic")
            raise CheckpointError(
                f"start: expected a network ({names}), a bundle or a run, got {start!r}"
            ) from None
    elif path.resolve() == out.resolve():
        raise CheckpointError(f"start: expected another run than --out, got {start}")
    network, description = load_network(path, "sr")
    if description["name"] not in SR_NAMES or description["name"] == "bicubic":
        raise TrainingError(
            f"start: expected super-resolution of single images that learns, got "
            f"{description['name']} of {start}"
        )
    if description["scale_factor"] != scale_factor:
        raise CheckpointError(
            f"start: expected scale factor {scale_factor}, {start} has "
            f"{description['scale_factor']:g}"
        )
    return network, description, True
