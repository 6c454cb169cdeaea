"""Peers of the sizes that a file has: from what it says of them, and from its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tasksr_training.errors import CheckpointError
from tasksr_training.peers.duf import CROPPING, DUF, TAPS
from tasksr_training.peers.ikc import IKC, SFTMD, STEPS, Corrector, KernelBasis, Predictor
from tasksr_training.peers.koalanet import KernelEstimator, KOALAnet, Upsampler
from tasksr_training.peers.toflow import LEVELS, TOFlow

LARGEST = 1024
"""Of a size that is believed."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """The sizes of a network.

    Attributes:
        given: what the file says, by the names that its authors' code uses.
        state: the published weights, by their published names.
    """

    given: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def size(self, name: str, key: str, axis: int) -> int:
        """A size as given; where it is not, the length of a weight's axis.

        Raises:
            CheckpointError: for one that is neither, no size, or another one than the weight's.
        """
        weight = self.state.get(key)
        found = None if weight is None or weight.ndim == 0 else weight.shape[axis % weight.ndim]
        if name not in self.given and found is None:
            raise CheckpointError(f"missing: {key}, which would tell {name}")
        size = self.number(name, found or 0)
        if found is not None and size != found:
            raise CheckpointError(f"expected {name} {size} as its metadata say, {key} has {found}")
        return size

    def number(self, name: str, otherwise: int, least: int = 1) -> int:
        """A whole number as given, or another one.

        Raises:
            CheckpointError: for something else, a number out of the range, or none at all.
        """
        if name not in self.given and otherwise < least:
            raise CheckpointError(f"missing: the weights that would tell {name}")
        value = self.given.get(name, otherwise)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
            raise CheckpointError(f"expected {name} from {least} to {LARGEST}, got {value!r}")
        return value

    def part(self, name: str) -> Sizes:
        """Of a network within this one."""
        given, prefix = self.given.get(name, {}), f"{name}."
        if not isinstance(given, Mapping):
            raise CheckpointError(f"expected the sizes of {name}, got {given!r}")
        state = {k.removeprefix(prefix): v for k, v in self.state.items() if k.startswith(prefix)}
        return Sizes(given, state)

    def count(self, *keys: str) -> int:
        """How many of these weights there are, up to the first that is missing."""
        return next((n for n, key in enumerate(keys) if key not in self.state), len(keys))


def toflow(sizes: Sizes, align_corners: bool = True) -> TOFlow:
    """A `TOFlow`; sizes by the names ``flow_widths``, ``sr_width``, ``frames``."""
    keys = [f"SpyNet.moduleBasic.0.moduleBasic.{2 * layer}.weight" for layer in range(LEVELS)]
    widths = sizes.given.get("flow_widths", [None] * len(keys))
    if not isinstance(widths, Sequence) or len(widths) != len(keys):
        raise CheckpointError(f"expected flow_widths of {len(keys)} layers, got {widths!r}")
    chosen = []
    for key, width in zip(keys, widths, strict=True):
        given = {} if width is None else {"flow_widths": width}
        chosen.append(Sizes(given, sizes.state).size("flow_widths", key, 0))
    first = "ResNet.conv_3x7_64_9x9.weight"
    channels = sizes.state[first].shape[1] if first in sizes.state else 3 * 7
    return TOFlow(
        chosen,
        sizes.size("sr_width", first, 0),
        sizes.number("frames", channels // 3),
        align_corners=align_corners,
    )


def duf(sizes: Sizes) -> DUF:
    """A `DUF`; sizes by the names ``L``, ``scale``, ``F0``, ``G``, ``head``, ``filter_hidden``."""
    blocks = sizes.count(*(f"Rconv{n}a/W" for n in range(1, LARGEST // 2)))
    return DUF(
        sizes.number("scale", _root(sizes.state.get("fconv2/b"), TAPS)),
        sizes.number("L", 2 * max(blocks, CROPPING) + 4),
        sizes.size("F0", "conv1/b", 0),
        sizes.size("G", "Rconv1b/b", 0),
        sizes.size("head", "conv2/b", 0),
        sizes.size("filter_hidden", "fconv1/b", 0),
    )


def kernel_basis(sizes: Sizes) -> KernelBasis:
    """A `KernelBasis`; sizes by the names ``kernel_size``, ``code_len``."""
    side = _root(sizes.state.get("pca_matrix"), 1)
    return KernelBasis(sizes.number("kernel_size", side), sizes.size("code_len", "pca_matrix", 1))


def predictor(sizes: Sizes) -> Predictor:
    """A `Predictor`; sizes by the names ``nf``, ``code_len``."""
    return Predictor(
        sizes.size("nf", "ConvNet.0.weight", 0), sizes.size("code_len", "ConvNet.10.weight", 0)
    )


def corrector(sizes: Sizes) -> Corrector:
    """A `Corrector`; sizes by the names ``nf``, ``code_len``."""
    return Corrector(
        sizes.size("nf", "ConvNet.0.weight", 0), sizes.size("code_len", "code_dense.0.weight", 1)
    )


def sftmd(sizes: Sizes) -> SFTMD:
    """A `SFTMD`; by the names ``scale``, ``nf``, ``nb``, ``input_para``, ``sft_hidden``.

    And ``min``, ``max``: the limits of its output.
    """
    blocks = sizes.count(*(f"SFT-residual{n}.conv1.weight" for n in range(1, LARGEST)))
    nf = sizes.size("nf", "conv1.weight", 0)
    enlarging = sizes.state.get("upscale.0.weight")
    scale = 4 if "upscale.3.weight" in sizes.state else _root(enlarging, nf)
    seen = sizes.state.get("sft.mul_conv1.weight")
    code_length = 10 if seen is None or seen.ndim < 2 else seen.shape[1] - nf
    limits = sizes.given.get("min", 0.0), sizes.given.get("max", 1.0)
    if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in limits):
        raise CheckpointError(f"expected min and max as numbers, got {limits}")
    return SFTMD(
        sizes.number("scale", scale),
        nf,
        sizes.number("nb", blocks),
        sizes.number("input_para", code_length),
        sizes.size("sft_hidden", "sft.mul_conv1.weight", 0),
        (float(limits[0]), float(limits[1])),
    )


def ikc(sizes: Sizes) -> IKC:
    """An `IKC`; the sizes of ``SFTMD``, ``Predictor``, ``Corrector``, and ``steps``."""
    return IKC(
        sftmd(sizes.part("SFTMD")),
        predictor(sizes.part("Predictor")),
        corrector(sizes.part("Corrector")),
        sizes.number("steps", STEPS),
    )


def kernel_estimator(sizes: Sizes) -> KernelEstimator:
    """A `KernelEstimator`; sizes by the names ``ch``, ``down_kernel``."""
    side = _root(sizes.state.get("conv2d_1/bias"), 1)
    return KernelEstimator(sizes.size("ch", "conv2d/bias", 0), sizes.number("down_kernel", side))


def upsampler(sizes: Sizes) -> Upsampler:
    """An `Upsampler`; by the names ``factor``, ``ch``, ``n_res``, ``koala_in_first`` and others.

    These are ``down_kernel``, ``lc_k_sz``, ``up_kernel``: sides of kernels and filters.
    """
    scale = sizes.number("factor", 4 if "conv2d_5/kernel" in sizes.state else 2)
    blocks = sizes.count(*(f"Residual_block0_{n}/conv2d/bias" for n in range(1, LARGEST)))
    modules = sizes.count(*(f"KOALA_module/{n}/conv2d/bias" for n in range(1, LARGEST)))
    seen = sizes.state.get("kernel_condition/conv2d/kernel")
    filters = sizes.state.get("KOALA_module/1/conv2d_3/bias")
    made = sizes.state.get("conv2d_2/bias")
    return Upsampler(
        scale,
        sizes.size("ch", "conv2d/bias", 0),
        sizes.number("n_res", blocks),
        sizes.number("koala_in_first", modules, least=0),
        sizes.number("down_kernel", 20 if seen is None else math.isqrt(seen.shape[-2])),
        sizes.number("lc_k_sz", 7 if filters is None else _root(filters, 1)),
        sizes.number("up_kernel", 5 if made is None else _root(made, scale**2)),
    )


def koalanet(sizes: Sizes) -> KOALAnet:
    """A `KOALAnet`; sizes as of its two networks, weights under ``SISR_DDF/``, ``SISR_DUF/``."""
    parts = []
    for scope in ("SISR_DDF/", "SISR_DUF/"):
        state = {k.removeprefix(scope): v for k, v in sizes.state.items() if k.startswith(scope)}
        parts.append(Sizes(sizes.given, state))
    return KOALAnet(kernel_estimator(parts[0]), upsampler(parts[1]))


def _root(weight: Tensor | None, share: int) -> int:
    """The side of a square whose pixels, ``share`` channels each, are a weight's first axis."""
    return 0 if weight is None or weight.ndim == 0 else math.isqrt(weight.shape[0] // share)
