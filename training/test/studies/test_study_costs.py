"""What networks cost: operations worked out by hand, and what is timed once."""

from __future__ import annotations

import pytest
import torch
from tasksr_training import costs
from tasksr_training.costs import network_cost
from tasksr_training.detect import System
from tasksr_training.studies.systems import architecture
from torch import Tensor, nn

from tasksr_ros.networks import build_sr
from tasksr_ros.networks.detectors.fcos import Detector


class Counted(nn.Conv2d):
    """A convolution that counts its runs."""

    runs = 0

    def forward(self, images: Tensor) -> Tensor:
        self.runs += 1
        return super().forward(images)


def test_operations_by_hand_and_the_median_after_a_warm_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, started = Counted(3, 8, 3, padding=1, bias=False), []

    def clock() -> float:
        started.append(network.runs)
        return float(sum(started))

    monkeypatch.setattr(costs.time, "perf_counter", clock)
    cost = network_cost([network], (torch.rand(1, 3, 10, 20),))
    assert cost.gmac == pytest.approx(10 * 20 * 3 * 8 * 9 / 1e9)
    assert cost.parameters == 3 * 8 * 9
    assert started[0] == 2  # runs before the first that is timed
    took = [1e3 * run for run in started[1::2]]  # by this clock, the number of the run
    assert cost.ms == sorted(took)[len(took) // 2] and len(took) % 2 == 1


def test_networks_of_the_same_arguments_are_one_architecture() -> None:
    def of(sr: nn.Module | None, width: float = 0.25, scale_factor: int = 4) -> tuple[str, ...]:
        return architecture(System("row", sr, Detector(width), scale_factor))

    assert of(build_sr("dbpn-ss", 4)) == of(build_sr("dbpn-ss", 4))
    assert of(nn.Identity()) == of(nn.Identity(), scale_factor=2)  # LR of one size
    different = [
        of(build_sr("dbpn-ss", 4)),
        of(build_sr("dbpn-s", 4)),
        of(build_sr("dbpn-ss", 4), width=0.5),
        of(build_sr("bicubic", 4)),
        of(build_sr("bicubic", 2), scale_factor=2),
        of(nn.Identity()),
        of(None),
        of(None, scale_factor=2),
    ]
    assert len(set(different)) == len(different)
