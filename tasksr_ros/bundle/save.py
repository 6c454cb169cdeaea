"""Bundles written: whole, and read again before anybody is told that they are there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasksr_ros.bundle.description import Bundle, OwnDetector
from tasksr_ros.bundle.files import load_any_bundle
from tasksr_ros.bundle.on_disk import CARD, DESCRIPTION, sha256
from tasksr_ros.bundle.schema import FORMAT
from tasksr_ros.io import safe_yaml

if TYPE_CHECKING:
    from torch import nn

SR_WEIGHTS, DETECTOR_WEIGHTS = "sr.safetensors", "detector.safetensors"


def save_bundle(
    folder: Path,
    description: Mapping[str, Any],
    card: str,
    *,
    sr: nn.Module | None = None,
    detector: nn.Module | Sequence[Path] | None = None,
) -> None:
    """Write a bundle in the place of an older one, which stays if anything is wrong.

    Args:
        folder: created if needed.
        description: ``model.yaml``'s values except ``format``, ``files`` and the names of files.
        card: text of the bundle's README.md.
        sr: the network that the section ``sr`` describes; weights are stored as float32.
        detector: the network that the section ``detector`` describes, or the files of another's
            detector, its model first.

    Raises:
        BundleError: if the description lacks a value or has one of a wrong type, or what was
            written cannot be loaded.
        OSError: if the folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as partial:
        place = Path(partial) / folder.name
        place.mkdir()
        _write(place, description, card, sr, detector)
        _check(place)
        shutil.rmtree(folder, ignore_errors=True)
        place.replace(folder)


def _write(
    place: Path,
    description: Mapping[str, Any],
    card: str,
    sr: nn.Module | None,
    detector: nn.Module | Sequence[Path] | None,
) -> None:
    values = {"format": FORMAT, **description}
    if sr is not None and _save(sr, place / SR_WEIGHTS):
        values["sr"] = {**values["sr"], "weights": SR_WEIGHTS}
    if isinstance(detector, Sequence):
        for file in detector:
            shutil.copyfile(file, place / file.name)
        values["detector"] = {**values["detector"], "model": detector[0].name}
    elif detector is not None:
        _save(detector, place / DETECTOR_WEIGHTS)
        values["detector"] = {**values["detector"], "weights": DETECTOR_WEIGHTS}
    values["files"] = {file.name: sha256(file) for file in sorted(place.iterdir())}
    (place / DESCRIPTION).write_text(safe_yaml.dump(values), encoding="utf-8")
    (place / CARD).write_text(card, encoding="utf-8")


def _save(network: nn.Module, path: Path) -> bool:
    """Write a network's weights, if it has any."""
    from safetensors.torch import save_file

    state = {
        key: (value.float() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in network.state_dict().items()
    }
    if state:
        save_file(state, path)
    return bool(state)


def _check(folder: Path) -> None:
    """Raise BundleError unless the bundle can be loaded, networks included."""
    bundle = load_any_bundle(folder)
    if isinstance(bundle, Bundle) and isinstance(bundle.detector, OwnDetector):
        bundle.load()
    elif bundle.sr is not None:
        bundle.load_sr()
