"""The networks of a row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tasksr_ros.networks import build_sr
from tasksr_training.checkpoints import load_network
from tasksr_training.costs import COST_HW, NetworkCost, network_cost
from tasksr_training.detect import System
from tasksr_training.errors import TrainingError
from tasksr_training.studies.config import RowConfig, TableConfig
from tasksr_training.studies.plan import Run, Runs, check_holds, find


@dataclass(frozen=True)
class Parts:
    """The runs whose networks make up a system.

    Attributes:
        sr: run of the super-resolution network; None for the other ways of upscaling.
        detector: run of the detector.
    """

    sr: Run | None
    detector: Run


def parts(row: RowConfig, runs: Runs) -> list[Parts]:
    """The row's systems: one, or one per seed that its runs have in common.

    A run without seeds is part of each.

    Raises:
        TrainingError: for a run that does not exist.
    """
    who = f"row {row.name!r}"
    detectors = find(runs, row.detector, who)
    if (row.upscaling == "sr") != bool(row.sr):
        raise TrainingError(
            f"{who}: expected sr, a run, with upscaling sr and only then, "
            f"got upscaling {row.upscaling} and sr {row.sr!r}"
        )
    if not row.sr:
        return [Parts(None, detector) for detector in detectors]
    srs = find(runs, row.sr, who)
    alone = srs[0].name == row.sr or detectors[0].name == row.detector
    return [Parts(s, d) for s in srs for d in detectors if alone or s.seed == d.seed]


def check_parts(row: RowConfig, runs: Runs, scale_factor: int) -> None:
    """Find before training what a row's runs cannot be put together for.

    Raises:
        TrainingError: for a run that does not exist or lacks the network, runs of different seeds,
            or one that was trained at another scale factor, unless the row's detector sees HR.
    """
    who, made_of = f"row {row.name!r}", parts(row, runs)
    detectors = find(runs, row.detector, who)
    srs = find(runs, row.sr, who) if row.sr else []
    if len(made_of) < max(len(srs), len(detectors)):
        seeds = [sorted(run.seed for run in of) for of in (srs, detectors)]
        raise TrainingError(
            f"{who}: expected the same seeds of {row.sr} and {row.detector}, "
            f"got {seeds[0]} and {seeds[1]}"
        )
    for part, run in [*(("sr", run) for run in srs), *(("detector", run) for run in detectors)]:
        check_holds(run, part, who)
        if row.upscaling != "hr" and run.networks[part] not in (None, scale_factor):
            raise TrainingError(
                f"{who}: expected {run.name} of scale factor {scale_factor}, "
                f"got {run.networks[part]}"
            )


def load(row: RowConfig, part: Parts, table: TableConfig, device: torch.device) -> System:
    """Load the networks of a system.

    Raises:
        TrainingError: for a super-resolution network of another scale factor.
    """
    detector = load_network(part.detector.folder, "detector")[0]
    sr = _sr(row, part, table.scale_factor)
    image_label = _image_label(row, part, table.scale_factor)
    detector_label = f"detector-{part.detector.name}"
    return System(
        row.name,
        None if sr is None else sr.to(device),
        detector.to(device),
        table.scale_factor,
        image_label,
        f"{image_label}_{detector_label}",
    )


def _sr(row: RowConfig, part: Parts, scale_factor: int) -> nn.Module | None:
    if part.sr is not None:
        network, description = load_network(part.sr.folder, "sr")
        if description["scale_factor"] != scale_factor:
            raise TrainingError(
                f"row {row.name!r}: expected {part.sr.name} of scale factor {scale_factor}, "
                f"got {description['scale_factor']}"
            )
        return network
    if row.upscaling == "hr":
        return None
    return nn.Identity() if row.upscaling == "none" else build_sr("bicubic", scale_factor)


def _image_label(row: RowConfig, part: Parts, scale_factor: int) -> str:
    if row.upscaling == "hr":
        return "hr"
    return f"x{scale_factor}_" + (f"sr-{part.sr.name}" if part.sr else row.upscaling)


def architecture(system: System) -> tuple[str, ...]:
    """Equal for systems of the same layers, on images of the same size."""
    lr_only = isinstance(system.sr, nn.Identity)
    return repr(system.sr), repr(system.detector), "" if lr_only else str(system.scale_factor)


def cost(system: System) -> NetworkCost:
    """Of one region: LR of ``COST_HW`` px, or HR of as many times more."""
    device = next(system.detector.parameters()).device
    height, width = COST_HW
    if system.sr is None:
        size = (height * system.scale_factor, width * system.scale_factor)
        return network_cost([system.detector], (torch.rand(1, 3, *size, device=device),))
    lr = torch.rand(1, 3, height, width, device=device)
    return network_cost([system.sr, system.detector], (lr,))
