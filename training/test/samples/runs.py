"""Folders of runs that trained nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasksr_training.checkpoints import LAST, build_network, save_checkpoint


def run_of(folder: Path, **networks: dict[str, Any]) -> Path:
    """A run with freshly initialised networks: what `build_network` takes of each part."""
    folder.mkdir()
    built = {part: build_network(part, given) for part, given in networks.items()}
    ema = {f"{p}.{k}": v for p, network in built.items() for k, v in network.state_dict().items()}
    content = {"networks": networks, "ema": ema, "model": ema, "step": 7, "seconds": 90.0}
    save_checkpoint(folder / LAST, content)
    return folder
