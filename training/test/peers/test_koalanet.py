"""KOALAnet."""

from __future__ import annotations

import math

import pytest
import torch
from tasksr_training.peers.koalanet import (
    KernelEstimator,
    KOALAnet,
    Upsampler,
    degrade,
    downscaling_kernel,
    gaussian,
    reconstructed,
)
from torch import nn


@pytest.mark.parametrize(
    ("scale_factor", "adapted", "baseline"), [(2, 1_862_268, 1_151_943), (4, 2_226_232, 1_515_907)]
)
def test_sizes_of_the_published_networks(scale_factor: int, adapted: int, baseline: int) -> None:
    with torch.device("meta"):
        networks = (
            KernelEstimator(), Upsampler(scale_factor), Upsampler(scale_factor, num_koala=0)
        )  # fmt: skip
    counted = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counted == [4_319_184, adapted, baseline]


def narrow(scale_factor: int = 4) -> KOALAnet:
    torch.manual_seed(0)
    upsampler = Upsampler(scale_factor, 4, num_blocks=3, num_koala=2, kernel_size=6)
    return KOALAnet(KernelEstimator(4, 6), upsampler)


@pytest.mark.parametrize("scale_factor", [2, 4])
def test_shapes(scale_factor: int) -> None:
    with torch.inference_mode():
        sr, kernels = narrow(scale_factor)(torch.rand(2, 3, 8, 12))
    assert sr.shape == (2, 3, 8 * scale_factor, 12 * scale_factor)
    assert kernels.shape == (2, 36, 8, 12)


def test_without_a_say_it_is_a_mean_of_the_image() -> None:
    network = narrow(2)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    sr, _ = network(torch.full((1, 3, 8, 8), -0.5))
    torch.testing.assert_close(sr[..., 4:-4, 4:-4], torch.full((1, 3, 8, 8), -0.5))
    assert sr[0, 0, 0, 0].item() == pytest.approx(-0.5 * 9 / 25)


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 4, got \(8, 10\)"):
        narrow()(torch.rand(1, 3, 8, 10))
    with pytest.raises(ValueError, match="expected no kernels for a baseline"):
        Upsampler(2, 4, 2, 0)(torch.rand(1, 3, 4, 4), torch.rand(1, 400, 4, 4))


@torch.no_grad()
def test_without_kernels_it_is_the_baseline() -> None:
    adapted, plain, lr = narrow().SISR_DUF, Upsampler(4, 4, 3, 0), torch.rand(1, 3, 4, 8)
    plain.load_state_dict(
        {k: v for k, v in adapted.state_dict().items() if k in plain.state_dict()}
    )
    torch.testing.assert_close(adapted(lr), plain(lr))
    assert (adapted(lr, torch.rand(1, 36, 4, 8)) - plain(lr)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale_factor": 3}, "2 or 4, got 3"),
        ({"num_koala": 13}, "0 <= num_koala <= num_blocks, got 13, 12"),
        ({"filter_size": 6}, "odd sides, got 6, 5"),
    ],
)
def test_other_numbers_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Upsampler(**options)


def test_kernels_by_hand() -> None:
    round_one = gaussian((1.0, 1.0), 0.3, 3)
    assert round_one[1].tolist() == pytest.approx([0.1238, 0.2042, 0.1238], abs=1e-4)
    wide = gaussian((3.0, 0.5), 0.0)
    assert wide[7, 9] / wide[7, 7] == pytest.approx(math.exp(-0.5 * (2 / 3) ** 2))
    assert wide[9, 7] / wide[7, 7] == pytest.approx(math.exp(-0.5 * (2 / 0.5) ** 2))
    turned = gaussian((3.0, 0.5), math.pi / 2)
    torch.testing.assert_close(turned, wide.T)
    still = torch.zeros(15, 15, dtype=torch.float64)
    still[7, 7] = 1
    whole = downscaling_kernel(still)
    assert whole.shape == (20, 20) and float(whole.sum()) == pytest.approx(1)
    assert whole[9, 7:13].tolist() == pytest.approx(
        [0, -0.0625 * 0.5625, 0.5625**2, 0.5625**2, -0.0625 * 0.5625, 0]
    )


@pytest.mark.parametrize("scale_factor", [2, 4])
def test_lr_pixels_lie_amid_their_hr_pixels(scale_factor: int) -> None:
    side = 16 * scale_factor
    ramp = torch.linspace(-1, 1, side, dtype=torch.float64).expand(1, 3, side, side)
    kernel = downscaling_kernel(gaussian((1.0, 2.0), 0.5))
    lr = degrade(ramp, kernel, scale_factor)
    assert lr.shape == (1, 3, 16, 16)
    amid = ramp[0, 0, 0].view(16, scale_factor).mean(1)
    assert (lr[0, 2, 5, 5:-5] - amid[5:-5]).abs().max() <= 1 / 255 + 1e-9  # 8 bits
    levels = (lr + 1) * 127.5
    torch.testing.assert_close(levels, levels.round())
    each = kernel.flatten()[None, :, None, None].expand(1, -1, 16, 16)
    again = reconstructed(ramp, each, scale_factor)
    torch.testing.assert_close(again[..., 5:-5, 5:-5], lr[..., 5:-5, 5:-5], atol=1 / 254, rtol=0)


def test_images_have_kernels_of_their_own() -> None:
    hr = torch.rand(2, 3, 24, 24) * 2 - 1
    kernels = torch.stack([downscaling_kernel(gaussian((s, s), 0.0)) for s in (0.5, 3.0)])
    both = degrade(hr, kernels, 2)
    torch.testing.assert_close(both[1:], degrade(hr[1:], kernels[1], 2))
