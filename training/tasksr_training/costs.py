"""What a network costs: weights, operations and time for one region of the node."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

COST_HW = (96, 320)
"""LR px for which operations and time are given: one region of the node."""


@dataclass(frozen=True)
class NetworkCost:
    """What it costs to run networks one after the other.

    Attributes:
        parameters: number of weights.
        gmac: 10^9 multiply-accumulates; resampling is not counted.
        ms: PyTorch eager, median of the timed runs.
        threads: CPU threads.
        device: as PyTorch names it.
    """

    parameters: int
    gmac: float
    ms: float
    threads: int
    device: str


@torch.inference_mode()
def network_cost(networks: Sequence[nn.Module], inputs: tuple[Tensor, ...]) -> NetworkCost:
    """Measure networks in series: the first takes ``inputs``, each further one what came out."""

    def run() -> None:
        result = inputs
        for network in networks:
            result = (network(*result),)
        if inputs[0].is_cuda:
            torch.cuda.synchronize()

    with FlopCounterMode(display=False) as counter:
        run()
    run()  # warm
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return NetworkCost(
        parameters=sum(p.numel() for network in networks for p in network.parameters()),
        gmac=counter.get_total_flops() / 2e9,
        ms=1e3 * statistics.median(seconds),
        threads=torch.get_num_threads(),
        device=inputs[0].device.type,
    )
