"""IKC: SFTMD, predictor, corrector, the loop, kernels as codes."""

from __future__ import annotations

import pytest
import torch
from tasksr_training.peers.ikc import IKC, SFTMD, Corrector, KernelBasis, Predictor
from torch import nn


@pytest.mark.parametrize(("scale_factor", "size"), [(2, 4_086_979), (3, 4_271_619), (4, 4_234_691)])
def test_sizes_of_the_published_networks(scale_factor: int, size: int) -> None:
    with torch.device("meta"):
        networks = SFTMD(scale_factor), Predictor(), Corrector()
    counted = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counted == [size, 430_730, 649_930]


def narrow(scale_factor: int = 2, steps: int = 3) -> IKC:
    torch.manual_seed(0)
    sftmd = SFTMD(scale_factor, 4, 2, sft_hidden=3, limits=(-9.0, 9.0))
    return IKC(sftmd, Predictor(5), Corrector(6), steps)


@torch.no_grad()
@pytest.mark.parametrize("scale_factor", [2, 3, 4])
def test_the_loop(scale_factor: int) -> None:
    network, lr = narrow(scale_factor), torch.rand(2, 3, 7, 9)
    images, codes = network.trace(lr)
    sr, code = network(lr)
    assert len(images) == 3 and len(codes) == 4
    assert sr.shape == (2, 3, 7 * scale_factor, 9 * scale_factor) and code.shape == (2, 10)
    torch.testing.assert_close(sr, images[2])
    torch.testing.assert_close(code, codes[2])
    torch.testing.assert_close(codes[0], network.Predictor(lr))
    torch.testing.assert_close(images[1], network.SFTMD(lr, codes[1]))
    torch.testing.assert_close(codes[3], network.Corrector(images[2], codes[2]))


def test_the_image_is_clipped() -> None:
    network = SFTMD(2, 4, 1)
    nn.init.constant_(network.conv_output.bias, 5.0)  # type: ignore[arg-type]
    assert network(torch.rand(1, 3, 4, 4), torch.zeros(1, 10)).min().item() == 1


def test_the_code_matters() -> None:
    network, lr = narrow().SFTMD, torch.rand(1, 3, 6, 6)
    assert (network(lr, torch.zeros(1, 10)) - network(lr, torch.ones(1, 10))).abs().max() > 1e-4


def test_a_code_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected code of shape \(1, 10\), got \(1, 7\)"):
        narrow().SFTMD(torch.rand(1, 3, 4, 4), torch.zeros(1, 7))


def test_other_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="one of 2, 3, 4, got 8"):
        SFTMD(8)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        narrow(steps=0)


def test_unused_weights_of_published_files_are_left_out() -> None:
    network = narrow().SFTMD
    state = {**network.state_dict(), "sft_branch.0.conv1.weight": torch.ones(1)}
    network.load_reference_state_dict(state)
    with pytest.raises(ValueError, match="unexpected: other"):
        network.load_reference_state_dict({**state, "other": torch.ones(1)})


def test_principal_directions_give_the_kernels_back() -> None:
    basis = KernelBasis(3, 2)
    first, second = torch.zeros(3, 3), torch.zeros(3, 3)
    first[1, 1], second[1, 0], second[1, 2] = 1, 0.5, 0.5
    kernels = torch.stack([first, second, 0.5 * first + 0.5 * second])
    basis.fit(kernels)
    matrix = basis.pca_matrix
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(2), atol=1e-5, rtol=0)
    # from the mean all kernels lie on one line: (0.5, -0.25, -0.25), normalised
    assert matrix[:, 0].abs().view(3, 3)[1].tolist() == pytest.approx(
        [0.4082, 0.8165, 0.4082], abs=1e-4
    )
    codes = basis(kernels)
    assert abs(float(codes[0, 0] - codes[1, 0])) == pytest.approx(1.5**0.5, abs=1e-5)
    assert basis.decode(codes).shape == (3, 3, 3)
    with pytest.raises(ValueError, match=r"shape \(N, 3, 3\), got \(1, 5, 5\)"):
        basis(torch.ones(1, 5, 5))
