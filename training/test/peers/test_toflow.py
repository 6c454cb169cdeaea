"""TOFlow."""

from __future__ import annotations

import pytest
import torch
from tasksr_training.peers.toflow import TOFlow, warp
from torch import nn


def narrow(num_frames: int = 3, **options: object) -> TOFlow:
    torch.manual_seed(0)
    return TOFlow((4, 4, 4, 4), 4, num_frames, **options)  # type: ignore[arg-type]


def silent(network: nn.Module) -> None:
    for parameter in network.parameters():
        nn.init.zeros_(parameter)


def test_size_of_the_published_network() -> None:
    with torch.device("meta"):
        network = TOFlow()
    assert sum(p.numel() for p in network.parameters()) == 1_405_323


def test_without_a_say_it_is_the_mean_of_the_frames() -> None:
    network = narrow()
    silent(network)
    frames = torch.stack([torch.full((3, 8, 12), v) for v in (0.1, 0.2, 0.6)])[None]
    sr = network(frames)
    assert sr.shape == (1, 3, 8, 12)
    torch.testing.assert_close(sr, torch.full_like(sr, 0.3))
    assert frames[0, 2, 0, 0, 0] == 0.6  # the caller's frames stay as they are


def test_flow_in_px_grows_with_the_levels() -> None:
    network = narrow()
    silent(network)
    nn.init.constant_(network.SpyNet.moduleBasic[0].get_parameter("moduleBasic.8.bias"), 0.5)
    flow, _ = network.align(torch.rand(1, 3, 3, 40, 72))  # 72, 36, 18: three levels
    torch.testing.assert_close(flow, torch.full((1, 2, 2, 40, 72), 2.0))


@pytest.mark.parametrize("hw", [(33, 32), (35, 47), (9, 70), (129, 31), (257, 8)])
def test_any_size_fits(hw: tuple[int, int]) -> None:
    with torch.inference_mode():
        flow, warped = narrow().align(torch.rand(2, 3, 3, *hw))
    assert flow.shape == (2, 2, 2, *hw) and warped.shape == (2, 2, 3, *hw)


def test_clips_of_a_batch_do_not_mix() -> None:
    network = narrow(5)
    frames = torch.rand(2, 5, 3, 34, 36)
    with torch.inference_mode():
        together, alone = network(frames), torch.cat([network(f[None]) for f in frames])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_warping_by_hand() -> None:
    image = torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 2)[None, None]
    flow = torch.zeros(1, 2, 2, 4)
    flow[:, 0] = 1.5
    assert warp(image, flow, "border")[0, 0, 0].tolist() == pytest.approx([2.5, 3.5, 4, 4])
    assert warp(image, flow, "zeros")[0, 0, 0].tolist() == pytest.approx([2.5, 3.5, 2, 0])


def test_the_newer_reading_of_corners_is_another() -> None:
    image = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    still = torch.zeros(1, 2, 4, 4)
    assert warp(image, still, "border")[0, 0, 0].tolist() == pytest.approx([0, 1, 2, 3])
    shrunk = warp(image, still, "border", align_corners=False)[0, 0, 0]
    assert shrunk.tolist() == pytest.approx([0, 5 / 6, 13 / 6, 3])


def test_lr_frames_are_enlarged_first() -> None:
    network = narrow(scale_factor=4)
    silent(network)
    sr = network(torch.full((1, 3, 3, 8, 12), 0.25))
    torch.testing.assert_close(sr, torch.full((1, 3, 32, 48), 0.25))


@pytest.mark.parametrize("num_frames", [1, 4])
def test_numbers_of_frames_without_neighbours_or_middle(num_frames: int) -> None:
    with pytest.raises(ValueError, match=f"odd and at least 3, got {num_frames}"):
        narrow(num_frames)
