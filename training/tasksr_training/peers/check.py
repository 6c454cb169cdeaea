"""Whether our networks give what the published ones give: differences from reference outputs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasksr_training.errors import CheckpointError
from tasksr_training.peers import build, duf, koalanet
from tasksr_training.peers.build import Sizes
from tasksr_training.peers.koalanet import Upsampler
from tasksr_training.peers.reference import Reference, watched

TOLERANCE = 1e-4
"""Of the range of an output."""

Outputs = dict[str, Tensor]
Run = Callable[[Reference], Outputs]


@dataclass(frozen=True)
class Difference:
    """How far one output is from the reference.

    Attributes:
        output: its name.
        largest: of the absolute differences.
        range: greatest less smallest value of the reference.
    """

    output: str
    largest: float
    range: float

    @property
    def relative(self) -> float:
        """``largest`` as a fraction of ``range``; of a constant output infinite, if any."""
        if self.range > 0:
            return self.largest / self.range
        return 0.0 if self.largest == 0 else math.inf

    @property
    def small(self) -> bool:
        """Within ``TOLERANCE``; NaN is not."""
        return self.relative <= TOLERANCE


def differences(reference: Reference) -> list[Difference]:
    """Build the file's network, load its weights, run its inputs, compare each of its outputs.

    Raises:
        CheckpointError: for an unknown network, weights that are missing, too many or of another
            shape, inputs that it cannot take, or outputs that it does not have.
    """
    run = _peer_of(reference)
    try:
        with torch.inference_mode():
            ours = run(reference)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(str(error).split("\n")[0]) from error
    if unknown := [name for name in reference.outputs if name not in ours]:
        raise CheckpointError(f"expected outputs among {sorted(ours)}, got {unknown}")
    return [_difference(name, ours[name], value) for name, value in reference.outputs.items()]


def _difference(name: str, ours: Tensor, theirs: Tensor) -> Difference:
    if ours.squeeze().shape != theirs.squeeze().shape:  # a lone frame or image may lack its axis
        raise CheckpointError(
            f"expected output.{name} of shape {tuple(ours.shape)}, got {tuple(theirs.shape)}"
        )
    if not theirs.isfinite().all():
        raise CheckpointError(f"expected finite numbers in output.{name}")
    largest = (ours.reshape(theirs.shape).double() - theirs).abs().max()
    return Difference(name, float(largest), float(theirs.max() - theirs.min()))


def _toflow(reference: Reference) -> Outputs:
    words = re.findall("true|false", reference.metadata.get("align_corners", "").lower())
    aligned = words[:1] != ["false"]
    network = build.toflow(Sizes(reference.constructor, reference.state), aligned)
    network.load_reference_state_dict(reference.state)
    frames = reference.images("frames", axes="NTCHW")
    flow, warped = network.align(frames)
    return {"flow": flow, "warped": warped, "sr": network(frames)}


def _duf(reference: Reference) -> Outputs:
    network = build.duf(Sizes(reference.constructor, reference.state)).eval()
    network.load_reference_state_dict(reference.state)
    frames = reference.images("frames", axes="NTHWC")
    filters, residual = network.filters_and_residual(frames)
    return {
        "filters": filters.permute(0, 3, 4, 1, 2),
        "residual": _last(residual),
        "sr": _last(network(frames)),
    }


def _duf_downsample(reference: Reference) -> Outputs:
    sizes = Sizes(reference.constructor, {})
    scale, size = sizes.number("scale", 4), sizes.number("size", 13)
    sigma = reference.constructor.get("sigma", duf.SIGMA.get(scale))
    if not isinstance(sigma, (int, float)) or sigma <= 0:
        raise CheckpointError(f"expected sigma above 0, got {sigma!r}")
    lr = duf.downsample(reference.images("hr", axes="THWC"), scale, sigma, size)
    return {"kernel": duf.gaussian(size, sigma), "lr": _last(lr)}


def _predictor(reference: Reference) -> Outputs:
    network = build.predictor(Sizes(reference.constructor, reference.state))
    network.load_reference_state_dict(reference.state)
    with watched({"map_before_pool": network.ConvNet}) as seen:
        code = network(reference.images("lr", axes="NCHW"))
    return {"code": code, **seen}


def _corrector(reference: Reference) -> Outputs:
    network = build.corrector(Sizes(reference.constructor, reference.state))
    network.load_reference_state_dict(reference.state)
    parts: dict[str, nn.Module] = {
        "image_features": network.ConvNet,
        "code_features": network.code_dense,
        "delta_map": network.global_dense,
    }
    with watched(parts) as seen:
        code = network(reference.images("sr", axes="NCHW"), reference.input("code"))
    return {"code": code, "delta": seen["delta_map"].mean((2, 3)), **seen}


def _sftmd(reference: Reference) -> Outputs:
    network = build.sftmd(Sizes(reference.constructor, reference.state))
    network.load_reference_state_dict(reference.state)
    parts: dict[str, nn.Module] = {"after_final_sft": network.sft}
    for number in range(1, network.num_blocks + 1):
        block = network.get_submodule(f"SFT-residual{number}")
        parts[f"after_residual{number}"] = block
        for sft in ("sft1", "sft2"):
            parts[f"residual{number}_{sft}"] = block.get_submodule(sft)
    with watched(parts) as seen:
        sr = network(reference.images("lr", axes="NCHW"), reference.input("code"))
    return {"sr": sr, **seen}


def _ikc(reference: Reference) -> Outputs:
    network = build.ikc(Sizes(reference.constructor, reference.state))
    network.load_reference_state_dict(reference.state)
    images, codes = network.trace(reference.images("lr", axes="NCHW"))
    steps = {f"sr_step{number}": image for number, image in enumerate(images, 1)}
    return {"codes": torch.stack(codes), "sr": images[-1], **steps}


def _kernel_basis(reference: Reference) -> Outputs:
    network = build.kernel_basis(Sizes(reference.constructor, reference.state))
    network.load_reference_state_dict(reference.state)
    return {"codes": network(reference.input("kernels"))}


def _koala_down(reference: Reference) -> Outputs:
    state = _without_scope(reference.state)
    network = build.kernel_estimator(Sizes(reference.constructor, state))
    network.load_reference_state_dict(state)
    return {"k2d_ds": _last(network(_symmetric(reference, "lr")))}


def _koala_base(reference: Reference) -> Outputs:
    state = _without_scope(reference.state)
    network = build.upsampler(Sizes({**reference.constructor, "koala_in_first": 0}, state))
    network.load_reference_state_dict(state)
    return _upsampled(network, _symmetric(reference, "lr"), None)


def _koala_joint(reference: Reference) -> Outputs:
    network = build.koalanet(Sizes(reference.constructor, reference.state))
    network.load_reference_state_dict(reference.state)
    lr = _symmetric(reference, "lr")
    kernels = network.SISR_DDF(lr)
    return {"k2d_ds": _last(kernels), **_upsampled(network.SISR_DUF, lr, kernels)}


def _upsampled(network: Upsampler, lr: Tensor, kernels: Tensor | None) -> Outputs:
    modules = network.KOALA_module
    with watched(
        {f"koala{n}_filter": modules[n].get_submodule("conv2d_3") for n in modules}
    ) as seen:
        blocks = network.block_outputs(lr, kernels)
    x = torch.relu(blocks[-1])
    filters = network.filters(x)
    outputs = {
        "k2d_us": filters,
        "filtered": network.filtered(lr, filters),
        "residual": network.residual(x),
        "sr": network(lr, kernels),
        **{f"koala{n}_out": blocks[int(n) - 1] for n in modules},
        **seen,
    }
    return {name: _last(value) for name, value in outputs.items()}


def _koala_degrade(reference: Reference) -> Outputs:
    """The outputs are told apart by their shapes: images, or kernels by their size."""
    scale = Sizes(reference.constructor, {}).number("factor", 4)
    name = next((n for n, x in reference.inputs.items() if _square(x)), "kernel")
    given = reference.input(name).double().squeeze()
    ours = {given.shape[-1]: given}
    if given.shape[-1] % 2:
        each = given.reshape(-1, *given.shape[-2:])
        whole = torch.stack([koalanet.downscaling_kernel(blur) for blur in each]).squeeze(0)
        ours[whole.shape[-1]] = whole
    image = next((n for n, x in reference.inputs.items() if x.shape[-1] == 3), "hr")
    hr = _symmetric(reference, image).double()
    lr = _last(koalanet.degrade(hr, ours[max(ours)], scale))
    return {
        n: ours.get(x.shape[-1], lr) if _square(x) else lr for n, x in reference.outputs.items()
    }


def _square(x: Tensor) -> bool:
    """Whether it is a kernel or several."""
    sides = x.squeeze().shape
    return len(sides) >= 2 and sides[-1] == sides[-2] > 3


def _symmetric(reference: Reference, name: str) -> Tensor:
    """Images in [-1, 1], also those of bytes."""
    x = reference.images(name, axes="NHWC")
    return 2 * x - 1 if name in reference.of_bytes else x


def _last(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C)."""
    return x.movedim(1, -1)


def _without_scope(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the name of the network, which all weights of a part begin with."""
    return {key.removeprefix("SISR_DDF/").removeprefix("SISR_DUF/"): v for key, v in state.items()}


def _ikc_part(reference: Reference) -> Run:
    """By the weights: the constructors of predictor and corrector look alike."""
    if "SFTMD" in reference.constructor or any(k.startswith("SFTMD.") for k in reference.state):
        return _ikc
    if "kernel_size" in reference.constructor or "pca_matrix" in reference.state:
        return _kernel_basis
    if "nb" in reference.constructor or any(k.startswith("SFT-") for k in reference.state):
        return _sftmd
    return _corrector if "sr" in reference.inputs else _predictor


KOALA_KINDS: dict[str, Run] = {"down": _koala_down, "base": _koala_base, "joint": _koala_joint}


def _koala_part(reference: Reference) -> Run:
    kind = reference.constructor.get("kind")
    if not reference.state:
        return _koala_degrade
    if kind not in KOALA_KINDS:
        raise CheckpointError(f"expected kind among {list(KOALA_KINDS)}, got {kind!r}")
    return KOALA_KINDS[kind]


PEERS: dict[str, Callable[[Reference], Run]] = {
    "pytoflow": lambda _: _toflow,
    "VSR-DUF": lambda r: _duf if r.state else _duf_downsample,
    "IKC": _ikc_part,
    "KOALAnet": _koala_part,
}
"""By the name of the published code's repository."""


def _peer_of(reference: Reference) -> Run:
    repository = reference.source.partition("@")[0].rpartition("/")[2].strip()
    if repository not in PEERS:
        raise CheckpointError(
            f"expected a reference of {', '.join(PEERS)}, got {reference.source!r}"
        )
    return PEERS[repository](reference)
