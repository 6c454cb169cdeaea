"""Threads that leave a busy computer's cores to others: slowed in proportion, not many times."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/cpu.max")
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Of GNU's OpenMP, which PyTorch's wheels have, and of LLVM's and Intel's."""


def wait_passively() -> None:
    """Let PyTorch's threads sleep while they wait for one another, unless the user has chosen.

    They spin otherwise: where other work has a core, the thread that computes waits for the one
    that waits. OpenMP reads this when it is loaded, so it comes before ``import torch``.
    """
    for name, value in _WAITING.items():
        os.environ.setdefault(name, value)


def usable_cores() -> int:
    """Cores that this process may use: its affinity's, and no more than its container is given."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP.read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or "max"
        return cores
