"""The peers as training and comparison use them."""

from __future__ import annotations

import pytest
import torch
from tasksr_training.networks import build_any_sr
from tasksr_training.peers.duf import DUF
from tasksr_training.peers.systems import VideoPeer, as_system, build_peer
from tasksr_training.peers.toflow import TOFlow

VIDEO = ("toflow-small", "duf-small")


@torch.no_grad()
@pytest.mark.parametrize(("name", "scale_factor"), [(VIDEO[0], 2), (VIDEO[1], 4)])
def test_video_peers_take_what_rbpn_takes(name: str, scale_factor: int) -> None:
    network = build_peer(name, scale_factor).eval()
    frames = torch.rand(1, 7, 3, 10, 12)
    target, neighbours = frames[:, 3], frames[:, [0, 1, 2, 4, 5, 6]]
    sr = network(target, neighbours, torch.zeros(1, 6, 2, 10, 12))
    assert sr.shape == (1, 3, 10 * scale_factor, 12 * scale_factor)
    torch.testing.assert_close(sr, network.get_submodule("network")(frames))


@torch.no_grad()
@pytest.mark.parametrize(("name", "scale_factor"), [("ikc-small", 3), ("koalanet-small", 2)])
def test_blind_peers_take_images_of_any_size(name: str, scale_factor: int) -> None:
    sr, _ = build_peer(name, scale_factor).eval()(torch.rand(1, 3, 6, 11))
    assert sr.shape == (1, 3, 6 * scale_factor, 11 * scale_factor)


def test_koalanet_sees_images_from_minus_one() -> None:
    network = build_peer("koalanet-small", 2)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    sr, _ = network(torch.full((1, 3, 8, 8), 0.3))
    torch.testing.assert_close(sr[..., 4:-4, 4:-4], torch.full((1, 3, 8, 8), 0.3))


@pytest.mark.parametrize(
    ("name", "number"),
    [("toflow", 1_405_323), ("duf-16", 1_900_640), ("duf-28", 2_118_432), ("duf-52", 5_821_952),
     ("ikc", 4_234_691 + 430_730 + 649_930), ("koalanet", 4_319_184 + 2_226_232),
     ("toflow-small", 119_019), ("duf-small", 131_624)],
)  # fmt: skip
def test_sizes(name: str, number: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build_any_sr(name, 4).parameters()) == number


def test_ours_keep_their_names() -> None:
    assert type(build_any_sr("bicubic", 2)).__name__ == "Bicubic"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("edvr", {}, "name must be one of toflow, .*, got 'edvr'"),
        ("toflow", {"width": 3}, "toflow: .*unexpected keyword argument 'width'"),
        ("duf-16", {"num_layers": 17}, "num_layers must be even"),
    ],
)
def test_other_names_and_options(name: str, options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_peer(name, 4, **options)


def test_published_networks_become_systems() -> None:
    network = TOFlow((2, 2, 2, 2), 2)
    system = as_system(network, 4)
    assert isinstance(system, VideoPeer) and system.num_frames == 7
    assert (system.scale_factor, network.scale_factor) == (4, 4)
    assert as_system(DUF(2, 10, 2, 2, 2, 2), 4).scale_factor == 2
