"""Tests of tasksr_ros.networks.super_resolution.kbpn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from tasksr_ros.networks import BLIND_SR_NAMES, build_sr
from tasksr_ros.networks.super_resolution.kbpn import (
    KBPN,
    SFT,
    KernelPredictor,
    blur,
    stretch_kernel,
)

TINY: dict[str, Any] = {"ks": 3, "kout": 7, "num_stage": 3, "md_ch": 6, "reduction_ch": 5}

# At x2, x4 and x8; the published one is said to have 61.2 M at x4.
PARAMETERS = {
    "kbpn": (51_481_763, 61_158_563, 88_806_563),
    "kbpn-small": (890_903, 958_103, 1_150_103),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def reference(shared: Path) -> tuple[KBPN, dict[str, Tensor], dict[str, Tensor]]:
    """A KBPN as the reference file describes it, the reference's state and its tensors."""
    with safe_open(shared / "parity" / "KBPN_T2_x2_k5to9_narrow.safetensors", "pt") as file:
        arguments = json.loads(file.metadata()["constructor"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    state = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    return KBPN(**arguments), state, tensors


@pytest.mark.parametrize("prefix", ["", "module.", "module.sr_model."])
def test_output_equals_the_reference(shared: Path, tmp_path: Path, prefix: str) -> None:
    network, state, tensors = reference(shared)
    torch.save({prefix + k: v for k, v in state.items()}, tmp_path / "checkpoint.pth")
    network.load_reference_state_dict(torch.load(tmp_path / "checkpoint.pth", weights_only=True))
    with torch.no_grad():
        sr, kernel = network(tensors["input.x"])
    stretched = stretch_kernel(kernel, (8, 12))
    for output, expected in ((sr, tensors["output.sr"]), (stretched, tensors["output.kernel"])):
        assert output.shape == expected.shape
        assert (output - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


def test_only_the_super_resolution_part_of_a_checkpoint_is_taken(shared: Path) -> None:
    network, state, _ = reference(shared)
    whole = {f"sr_model.{k}": v for k, v in state.items()}
    network.load_reference_state_dict({**whole, "segmentation_model.conv": torch.zeros(1)})
    own = network.state_dict()["output_conv.conv.weight"]
    torch.testing.assert_close(own, state["output_conv.layer.weight"])


def test_its_own_state_dict_loads() -> None:
    first, second = KBPN(2, **TINY), KBPN(2, **TINY)
    second.load_reference_state_dict(first.state_dict())
    lr = torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        torch.testing.assert_close(second(lr), first(lr))


def test_foreign_weights_are_refused_with_the_first_keys() -> None:
    state = KBPN(2, **TINY).state_dict()
    del state["output_conv.conv.weight"]
    state["head.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"missing: output_conv\.conv\.weight; unexpected: head"):
        KBPN(2, **TINY).load_reference_state_dict(state)


@pytest.mark.parametrize(("name", "counts"), PARAMETERS.items())
def test_parameter_counts(name: str, counts: tuple[int, ...]) -> None:
    with torch.device("meta"):
        built = [build_sr(name, scale_factor) for scale_factor in (2, 4, 8)]
    assert tuple(sum(p.numel() for p in net.parameters()) for net in built) == counts


def test_every_name_is_counted() -> None:
    assert set(PARAMETERS) == set(BLIND_SR_NAMES)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("num_stage", [1, 2, 4])
@pytest.mark.parametrize("hw", [(5, 7), (1, 1)])
def test_other_sizes_scale_odd_images(scale: int, num_stage: int, hw: tuple[int, int]) -> None:
    network = KBPN(scale, **{**TINY, "num_stage": num_stage})
    with torch.no_grad():
        sr, kernel = network(torch.rand(2, 3, *hw))
    assert sr.shape == (2, 3, hw[0] * scale, hw[1] * scale)
    assert kernel.shape == (2, 7, 7)


@pytest.mark.parametrize("ks", [3, 5])
def test_kernels_sum_to_one(ks: int) -> None:
    network = KBPN(2, ks=ks, kout=5, num_stage=2, md_ch=8).double()
    with torch.no_grad():
        _, kernel = network(torch.rand(2, 3, 6, 6).double())
    assert kernel.shape == (2, 5, 5)
    torch.testing.assert_close(kernel.sum((1, 2)), torch.ones(2).double())


def test_a_black_image_has_finite_outputs() -> None:
    """All biases are zero at first, so that the predicted kernel is zero as well."""
    with torch.no_grad():
        sr, kernel = KBPN(2, **TINY)(torch.zeros(1, 3, 6, 6))
    assert sr.isfinite().all()
    assert kernel.isfinite().all()


def test_a_given_kernel_is_used_and_no_predictor_takes_part() -> None:
    network = KBPN(2, **TINY)
    lr, kernel = torch.rand(2, 3, 6, 8), torch.rand(2, 7, 7)
    sr, used = network(lr, kernel)
    torch.testing.assert_close(used, kernel / kernel.sum((1, 2), keepdim=True))
    sr.mean().backward()
    assert all(p.grad is None for p in network.kernel_parameters())
    other, _ = network(lr, kernel.flip(1))
    assert (other - sr).abs().max() > 1e-4


def test_kernel_parameters_are_those_of_the_predictors() -> None:
    network = KBPN(2, **TINY)
    ours = {id(p) for p in network.kernel_parameters()}
    named = {k for k, p in network.named_parameters() if id(p) in ours}
    assert named == {k for k in network.state_dict() if "predictor" in k}
    assert len(named) == 6 + 3 * 10  # the first predictor's and three stages'


def test_gradients_reach_every_parameter() -> None:
    network = KBPN(2, **TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    sr, _ = network(torch.rand(2, 3, 6, 6))
    sr.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_blur_correlates_each_image_with_its_own_kernel() -> None:
    images, kernel = torch.rand(2, 3, 8, 7), torch.rand(2, 3, 3)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = np.zeros((2, 3, 4, 4), np.float32)
    for n in range(2):
        for row in range(4):
            for column in range(4):
                window = padded[n, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
                expected[n, :, row, column] = (window * kernel[n].numpy()).sum((1, 2))
    np.testing.assert_allclose(blur(images, kernel, 2).numpy(), expected, rtol=1e-5)


def test_stretch_kernel_literal() -> None:
    stretched = stretch_kernel(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), (1, 2))
    assert stretched.tolist() == [[[[1, 1]], [[2, 2]], [[3, 3]], [[4, 4]]]]


SIZES = [(1, 1), (2, 5), (3, 3), (4, 9), (6, 5)]


@pytest.mark.parametrize("hw", SIZES)
def test_sft_equals_convolutions_of_the_stretched_kernel(hw: tuple[int, int]) -> None:
    sft = SFT(4, 3).double()
    features, kernel = torch.rand(2, 4, *hw).double(), torch.rand(2, 9).double()
    both = torch.cat((features, stretch_kernel(kernel.view(2, 3, 3), hw)), 1)

    def path(first: nn.Module, last: nn.Module) -> Tensor:
        return last(nn.functional.leaky_relu(first(both), 0.1))

    scale = path(sft.SFT_scale_conv0, sft.SFT_scale_conv1).sigmoid()
    expected = features * scale + path(sft.SFT_shift_conv0, sft.SFT_shift_conv1)
    torch.testing.assert_close(sft(features, kernel), expected)


@pytest.mark.parametrize("hw", SIZES)
def test_predictor_equals_convolutions_of_the_stretched_kernel(hw: tuple[int, int]) -> None:
    predictor = KernelPredictor(3, 5, 4).double()
    sr, kernel = torch.rand(2, 3, *hw).double(), torch.rand(2, 25).double()
    stretched = predictor.fe_kernel(stretch_kernel(kernel.view(2, 5, 5), hw))
    delta = predictor.fe_cat(torch.cat((predictor.fe_SR(sr), stretched), 1)).mean((2, 3))
    resized = nn.functional.interpolate(delta.view(2, 1, 3, 3), (5, 5), mode="bicubic")
    torch.testing.assert_close(predictor(sr, kernel), kernel + resized.flatten(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 3}, "scale_factor must be one of 2, 4, 8, got 3"),
        ({"ks": 0}, "ks must be at least 1, got 0"),
        ({"kout": 20}, "kout must be odd, got 20"),
        ({"num_stage": 0}, "num_stage must be at least 1, got 0"),
        ({"md_ch": 1}, "md_ch must be at least 2, got 1"),
        ({"reduction_ch": 0}, "reduction_ch must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KBPN(**arguments)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (1, 4, 8, 8), (0, 3, 8, 8), (3, 8, 8)])
def test_wrong_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 3, H, W\), got"):
        KBPN(2, **TINY)(torch.zeros(shape))


def test_a_wrong_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected kernel of shape \(1, 7, 7\).*got .*\(1, 5, 5"):
        KBPN(2, **TINY)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 5, 5))
