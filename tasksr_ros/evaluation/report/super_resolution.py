"""Crops through a bundle's super-resolution network, to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import load_any_bundle


def super_resolver(
    path_or_name: str | Path,
) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """A function that super-resolves crops of any size with a bundle's network, on the CPU.

    Returns:
        (H, W, 3) uint8 RGB -> (H·s, W·s, 3) uint8 RGB, s the bundle's scale factor.

    Raises:
        BundleError: if the bundle is missing, broken or without super-resolution.
    """
    import torch

    network = load_any_bundle(path_or_name).load_sr()

    def super_resolve(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        lr = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            sr = network(lr)[0].clamp(0, 1)
        pixels = (255 * sr).round().to(torch.uint8).permute(1, 2, 0)
        return np.ascontiguousarray(pixels.numpy())

    return super_resolve
