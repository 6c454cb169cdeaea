"""Checkpoints of training: plain tensors and numbers, loaded without unpickling objects."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tasksr_ros.bundle import DESCRIPTION, Bundle, OwnDetector, load_any_bundle, load_bundle
from tasksr_ros.networks import build_detector
from tasksr_training.batch_norm import folded
from tasksr_training.errors import CheckpointError
from tasksr_training.networks import build_any_sr
from tasksr_training.whole_files import replacing

LAST = "last.ckpt"
OPTIONS = "config.yaml"
"""The options of a run, in its folder."""
FCOS = "fcos"
"""What a detector is whose description names no network."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash, also the machine's, leaves the old one or the new one."""
    with replacing(path) as file:
        torch.save(content, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint file, or ``last.ckpt`` of a run's folder, onto the CPU.

    Raises:
        CheckpointError: when there is none or it cannot be read.
    """
    file = path / LAST if path.is_dir() else path
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{file}: expected a checkpoint, there is none") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{file}: expected a checkpoint, got {error}") from error
    missing = {"networks", "ema", "model", "step"} - content.keys()
    if missing:
        raise CheckpointError(f"{file}: expected a training checkpoint, it lacks {missing}")
    return content


def load_network(path: Path, part: str) -> tuple[nn.Module, dict[str, Any]]:
    """Build the ``sr`` or ``detector`` network of a checkpoint with its averaged weights.

    Args:
        path: a checkpoint, the folder of a run, or a bundle's folder.
        part: ``sr`` or ``detector``.

    Returns:
        The network in eval mode on the CPU, and the arguments that `build_network` takes.

    Raises:
        CheckpointError: when the checkpoint holds no such network.
    """
    content = None if (path / DESCRIPTION).is_file() else load_checkpoint(path)
    networks = networks_of(path) if content is None else content["networks"]
    if part not in networks:
        raise CheckpointError(
            f"{path}: expected a checkpoint or bundle with {part!r}, got {sorted(networks)}"
        )
    description = networks[part]
    if content is None:
        return _of_bundle(path, part), description
    network = build_network(part, description)
    prefix = f"{part}."
    weights = {k[len(prefix) :]: v for k, v in content["ema"].items() if k.startswith(prefix)}
    network.load_state_dict(folded(weights))
    return network.eval(), description


def networks_of(path: Path) -> dict[str, dict[str, Any]]:
    """The networks that `load_network` finds at a path: ``sr``, ``detector`` or both.

    Returns:
        The arguments that `build_network` takes, by the name of the part.

    Raises:
        CheckpointError: for a checkpoint that is not there or cannot be read.
        BundleError: for a bundle that is not whole.
    """
    if not (path / DESCRIPTION).is_file():
        networks: dict[str, dict[str, Any]] = load_checkpoint(path)["networks"]
        return networks
    bundle = load_any_bundle(path)
    found: dict[str, dict[str, Any]] = {}
    if bundle.sr is not None:
        sr = bundle.sr
        found["sr"] = {"name": sr.network, "scale_factor": sr.scale_factor, **sr.options}
    if isinstance(bundle, Bundle) and isinstance(bundle.detector, OwnDetector):
        detector = bundle.detector
        name = {} if detector.network == FCOS else {"name": detector.network}
        found["detector"] = {**name, **detector.options}
    return found


def trained_for(path: Path) -> tuple[int, float]:
    """Steps and minutes of the training whose weights `load_network` takes."""
    if (path / DESCRIPTION).is_file():
        recipe = load_any_bundle(path).recipe
        return int(recipe.get("steps", 0)), float(recipe.get("minutes", 0.0))
    content = load_checkpoint(path)
    return content["step"], content["seconds"] / 60


def _of_bundle(folder: Path, part: str) -> nn.Module:
    if part == "sr":
        return load_any_bundle(folder).load_sr()
    return load_bundle(folder).load().detector


def sr_section(sr: Mapping[str, Any]) -> dict[str, Any]:
    """The ``sr`` section of a bundle's description; ``sr`` is what `build_network` takes."""
    options = {key: value for key, value in sr.items() if key not in ("name", "scale_factor")}
    return {"network": sr["name"], "scale_factor": sr["scale_factor"], "options": options}


def build_network(part: str, description: dict[str, Any]) -> nn.Module:
    """Build a fresh network: an ``sr`` as `build_any_sr`, or ``none``; or a ``detector``.

    A detector as `build_detector`; one without a name is an FCOS one.
    """
    if part == "detector":
        return build_detector(**{"name": FCOS, **description})
    return nn.Identity() if description["name"] == "none" else build_any_sr(**description)
