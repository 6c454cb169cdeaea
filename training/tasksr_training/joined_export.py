"""From super-resolution and a detector as it is to a bundle: `tasksr-train export-joined`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tasksr_ros.bundle import DESCRIPTION, SuperResolution, load_bundle, save_bundle
from tasksr_training.adapt.export import detector_of
from tasksr_training.adapt.systems import behind
from tasksr_training.card import joined_card
from tasksr_training.checkpoints import load_network, sr_section
from tasksr_training.errors import CheckpointError
from tasksr_training.export import detector_section, recipe_of

REGION_SIZE = (320, 96)
"""Of a detector from a run, which says none."""


def export_joined(
    run: Path,
    bundle: Path,
    detector: Path | None = None,
    region_size: tuple[int, int] | None = None,
    score_threshold: float | None = None,
    stages: Sequence[str] = (),
    data: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write a bundle of super-resolution, of still images or video, and a detector, with a card.

    Args:
        run: folder of a run that trained super-resolution, or a bundle with it.
        bundle: folder to write; its name is the bundle's.
        detector: folder of a bundle whose detector, ours or another's, stands behind it, or of a
            run with a detector; none: the run's own.
        region_size: width and height of an engine's region, region px; none: as much as the
            detector's bundle sees at once, and 320x96 with a run's.
        score_threshold: least score of a detection; none: that of the detector's bundle.
        stages: commands that trained super-resolution, for the card; none: those of the bundle.
        data: image sets that it was trained on, for the card; none: those of the bundle.
        notes: what else the card should say.

    Raises:
        CheckpointError: when there is no super-resolution, or no score threshold.
        TrainingError: when the detector's input is no multiple of the scale factor.
        BundleError: when the detector does not serve, or not for regions of this size.
    """
    sr, sr_description = load_network(run, "sr")
    network, behind_it = _detector(detector or run, sr_description)
    if score_threshold is not None:
        behind_it["score_threshold"] = score_threshold
    if "score_threshold" not in behind_it:
        raise CheckpointError(
            f"score_threshold: expected with the detector of a run, {detector or run}, which has "
            "none of its own"
        )
    description = {
        "name": bundle.name,
        "sr": sr_section(sr_description),
        **behind_it,
        "recipe": recipe_of(run, stages, data) | {"detector": (detector or run).name},
    }
    if region_size is not None:
        description["region_size"] = list(region_size)
    text = joined_card(description, getattr(sr, "offsets", ()), notes)
    save_bundle(bundle, description, text, sr=sr, detector=network)


def _detector(
    source: Path, sr_description: dict[str, Any]
) -> tuple[nn.Module | list[Path], dict[str, Any]]:
    """What `save_bundle` writes of a detector, and what the bundle says of it."""
    if not (source / DESCRIPTION).is_file():
        network, described = load_network(source, "detector")
        return network, {
            "detector": detector_section(described),
            "classes": ["pedestrian"],
            "region_size": list(REGION_SIZE),
        }
    theirs = load_bundle(source)
    factor = sr_description["scale_factor"]
    sized = behind(theirs, SuperResolution(network=sr_description["name"], scale_factor=factor))
    section, files = detector_of(theirs)
    return files, {
        "detector": section,
        "classes": list(theirs.classes),
        "region_size": list(sized.region_size),
        "score_threshold": float(theirs.score_threshold),
    }
