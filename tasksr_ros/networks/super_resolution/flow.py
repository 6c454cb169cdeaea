"""Optical flow between LR frames, as the video network wants it.

OpenCV's DIS flow (Kroeger et al.: "Fast Optical Flow using Dense Inverse Search", ECCV 2016) in
place of the reference code's pyflow, which has to be compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_SMALLEST = 16
"""px; DIS refuses smaller images, so their edges are replicated up to it."""


def optical_flow(target: NDArray[np.uint8], neighbour: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where each pixel of ``target`` went in ``neighbour``: target[y, x] ≈ neighbour[y+v, x+u].

    Args:
        target: (H, W, 3) uint8 RGB.
        neighbour: the same shape.

    Returns:
        (2, H, W) float32: u (to the right) and v (down) in px.

    Raises:
        ValueError: for images of other or different shapes or types.
    """
    _check_frame("target", target, None)
    _check_frame("neighbour", neighbour, target.shape)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)  # LR frames are small already
    height, width = target.shape[:2]
    first, second = _grey(target), _grey(neighbour)
    flow = np.zeros((*first.shape, 2), np.float32)
    dis.calc(first, second, flow)
    return np.ascontiguousarray(flow[:height, :width].transpose(2, 0, 1), np.float32)


def neighbours_and_flows(
    target: NDArray[np.uint8], neighbours: Sequence[NDArray[np.uint8] | None]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Neighbours as the network takes them, and the flow from the target to each.

    In the place of a missing neighbour (None: before the start of a recording, or a dropped
    frame) stands the target itself, with no motion, as in the reference's data loading: the
    network then sees nothing new rather than something wrong.

    Args:
        target: (H, W, 3) uint8 RGB.
        neighbours: K images of the same shape, or None, in the order of
            `tasksr_ros.networks.super_resolution.frames.neighbour_offsets`.

    Returns:
        (K, H, W, 3) uint8 RGB and (K, 2, H, W) float32 in px, see `optical_flow`.

    Raises:
        ValueError: for no neighbour, or images of other or different shapes or types.
    """
    if not neighbours:
        raise ValueError("expected at least one neighbour (or None in its place), got none")
    _check_frame("target", target, None)
    still = np.zeros((2, *target.shape[:2]), np.float32)
    images = [target if image is None else image for image in neighbours]
    flows = [still if image is None else optical_flow(target, image) for image in neighbours]
    return np.stack(images), np.stack(flows)


def _check_frame(name: str, image: NDArray[np.uint8], shape: tuple[int, ...] | None) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"expected {name} to be non-empty uint8 RGB of shape (H, W, 3), "
            f"got {image.dtype} of shape {image.shape}"
        )
    if shape is not None and image.shape != shape:
        raise ValueError(f"expected {name} of the target's shape {shape}, got {image.shape}")


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luminance, replicated at the right and at the bottom up to the smallest size DIS takes."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    missing = (max(0, _SMALLEST - size) for size in grey.shape)
    filled = cv2.copyMakeBorder(grey, 0, next(missing), 0, next(missing), cv2.BORDER_REPLICATE)
    return np.asarray(filled, np.uint8)
