"""VSR-DUF."""

from __future__ import annotations

import pytest
import torch
from tasksr_training.peers.duf import DUF, downsample, gaussian
from torch import nn


@pytest.mark.parametrize(
    ("num_layers", "scale_factor", "parameters", "statistics"),
    [
        (16, 2, 1_737_488, 1_741_456),
        (16, 3, 1_805_468, 1_809_436),
        (16, 4, 1_900_640, 1_904_608),
        (28, 4, 2_118_432, 2_126_240),
        (52, 4, 5_821_952, 5_846_656),
    ],
)
def test_sizes_of_the_published_networks(
    num_layers: int, scale_factor: int, parameters: int, statistics: int
) -> None:
    with torch.device("meta"):
        network = DUF(scale_factor, num_layers)
    assert sum(p.numel() for p in network.parameters()) == parameters
    state = {k: v for k, v in network.state_dict().items() if "tracked" not in k}
    assert sum(v.numel() for v in state.values()) == statistics


@pytest.mark.parametrize(("num_layers", "scale_factor"), [(10, 2), (16, 3), (28, 4)])
def test_shapes(num_layers: int, scale_factor: int) -> None:
    network = DUF(scale_factor, num_layers, f0=4, growth=2, head=6, filter_hidden=5).eval()
    frames = torch.rand(2, 7, 3, 5, 9)
    with torch.inference_mode():
        filters, residual = network.filters_and_residual(frames)
        sr = network(frames)
    assert filters.shape == (2, 25, scale_factor**2, 5, 9)
    torch.testing.assert_close(filters.sum(1), torch.ones(2, scale_factor**2, 5, 9))
    assert residual.shape == (2, 3 * scale_factor**2, 5, 9)
    assert sr.shape == (2, 3, 5 * scale_factor, 9 * scale_factor)


def test_without_a_say_it_is_a_mean_of_the_middle_frame() -> None:
    network = DUF(2, 10, 4, 2, 6, 5).eval()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    frames = torch.rand(1, 7, 3, 8, 8)
    frames[:, 3] = 0.5
    sr = network(frames)
    torch.testing.assert_close(sr[..., 4:-4, 4:-4], torch.full((1, 3, 8, 8), 0.5))
    assert sr[0, 0, 0, 0].item() == pytest.approx(0.5 * 9 / 25)  # zeros outside of the image


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_layers": 8}, "even and at least 10, got 8"),
        ({"num_layers": 17}, "even and at least 10, got 17"),
        ({"num_layers": 20}, "expected growth for other than"),
    ],
)
def test_other_numbers_of_layers(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DUF(**options)


def test_the_gaussian_by_hand() -> None:
    # exp(-0.5 / 1.6²) = 0.8226, exp(-0.5) = 0.6065
    kernel = gaussian(3, 1.0)
    assert kernel[1].tolist() == pytest.approx([0.1238, 0.2042, 0.1238], abs=1e-4)
    assert gaussian(13, 1.6)[6, 7] / gaussian(13, 1.6)[6, 6] == pytest.approx(0.8226, abs=1e-4)
    assert float(gaussian(13, 0.8).sum()) == pytest.approx(1)


@pytest.mark.parametrize("scale_factor", [2, 3, 4])
def test_lr_pixels_lie_on_every_s_th_hr_pixel(scale_factor: int) -> None:
    side = 12 * scale_factor
    ramp = torch.arange(float(side)).expand(1, 3, side, side)
    lr = downsample(ramp, scale_factor)
    assert lr.shape == (1, 3, 12, 12)
    expected = torch.arange(12.0) * scale_factor
    torch.testing.assert_close(lr[0, 1, 6, 4:-4], expected[4:-4], atol=1e-4, rtol=0)
    flat = downsample(torch.full((1, 3, 26, 26), 0.7), scale_factor)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.7))
