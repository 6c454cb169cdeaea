"""What `benchmarks.networks` measures."""

from __future__ import annotations

from dataclasses import dataclass

FORMS: tuple[str, ...] = (
    "torch reference",
    "torch reference, channels last",
    "torch reference, compiled",
    "torch LR space",
    "torch LR space, channels last",
    "torch LR space, compiled",
    "openvino reference",
    "openvino LR space",
    "openvino LR space, bf16",
    "openvino LR space, int8",
)
"""In the order of the steps; the first is what the others are compared with."""


@dataclass(frozen=True)
class NetworksConfig:
    """What is measured.

    Attributes:
        networks: DBPN variants, with random weights.
        scale_factor: 2, 4 or 8.
        region_hw: height and width of the LR region, px.
        threads: CPU threads, one run for each number.
        rounds: timed runs of each form.
        warm_up: untimed runs of each form before.
        forms: of ``FORMS``; the first is always run, for the ratios.
        weights: a bundle, whose network is measured instead of ``networks``.
        calibration: images, video or bag for int8; empty: no int8.
        images: folder of HR images for PSNR-Y, with ``weights``; empty: none.
    """

    networks: tuple[str, ...] = ("dbpn-ss",)
    scale_factor: int = 4
    region_hw: tuple[int, int] = (96, 320)
    threads: tuple[int, ...] = (1, 2)
    rounds: int = 11
    warm_up: int = 2
    forms: tuple[str, ...] = FORMS
    weights: str = ""
    calibration: str = ""
    images: str = ""
