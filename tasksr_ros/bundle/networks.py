"""From a bundle's description to networks with its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from torch import Tensor, nn

from tasksr_ros.bundle.on_disk import DESCRIPTION, check_file, check_hash
from tasksr_ros.errors import BundleError


def with_weights(
    build: Callable[[], nn.Module], folder: Path, files: Mapping[str, str], name: str, prefix: str
) -> nn.Module:
    """A network with a bundle's weights, in eval mode on the CPU.

    Args:
        build: makes the network.
        folder: of the bundle.
        files: sha256 of its files.
        name: of the file of weights; empty: the network has none.
        prefix: of the weights' names in the file.

    Raises:
        BundleError: if the file is not the described one, or does not fit the network.
    """
    try:
        with torch.device("meta"):
            shell = build()
        state = _state(folder / name, files[name], prefix) if name else {}
        _check_values(state, shell.state_dict())
        shell.load_state_dict(state, assign=True)  # before memory is taken for what does not fit
        network = build()
        network.load_state_dict(state, assign=True)
    except (ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        file = folder / (name or DESCRIPTION)
        raise BundleError(f"{file}: weights do not fit {DESCRIPTION}: {reason}") from None
    return network.eval().requires_grad_(False)


def _state(path: Path, expected: str, prefix: str) -> dict[str, Tensor]:
    """The part's weights; the file is read once, so that what is checked is what is used."""
    check_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: not readable: {error}") from None
    check_hash(path, expected, hashlib.sha256(data).hexdigest())
    found = load_weights(data)
    return {key[len(prefix) :]: value for key, value in found.items() if key.startswith(prefix)}


def _check_values(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise ValueError for weights of another type than the networks', or not finite."""
    for name in state.keys() & expected.keys():
        if state[name].dtype != expected[name].dtype:
            raise ValueError(f"{name} must be {expected[name].dtype}, got {state[name].dtype}")
        if not state[name].isfinite().all():
            raise ValueError(f"{name} has values that are not finite")
