"""One training loop for all stages: budget, schedule, averaging, logs, checkpoints, resuming."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from tasksr_ros.threads import usable_cores
from tasksr_training.checkpoints import LAST, load_checkpoint, save_checkpoint
from tasksr_training.datasets import Batches, Sampler, loader
from tasksr_training.errors import CheckpointError, TrainingError
from tasksr_training.loop_config import LoopConfig, check_loop
from tasksr_training.run_log import LOG, read_log
from tasksr_training.whole_files import replace_text

if TYPE_CHECKING:
    from lightning_fabric import Fabric

NO_LIMIT = 10**9


@dataclass(frozen=True, eq=False)
class Validation:
    """Figures by name, and pictures (H, W, 3) uint8 RGB by name."""

    figures: dict[str, float]
    pictures: dict[str, NDArray[np.uint8]]


class Stage(Protocol):
    """What differs between the stages.

    Attributes:
        networks: constructor arguments of ``sr`` and ``detector``, as far as the stage has them.
        module: the networks, under the names ``sr`` and ``detector``; its forward takes what
            `loss` gives it.
        learning_rates: factors of the learning rate by the beginning of the parameters' names
            (``sr``, ``detector``, ``detector.backbone``), of which the longest counts; else 1.
    """

    networks: dict[str, dict[str, Any]]
    module: nn.Module
    learning_rates: dict[str, float]

    def loss(self, module: nn.Module, batch: Any, progress: float) -> dict[str, Tensor]:
        """Losses of a batch; ``total`` is minimised, ``progress`` runs from 0 to 1."""
        ...

    def validate(self, module: nn.Module) -> Validation:
        """Measure the averaged weights."""
        ...


def train(stage: Stage, sampler: Sampler, config: LoopConfig, out: Path) -> Path:
    """Train a stage until its budget is spent, going on from ``out``'s last checkpoint if any.

    Returns:
        Path of the last checkpoint.

    Raises:
        TrainingError: see `check_loop`, and when loss or weights are no longer finite.
        CheckpointError: for a last checkpoint that is of other networks or cannot be read.
    """
    check_loop(config)
    from lightning_fabric import Fabric  # takes seconds, which a plan of runs does without

    torch.set_num_threads(config.threads or min(torch.get_num_threads(), usable_cores()))
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=_strategy(config),
        precision=config.precision,
    )
    fabric.launch()
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(stage, config, fabric, out)
    run.resume()
    run.go(sampler)
    return out / LAST


def _strategy(config: LoopConfig) -> str:
    """As Lightning Fabric names it; a stage may leave a network out of some of its steps."""
    alone = config.devices == config.num_nodes == 1
    return "auto" if alone else "ddp_find_unused_parameters_true"


def learning_rate_factor(step: int, progress: float, config: LoopConfig) -> float:
    """Linear warm-up over steps times a cosine over the budget."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return warm * (config.final_fraction + (1 - config.final_fraction) * cosine)


def spent(step: int, seconds: float, config: LoopConfig) -> float:
    """Share of the budget that is spent, 1 or more at its end."""
    by_steps = step / config.max_steps if config.max_steps else 0.0
    by_time = seconds / 60 / config.max_minutes if config.max_minutes else 0.0
    return max(by_steps, by_time)


class _Run:
    def __init__(self, stage: Stage, config: LoopConfig, fabric: Fabric, out: Path) -> None:
        self.stage, self.config, self.fabric, self.out = stage, config, fabric, out
        module = stage.module
        if all(p.ndim < 5 for p in module.parameters()):  # a convolution over time has no such form
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(module).requires_grad_(False).to(fabric.device).eval()
        optimizer = torch.optim.AdamW(
            _parameter_groups(module, config.weight_decay, stage.learning_rates),
            lr=config.learning_rate,
        )
        self._clipped = list(_by_network(module).values())
        self.module, self.optimizer = fabric.setup(module, optimizer)
        self.step, self.seconds = 0, 0.0
        self.ran_on: dict[str, Any] | None = _ran_on(fabric, config)

    def resume(self) -> None:
        if not (self.out / LAST).exists():
            return
        content = load_checkpoint(self.out)
        if content["networks"] != self.stage.networks:
            raise CheckpointError(
                f"{self.out / LAST}: expected networks {self.stage.networks}, "
                f"got {content['networks']}; choose another --out"
            )
        self.module.load_state_dict(content["model"])
        self.ema.load_state_dict(content["ema"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step, self.seconds = content["step"], content["seconds"]
        if content.get("ran_on") != self.ran_on:
            self.ran_on = None

    def go(self, sampler: Sampler) -> None:
        config = self.config
        batches = Batches(sampler, config.batch_size, config.seed, self.fabric.global_rank)
        last = config.max_steps or NO_LIMIT
        bar = tqdm(
            total=config.max_steps or None,
            initial=self.step,
            desc=self.out.name,
            disable=not self.fabric.is_global_zero,
            mininterval=2,
        )
        log = _Log(self.out, self.step) if self.fabric.is_global_zero else None
        self.module.train()
        before, start = self.seconds, time.monotonic()
        saved = validated = self.seconds
        for batch in loader(batches, self.step, last, config.workers):
            if self._progress() >= 1:
                break
            losses = self._update(batch.to(self.fabric.device))
            bar.update()
            self.seconds = self._of_rank_0(before + time.monotonic() - start)
            if log and self.step % config.log_every == 0:
                log.write(self.step, self.seconds, self._numbers(losses))
                bar.set_postfix(loss=f"{float(losses['total'].detach()):.4f}", left=self._left())
            if self.seconds - saved > 60 * config.checkpoint_minutes:
                self._save()
                saved = self.seconds
            if log and self.seconds - validated > 60 * config.validate_minutes:
                log.validation(self.step, self.seconds, self.stage.validate(self.ema))
                validated = self.seconds
        self._save()
        if log:
            log.validation(self.step, self.seconds, self.stage.validate(self.ema))
            log.close()
        bar.close()

    def _progress(self) -> float:
        return spent(self.step, self.seconds, self.config)

    def _left(self) -> str:
        """Time until the budget is spent, as far as is known."""
        progress = self._progress()
        minutes = self.seconds * max(0.0, 1 / progress - 1) / 60 if progress else 0.0
        return f"{minutes:.0f} min"

    def _of_rank_0(self, value: float) -> float:
        """One clock for all processes: they must end, save and wait at the same step."""
        if self.fabric.world_size == 1:
            return value
        return float(self.fabric.broadcast(value))

    def _update(self, batch: Any) -> dict[str, Tensor]:
        progress = self._progress()
        factor = learning_rate_factor(self.step, progress, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * group["factor"] * factor
        losses = self.stage.loss(self.module, batch, progress)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(losses["total"])
        self._clip()
        self.optimizer.step()
        self.step += 1
        self._average()
        return losses

    def _clip(self) -> None:
        """As `Fabric.clip_gradients`, which knows only one norm, of everything."""
        for parameters in self._clipped:
            torch.nn.utils.clip_grad_norm_(parameters, self.config.gradient_clip)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        current = self.module.state_dict()
        for name, value in self.ema.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name].to(value), 1 - decay)
            else:
                value.copy_(current[name])

    def _numbers(self, losses: dict[str, Tensor]) -> dict[str, float]:
        numbers = {name: float(value.detach()) for name, value in losses.items()}
        if not math.isfinite(numbers["total"]):
            raise TrainingError(
                f"step {self.step}: expected a finite loss, got {numbers['total']}; "
                "try a lower loop.learning_rate"
            )
        return {**numbers, "learning_rate": self.optimizer.param_groups[0]["lr"]}

    def _save(self) -> None:
        """Replace the last checkpoint, unless the weights have been lost since it was written."""
        if not all(torch.isfinite(v).all() for v in self.ema.state_dict().values()):
            raise TrainingError(
                f"step {self.step}: expected finite weights; those of the last checkpoint stay as "
                "they were; try a lower loop.learning_rate"
            )
        content = {
            "networks": self.stage.networks,
            "model": self.module.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "ran_on": self.ran_on,
        }
        if self.fabric.is_global_zero:
            save_checkpoint(self.out / LAST, content)
        self.fabric.barrier()


def _ran_on(fabric: Fabric, config: LoopConfig) -> dict[str, Any]:
    """What a run trains on, for the bundle's card; None in a checkpoint whose parts differ."""
    return {
        "device": fabric.device.type,
        "devices": fabric.world_size,
        "threads": torch.get_num_threads(),
        "precision": config.precision,
    }


def _parameter_groups(
    module: nn.Module, weight_decay: float, factors: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Weights with decay; biases, norms and PReLU slopes without; each part at its own rate."""
    parts: dict[tuple[str, float, bool], list[nn.Parameter]] = {}
    for network in _by_network(module):
        of_network = [(n, p) for n, p in module.named_parameters() if n.split(".")[0] == network]
        for decays in (True, False):
            for name, parameter in of_network:
                if parameter.requires_grad and (parameter.ndim > 1) == decays:
                    key = network, _factor(name, factors), decays
                    parts.setdefault(key, []).append(parameter)
    return [
        {"params": chosen, "weight_decay": weight_decay if decays else 0.0, "factor": factor}
        for (_, factor, decays), chosen in parts.items()
    ]


def _factor(name: str, factors: Mapping[str, float]) -> float:
    """The factor under the longest beginning of a parameter's name, in whole words."""
    fitting = [part for part in factors if f"{name}.".startswith(f"{part}.")]
    return factors[max(fitting, key=len)] if fitting else 1.0


def _by_network(module: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters that learn, by the names that `Stage.module` gives its networks."""
    networks: dict[str, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            networks.setdefault(name.split(".")[0], []).append(parameter)
    return networks


class _Log:
    """JSON lines, and the same for TensorBoard with the pictures.

    Args:
        out: the run's folder.
        step: that the run goes on from; what was logged after it will be logged again.
    """

    def __init__(self, out: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._lines = _lines_up_to(out / LOG, step)
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, seconds: float, numbers: dict[str, float]) -> None:
        line = {"step": step, "seconds": round(seconds, 1), **numbers}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)

    def validation(self, step: int, seconds: float, validation: Validation) -> None:
        numbers = {f"val/{name}": value for name, value in validation.figures.items()}
        self.write(step, seconds, numbers)
        tqdm.write(f"step {step}: {json.dumps(numbers)}")
        for name, picture in validation.pictures.items():
            self._board.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        self._lines.close()
        self._board.close()


def _lines_up_to(path: Path, step: int) -> TextIO:
    """The file of a log, open for more, without lines of later steps or unreadable ones."""
    kept = [line for line in read_log(path) if line["step"] <= step]
    replace_text(path, "".join(json.dumps(line) + "\n" for line in kept))
    return path.open("a")
