"""From a blind run and a detector's bundle to a bundle that tells the blur: `export-blind`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasksr_ros.bundle import load_bundle, save_bundle
from tasksr_ros.networks import BLIND_SR_NAMES
from tasksr_training.adapt.export import detector_of
from tasksr_training.card import blind_card
from tasksr_training.checkpoints import load_network, sr_section
from tasksr_training.errors import CheckpointError
from tasksr_training.export import recipe_of


def export_blind(
    run: Path,
    detector: Path,
    bundle: Path,
    stages: Sequence[str] = (),
    data: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write a bundle with a card: regions go through the run's network, then the detector.

    Classes and score threshold are the detector's; the regions are as large as it sees them.

    Args:
        run: folder of a blind super-resolution run, or a bundle with such a network.
        detector: folder of a bundle whose detector is taken, ours or another's.
        bundle: folder to write; its name is the bundle's.
        stages: commands that trained super-resolution, for the card; none: those of the bundle.
        data: image sets that it was trained on, for the card; none: those of the bundle.
        notes: what the card should say of its figures.

    Raises:
        CheckpointError: when the run is not there, or its network estimates no blur.
        BundleError: when the detector does not serve with this scale factor.
    """
    sr, described = load_network(run, "sr")
    if described["name"] not in BLIND_SR_NAMES:
        raise CheckpointError(
            f"{run}: expected one of {', '.join(BLIND_SR_NAMES)}, which estimate the blur, got "
            f"{described['name']}"
        )
    theirs = load_bundle(detector)
    section, network = detector_of(theirs)
    factor = described["scale_factor"]
    description = {
        "name": bundle.name,
        "sr": sr_section(described),
        "detector": section,
        "classes": list(theirs.classes),
        "region_size": [round(side / factor) for side in theirs.sr_size],
        "score_threshold": theirs.score_threshold,
        "recipe": {**recipe_of(run, stages, data), "detector": theirs.name},
    }
    text = blind_card(description, theirs.name, notes)
    save_bundle(bundle, description, text, sr=sr, detector=network)
