"""TDSR: super-resolution and detector in series.

Haris, Shakhnarovich, Ukita: "Task-Driven Super Resolution: Object Detection in Low-resolution
Images", arXiv 1803.11316.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TDSR(nn.Module):
    """A super-resolution network followed by a detector.

    Args:
        sr: (N, 3, H, W) -> (N, 3, H·s, W·s), RGB, nominally in [0, 1]; a blind one (`KBPN`) gives
            the kernels (N, k, k) that blurred the images beside.
        detector: (N, 3, H·s, W·s) -> boxes (N, A, 4), scores (N, A), class ids (N, A).
    """

    def __init__(self, sr: nn.Module, detector: nn.Module) -> None:
        super().__init__()
        self.sr = sr
        self.detector = detector

    def forward(self, lr: Tensor, return_sr: bool = False) -> tuple[Tensor, ...]:
        """Detect pedestrians in low-resolution regions.

        Args:
            lr: (N, 3, H, W) float RGB in [0, 1].
            return_sr: also return the image that the detector saw.

        Returns:
            boxes (N, A, 4) x0, y0, x1, y1 in SR px; scores (N, A) in [0, 1]; class ids (N, A)
            int32; of a blind network the kernels (N, k, k); with ``return_sr`` also the SR image
            (N, 3, H·s, W·s), not clipped to [0, 1].
        """
        sr, kernels = image_and_kernels(self.sr(lr))
        boxes, scores, class_ids = self.detector(sr)
        found = (boxes, scores, class_ids, *kernels)
        return (*found, sr) if return_sr else found


class RegionDetector(nn.Module):
    """What an engine compiles: uint8 regions in; boxes, scores, class ids (and kernels) out.

    The normalisation is inside, so that the regions travel to the device as bytes.
    """

    def __init__(self, tdsr: TDSR) -> None:
        super().__init__()
        self.tdsr = tdsr

    def forward(self, regions: Tensor, *clip: Tensor) -> tuple[Tensor, ...]:
        """(N, H, W, 3) uint8 RGB -> boxes (N, A, 4) in SR px, scores and class ids (N, A).

        With a blind network also the kernels (N, k, k) that blurred the regions, SR px. ``clip``
        as in `super_resolved`.
        """
        dtype = next(self.tdsr.detector.parameters()).dtype
        sr, kernels = super_resolved(self.tdsr.sr, dtype, regions, *clip)
        return (*self.tdsr.detector(sr), *kernels)


def super_resolved(
    sr: nn.Module, dtype: torch.dtype, regions: Tensor, *clip: Tensor
) -> tuple[Tensor, tuple[Tensor] | tuple[()]]:
    """What a network makes of regions: of single images, of video, or a blind one.

    Args:
        sr: the network.
        dtype: of its weights.
        regions: (N, H, W, 3) uint8 RGB.
        clip: of video alone: neighbours (N, K, H, W, 3) uint8 RGB, and flows (N, K, 2, H, W)
            float32 in px, see `RBPN.forward`.

    Returns:
        See `image_and_kernels`.
    """
    image = normalise(regions, dtype)
    if not clip:
        return image_and_kernels(sr(image))
    neighbours, flows = clip
    before = neighbours.permute(0, 1, 4, 2, 3).to(dtype) / 255.0
    return image_and_kernels(sr(image, before, flows.to(dtype)))


def normalise(regions: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) in [0, 1], channels last in memory."""
    return regions.permute(0, 3, 1, 2).to(dtype) / 255.0


def image_and_kernels(
    sr: Tensor | tuple[Tensor, Tensor],
) -> tuple[Tensor, tuple[Tensor] | tuple[()]]:
    """What a super-resolution network gives: the images, and a blind one's kernels in float32."""
    return (sr[0], (sr[1].float(),)) if isinstance(sr, tuple) else (sr, ())
