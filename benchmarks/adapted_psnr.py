"""PSNR of super-resolution on a set's own images: reduced, and enlarged again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from tasksr_training.checkpoints import build_network, load_network
from tasksr_training.degradations import downscale
from tasksr_training.image_quality import psnr
from tasksr_training.lr_space import super_resolve

from benchmarks.yardstick_replays import Set


@torch.no_grad()
def psnr_of(bundle: Path | None, scale_factor: int, sets: Sequence[Set], every: int) -> float:
    """Mean over the images of all sets, dB of luminance.

    Args:
        bundle: with super-resolution; None: bicubic enlargement.
        scale_factor: how many times the images are reduced.
        sets: whose images are HR.
        every: use each n-th image.
    """
    bicubic = {"name": "bicubic", "scale_factor": scale_factor}
    network = build_network("sr", bicubic) if bundle is None else load_network(bundle, "sr")[0]
    network.eval()
    return float(np.mean([_of_image(network, p, scale_factor) for p in _images(sets, every)]))


def _images(sets: Sequence[Set], every: int) -> list[Path]:
    return [
        of.folder / image["file_name"]
        for of in sets
        for image in json.loads(of.truth.read_text(encoding="utf-8"))["images"][::every]
    ]


def _of_image(network: torch.nn.Module, path: Path, factor: int) -> float:
    image = np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
    height, width = (n // factor * factor for n in image.shape[:2])
    hr = np.ascontiguousarray(image[:height, :width])
    pixels = torch.from_numpy(hr.transpose(2, 0, 1)[None].copy()).float() / 255
    sr = super_resolve(network, downscale(pixels, factor)).clamp(0, 1)
    enlarged = (sr[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return psnr(hr, enlarged, border=factor)
