"""How long and how a stage trains, apart from the loop: to read options takes no Lightning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from tasksr_training.errors import TrainingError

Precision = Literal["32-true", "bf16-mixed"]
"""As Lightning Fabric names them; a checkpoint holds all of their state."""


@dataclass(frozen=True)
class LoopConfig:
    """How long and how a stage trains.

    Attributes:
        max_steps: budget in steps; 0: no limit.
        max_minutes: budget in minutes, all resumed runs together; 0: no limit. Validations and
            checkpoints on the way are included, only the last validation comes on top. The
            schedule then follows the time that has passed, so that two runs differ.
        batch_size: patches per step and device.
        learning_rate: peak of the schedule.
        final_fraction: learning rate at the end, as a fraction of the peak.
        weight_decay: of AdamW.
        warmup_steps: steps over which the learning rate rises to its peak.
        gradient_clip: greatest norm of the gradient of each network, so that the one's large
            gradient does not make the other's small.
        ema_decay: of the averaged weights, which are the ones validated and exported.
        seed: of initialisation and data.
        precision: as Lightning Fabric names it; without float16, whose loss needs scaling.
        accelerator: as Lightning Fabric names it.
        devices: devices per machine.
        num_nodes: machines, started with torchrun: as many processes as devices on each.
        threads: CPU threads; 0: all.
        workers: processes that draw patches ahead; 0: the training process itself.
        log_every: steps between two lines of the log.
        checkpoint_minutes: minutes between two checkpoints.
        validate_minutes: minutes between two validations.
    """

    max_steps: int = 0
    max_minutes: float = 0.0
    batch_size: int = 8
    learning_rate: float = 1e-3
    final_fraction: float = 0.01
    weight_decay: float = 0.0
    warmup_steps: int = 200
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    seed: int = 1
    precision: Precision = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    threads: int = 0
    workers: int = 0
    log_every: int = 20
    checkpoint_minutes: float = 3.0
    validate_minutes: float = 8.0


_LEAST = {
    "max_steps": 0,
    "max_minutes": 0,
    "batch_size": 1,
    "learning_rate": 0,
    "weight_decay": 0,
    "seed": 0,
    "devices": 1,
    "num_nodes": 1,
    "threads": 0,
    "workers": 0,
    "log_every": 1,
}
"""Least values of options of the loop."""


def check_loop(config: LoopConfig) -> None:
    """Refuse options of the loop that cannot be, alone or with the processes that were started.

    Raises:
        TrainingError: saying which.
    """
    for name, least in _LEAST.items():
        value = getattr(config, name)
        if not value >= least:  # nor where it is NaN
            raise TrainingError(f"loop.{name}: expected at least {least}, got {value}")
    if config.max_steps == 0 and config.max_minutes == 0:
        raise TrainingError("expected a budget: loop.max_steps or loop.max_minutes")
    if config.precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise TrainingError(f"loop.precision: expected one of {known}, got {config.precision}")
    expected = config.devices * config.num_nodes
    started = os.environ.get("WORLD_SIZE") or str(expected)
    if started != str(expected):
        raise TrainingError(
            f"expected as many processes as loop.devices x loop.num_nodes, {config.devices} x "
            f"{config.num_nodes}, got {started} from torchrun (WORLD_SIZE)"
        )
