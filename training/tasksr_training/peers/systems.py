"""The peers as training and comparison use them: LR images in [0, 1] in, SR images out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasksr_ros.networks.super_resolution.frames import neighbour_offsets
from tasksr_training.peers.duf import DUF
from tasksr_training.peers.ikc import IKC, SFTMD, Corrector, KernelBasis, Predictor
from tasksr_training.peers.koalanet import MULTIPLE, KernelEstimator, KOALAnet, Upsampler
from tasksr_training.peers.toflow import TOFlow

VIDEO_PEERS: dict[str, dict[str, Any]] = {
    "toflow": {},
    "toflow-small": {"flow_widths": (8, 16, 8, 4), "sr_width": 16},
    "duf-16": {"num_layers": 16},
    "duf-28": {"num_layers": 28},
    "duf-52": {"num_layers": 52},
    "duf-small": {"num_layers": 16, "f0": 16, "growth": 8, "head": 64, "filter_hidden": 64},
}
BLIND_PEERS: dict[str, dict[str, Any]] = {
    "ikc": {},
    "ikc-small": {"nf": 16, "num_blocks": 4, "sft_hidden": 8, "steps": 3},
    "koalanet": {},
    "koalanet-small": {"ch": 16},
}
"""Options by name. The small ones are ours: the same structure, narrower."""

PEER_NAMES = (*VIDEO_PEERS, *BLIND_PEERS)


class VideoPeer(nn.Module):
    """A network that takes the frames themselves, in the form of `RBPN`.

    Args:
        network: takes (N, num_frames, 3, H, W) in the order of time.
    """

    def __init__(self, network: TOFlow | DUF) -> None:
        super().__init__()
        self.network = network
        self.num_frames, self.scale_factor = network.num_frames, network.scale_factor
        self.offsets = neighbour_offsets(network.num_frames)

    def forward(self, target: Tensor, neighbours: Tensor, flows: Tensor | None = None) -> Tensor:
        """As `RBPN.forward`; the flows are not looked at.

        Raises:
            ValueError: for batches of other shapes or types.
        """
        del flows
        middle = self.num_frames // 2
        frames = torch.cat([neighbours[:, :middle], target[:, None], neighbours[:, middle:]], 1)
        sr: Tensor = self.network(frames)
        return sr


class IKCSystem(nn.Module):
    """IKC and the basis of its codes."""

    def __init__(self, network: IKC, basis: KernelBasis) -> None:
        super().__init__()
        self.network, self.basis, self.scale_factor = network, basis, network.scale_factor

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> the last image of the loop (N, 3, H·s, W·s), its code (N, c)."""
        sr, code = self.network(lr)
        return sr, code


class KOALAnetSystem(nn.Module):
    """KOALAnet for any size, and for images in [0, 1]."""

    def __init__(self, network: KOALAnet) -> None:
        super().__init__()
        self.network, self.scale_factor = network, network.scale_factor

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> (N, 3, H·s, W·s), kernels (N, k², H', W'), see `KernelEstimator`."""
        height, width = lr.shape[2:]
        missing = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        sr, kernels = self.network(F.pad(2 * lr - 1, missing, mode="replicate"))
        s = self.scale_factor
        return (sr[..., : height * s, : width * s] + 1) / 2, kernels


def build_peer(name: str, scale_factor: int, **options: Any) -> nn.Module:
    """Build a peer by name, freshly initialised.

    Args:
        name: one of ``PEER_NAMES``.
        scale_factor: TOFlow: any; VSR-DUF and IKC: 2, 3 or 4; KOALAnet: 2 or 4.
        options: in place of those of the name.

    Raises:
        ValueError: for a name, scale factor or option that does not exist.
    """
    known = {**VIDEO_PEERS, **BLIND_PEERS}
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known)}, got {name!r}")
    builder = {"toflow": _toflow, "duf": _duf, "ikc": _ikc, "koalanet": _koalanet}[
        name.partition("-")[0]
    ]
    try:
        return builder(scale_factor, **{**known[name], **options})
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error


def as_system(network: nn.Module, scale_factor: int) -> nn.Module:
    """What `load_published` gives, in the form of what `build_peer` gives."""
    if isinstance(network, TOFlow):
        network.scale_factor = scale_factor
    if isinstance(network, (TOFlow, DUF)):
        return VideoPeer(network).eval()
    if isinstance(network, IKC):
        return IKCSystem(network, KernelBasis()).eval()
    assert isinstance(network, KOALAnet)
    return KOALAnetSystem(network).eval()


def _toflow(scale_factor: int, **options: Any) -> VideoPeer:
    return VideoPeer(TOFlow(scale_factor=scale_factor, **options))


def _duf(scale_factor: int, **options: Any) -> VideoPeer:
    return VideoPeer(DUF(scale_factor, **options))


def _ikc(
    scale_factor: int,
    nf: int = 64,
    num_blocks: int = 16,
    sft_hidden: int = 32,
    steps: int = 7,
    kernel_size: int = 21,
) -> IKCSystem:
    sftmd = SFTMD(scale_factor, nf, num_blocks, sft_hidden=sft_hidden)
    return IKCSystem(IKC(sftmd, Predictor(nf), Corrector(nf), steps), KernelBasis(kernel_size))


def _koalanet(
    scale_factor: int, ch: int = 64, num_blocks: int = 12, num_koala: int = 5
) -> nn.Module:
    upsampler = Upsampler(scale_factor, ch, num_blocks, num_koala)
    return KOALAnetSystem(KOALAnet(KernelEstimator(ch), upsampler))
