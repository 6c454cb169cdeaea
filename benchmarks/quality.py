"""What a faster form costs in the quality of the image: PSNR on luminance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tasksr_training.image_quality import psnr

from benchmarks.forms import Images, Run
from tasksr_ros.io.frames import crop_rgb
from tasksr_ros.io.recordings import open_recording


def mean_psnr_y(
    runs: Mapping[str, Run], images: str | Path, region_hw: tuple[int, int], scale_factor: int
) -> dict[str, float]:
    """Mean PSNR-Y in dB of each form over HR images that are reduced bicubically.

    Args:
        runs: forms of one network, for regions of ``region_hw`` = (height, width) LR px; an image
            is cut into such, for all forms alike.
        images: folder of HR images.
        region_hw: as above.
        scale_factor: of the network.

    Raises:
        RecordingError: if there are no images.
    """
    values: dict[str, list[float]] = {form: [] for form in runs}
    for frame in open_recording(images):
        hr = crop_rgb(frame, 0, 0, *frame.size)
        height, width = (side - side % scale_factor for side in hr.shape[:2])
        hr = hr[:height, :width]
        lr = _downscale(hr, scale_factor)
        for form, run in runs.items():
            sr = _in_tiles(run, lr, region_hw, scale_factor)
            values[form].append(psnr(_pixels(sr), hr, scale_factor))
    return {form: float(np.mean(v)) for form, v in values.items()}


def _downscale(hr: NDArray[np.uint8], scale_factor: int) -> Images:
    """Bicubic with antialiasing, rounded to 8 bits as a camera's image."""
    import torch
    import torch.nn.functional as F

    small = F.interpolate(
        torch.from_numpy(to_images(hr)),
        scale_factor=1 / scale_factor,
        mode="bicubic",
        antialias=True,
    )
    return np.asarray((small.clamp(0, 1) * 255).round().div(255).numpy(), np.float32)


def _in_tiles(run: Run, lr: Images, region_hw: tuple[int, int], scale_factor: int) -> Images:
    """The whole image by a network for regions; what a region lacks is mirrored."""
    (height, width), (rows, columns) = lr.shape[2:], region_hw
    padding = [(0, 0), (0, 0), (0, -height % rows), (0, -width % columns)]
    padded = np.pad(lr, padding, "symmetric")
    strips = [
        np.concatenate(
            [
                run(np.ascontiguousarray(padded[:, :, y : y + rows, x : x + columns])).copy()
                for x in range(0, padded.shape[3], columns)
            ],
            3,
        )
        for y in range(0, padded.shape[2], rows)
    ]
    sr = np.concatenate(strips, 2)
    return sr[:, :, : height * scale_factor, : width * scale_factor]


def _pixels(images: Images) -> NDArray[np.uint8]:
    """(1, 3, H, W) in [0, 1] -> (H, W, 3) uint8, rounded."""
    return np.asarray(np.rint(images[0].clip(0, 1).transpose(1, 2, 0) * 255), np.uint8)


def to_images(pixels: NDArray[np.uint8]) -> Images:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    images = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
    images /= 255
    return images
