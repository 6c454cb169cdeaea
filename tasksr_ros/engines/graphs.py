"""The networks in the form that an engine compiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from tasksr_ros.bundle import Bundle, ForeignDetector
from tasksr_ros.errors import BundleError
from tasksr_ros.networks.detectors.decoders import build_decoder
from tasksr_ros.networks.detectors.decoders.common import Decoder, Signature
from tasksr_ros.networks.foreign import DetectorInput
from tasksr_ros.networks.super_resolution.bicubic import Bicubic, convolved
from tasksr_ros.networks.super_resolution.dbpn import DBPN
from tasksr_ros.networks.super_resolution.kbpn import KBPN
from tasksr_ros.networks.super_resolution.lr_space import to_lr_space
from tasksr_ros.networks.super_resolution.rbpn import RBPN
from tasksr_ros.networks.tdsr import TDSR

FreeAxes: TypeAlias = Mapping[str, Mapping[int, str]]
"""Name of each axis of an input that may be of any length, by input and axis."""


def load_graph(bundle: Bundle, form: str) -> TDSR:
    """The bundle's own networks in eval mode on the CPU.

    Args:
        bundle: what to load.
        form: "reference", or "lr_space", which networks without one are left out of.

    Raises:
        BundleError: if the weights do not fit, or the detector is another's.
    """
    tdsr = bundle.load()
    sr = tdsr.sr if form == "reference" else _in_lr_space(tdsr.sr, bundle)
    return TDSR(sr, tdsr.detector).eval()


def detector_input(bundle: Bundle) -> DetectorInput:
    """What makes another's detector's input of regions, super-resolution in LR-space form."""
    taken = _foreign(bundle).input
    sr = None if bundle.sr is None else _in_lr_space(bundle.load_sr(), bundle)
    return DetectorInput(sr, taken.channels, taken.mean, taken.std, taken.layout).eval()


def decoder_of(bundle: Bundle, signature: Signature) -> Decoder:
    """What makes boxes of another's detector's outputs.

    Raises:
        BundleError: if the outputs are not what the decoder takes.
    """
    detector = _foreign(bundle)
    try:
        decoder = build_decoder(
            detector.decoder, signature, detector.labels, detector.decoder_options
        )
    except ValueError as error:
        raise BundleError(f"{bundle.folder / detector.model}: {error}") from None
    return decoder.eval()


def decoder_inputs(decoder: Decoder, signature: Signature) -> tuple[dict[str, Tensor], FreeAxes]:
    """Examples of what a decoder takes, by name in its order, and their axes of any length."""
    examples, free = {}, {}
    for name in decoder.outputs:
        shape = signature.outputs[name]
        kind = torch.int64 if "label" in name else torch.float32
        examples[name] = torch.zeros([2 if side < 0 else side for side in shape], dtype=kind)
        free[name] = {k: "rows" for k, side in enumerate(shape) if side < 0}
    return examples, free


def example_inputs(bundle: Bundle, batch: int = 1) -> dict[str, Tensor]:
    """Examples of what the bundle's graph takes, by name in its order."""
    (width, height), number = bundle.region_size, len(bundle.neighbours)
    examples = {"regions": torch.zeros(batch, height, width, 3, dtype=torch.uint8)}
    if number:
        shape = batch, number, height, width, 3
        examples["neighbours"] = torch.zeros(shape, dtype=torch.uint8)
        examples["flows"] = torch.zeros(batch, number, 2, height, width)
    return examples


def _foreign(bundle: Bundle) -> ForeignDetector:
    if not isinstance(bundle.detector, ForeignDetector):
        raise TypeError(f"{bundle.name} has a detector of this package")
    return bundle.detector


def _in_lr_space(sr: nn.Module, bundle: Bundle) -> nn.Module:
    width, height = bundle.region_size
    if isinstance(sr, Bicubic):
        return convolved(sr, (height, width))
    return to_lr_space(sr, (height, width)) if isinstance(sr, (DBPN, RBPN, KBPN)) else sr


class AsTuple(nn.Module):
    """A module of any number of inputs as one of a tuple, whose axes are said one by one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The module's outputs."""
        outputs: tuple[Tensor, ...] = self.module(*inputs)
        return outputs
