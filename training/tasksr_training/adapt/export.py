"""The bundle: the detector as it is, the new network before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from tasksr_ros.bundle import Bundle, ForeignDetector, OwnDetector, save_bundle
from tasksr_training.adapt.systems import alone, behind_bicubic
from tasksr_training.checkpoints import load_network, sr_section


def export_before(bundle: Bundle, sr: Path | int | None, folder: Path) -> None:
    """Write a bundle of another's detector behind something else.

    Args:
        bundle: whose detector it is.
        sr: bundle or run whose super-resolution lies before it; scale factor of bicubic
            enlargement; None: nothing.
        folder: to write; its name is the bundle's.

    Raises:
        TaskSRError: if they do not fit, or what was written cannot be loaded.
    """
    if isinstance(sr, Path):
        network, description = load_network(sr, "sr")
        region = behind_bicubic(bundle, int(description["scale_factor"])).region_size
        before: dict[str, Any] | str = sr_section(description)
    elif sr is not None:
        network, region = None, behind_bicubic(bundle, sr).region_size
        before = {"network": "bicubic", "scale_factor": sr}
    else:
        network, region, before = None, alone(bundle).region_size, "none"
    description = {"name": folder.name, "sr": before, "recipe": dict(bundle.recipe)}
    card = f"# {folder.name}\n\nThe detector of `{bundle.name}` behind {_told(before)}.\n"
    _save(bundle, description, region, card, network, folder)


def export_adapted(
    bundle: Bundle,
    sr: nn.Module,
    sr_description: Mapping[str, Any],
    recipe: Mapping[str, Any],
    told: str,
    folder: Path,
) -> None:
    """Write a bundle in the place of an older one.

    Args:
        bundle: whose detector it is.
        sr: the network.
        sr_description: what `build_network` takes.
        recipe: how it came about.
        told: what was measured, for the card.
        folder: to write; its name is the bundle's.

    Raises:
        BundleError: if what was written cannot be loaded.
    """
    region = behind_bicubic(bundle, int(sr_description["scale_factor"])).region_size
    description = {
        "name": folder.name,
        "sr": sr_section(sr_description),
        "recipe": dict(recipe),
    }
    before = _told(sr_section(sr_description))
    card = f"""# {folder.name}

The detector of the bundle `{bundle.name}`, as it is, behind {before}, which learnt to show it what
it needs: `tasksr-train adapt`, {recipe["steps"]} steps in {recipe["minutes"]:g} minutes, taught by
what the detector itself sees in recordings.

{told}

The detector's licence, and that of the recordings, are their owners' to say.
"""
    _save(bundle, description, region, card, sr, folder)


def _save(
    bundle: Bundle,
    description: Mapping[str, Any],
    region: tuple[int, int],
    card: str,
    sr: nn.Module | None,
    folder: Path,
) -> None:
    """Write a bundle of the detector of another; the description says the rest."""
    section, detector = detector_of(bundle)
    description = {
        **description,
        "detector": section,
        "classes": list(bundle.classes),
        "region_size": list(region),
        "score_threshold": float(bundle.score_threshold),
    }
    save_bundle(folder, description, card, sr=sr, detector=detector)


def detector_of(bundle: Bundle) -> tuple[dict[str, Any], nn.Module | list[Path]]:
    """A bundle's section of its detector, and the network or files that `save_bundle` takes."""
    own = bundle.detector
    section = _section(own)
    if isinstance(own, ForeignDetector):
        model = bundle.folder / own.model
        beside = [model.with_suffix(".bin")] if model.suffix.lower() == ".xml" else []
        return section, [model, *beside]
    detector: nn.Module = replace(bundle, sr=None).load().detector
    return section, detector


def _told(section: Mapping[str, Any] | str) -> str:
    if isinstance(section, str):
        return "nothing"
    return f"`{section['network']}` x{section['scale_factor']}"


def _section(detector: OwnDetector | ForeignDetector) -> dict[str, Any]:
    """As ``model.yaml`` has it, without the names of files."""
    if isinstance(detector, OwnDetector):
        return {"network": detector.network, "options": dict(detector.options)}
    taken = {k: _plain(v) for k, v in asdict(detector.input).items() if v is not None}
    return {
        "decoder": detector.decoder,
        "decoder_options": dict(detector.decoder_options),
        "labels": list(detector.labels),
        "input": taken,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
