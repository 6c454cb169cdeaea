"""Super-resolution networks by name: ours, and in training and comparison the peers."""

from __future__ import annotations

from typing import Any

from torch import nn

from tasksr_ros.networks import build_sr
from tasksr_training.peers.systems import PEER_NAMES, build_peer


def build_any_sr(name: str, scale_factor: int, **options: Any) -> nn.Module:
    """`tasksr_ros.networks.build_sr`, or `build_peer` for the name of a peer.

    Raises:
        ValueError: for a name, scale factor or option that does not exist.
    """
    build = build_peer if name in PEER_NAMES else build_sr
    return build(name, scale_factor, **options)
