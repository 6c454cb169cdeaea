"""Between what a choice of weights lies: those a native run began with, those it was trained to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tasksr_ros.networks.detectors.picodet import PicoDet
from tasksr_training.checkpoints import OPTIONS, load_network
from tasksr_training.errors import TrainingDataError
from tasksr_training.published_weights import load_onnx_weights


@dataclass(frozen=True, eq=False)
class Ends:
    """Of a run.

    Attributes:
        began: the detector's weights at its begin.
        trained: at its end.
        sr: what was trained with it; None: bicubic enlarged.
        start: where the first ones are.
    """

    began: Mapping[str, Tensor]
    trained: Mapping[str, Tensor]
    sr: nn.Module | None
    start: Path


def read_ends(
    run: Path, start: Path, networks: Mapping[str, Any], others: Sequence[Path] = ()
) -> Ends:
    """Read both.

    Args:
        run: folder of a `native-detector` or `native-task-driven` run.
        start: what a `native-detector` run began with; the options of the other name it.
        networks: those of the run's checkpoint.
        others: further `native-detector` runs; what was trained is the mean of all.

    Raises:
        TrainingDataError: for weights that `choose-native` did not write; for others beside a
            `native-task-driven` run.
    """
    if "sr" in networks and others:
        raise TrainingDataError(
            f"others: expected none beside {run}, whose super-resolution fits one run"
        )
    if "sr" in networks:
        start = Path(run_options(run)["stage"]["detector_checkpoint"])
        began = load_network(start, "detector")[0]
    else:
        began = _published_or_chosen(start)
    trained = mean([load_network(each, "detector")[0].state_dict() for each in (run, *others)])
    return Ends(began.state_dict(), trained, _trained_sr(run, networks), start)


def mean(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Of the weights of several runs that began alike.

    Source: Wortsman et al., "Model soups", arXiv 2203.05482.
    """
    return {
        name: torch.stack([each[name] for each in weights]).mean(0, dtype=value.dtype)
        for name, value in weights[0].items()
    }


def _trained_sr(run: Path, networks: Mapping[str, Any]) -> nn.Module | None:
    if networks.get("sr", {"name": "bicubic"})["name"] == "bicubic":
        return None
    return load_network(run, "sr")[0]


def _published_or_chosen(start: Path) -> PicoDet:
    if start.suffix == ".safetensors":
        return load_chosen(start)
    detector = PicoDet(1)
    load_onnx_weights(detector, start)
    return detector


def load_chosen(path: Path) -> PicoDet:
    """The detector of a file that `choose_native` wrote.

    Raises:
        TrainingDataError: for any other file.
    """
    detector = PicoDet(1)
    try:
        detector.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainingDataError(
            f"{path}: expected a detector's weights as choose-native writes them, got {error}"
        ) from None
    return detector


def origin_of(start: Path) -> dict[str, Any]:
    """The name of what training began with; after how many steps, if this was chosen before."""
    beside = start.with_suffix(".json")
    if start.suffix != ".safetensors" or not beside.is_file():
        return {"start": start.name}
    earlier = json.loads(beside.read_text())
    return {"start": earlier["start"], "earlier_steps": earlier["steps"]}


def run_options(run: Path) -> dict[str, Any]:
    """Those of the run's command; none where they do not lie beside it."""
    if not (run / OPTIONS).is_file():
        return {}
    (options,) = yaml.safe_load((run / OPTIONS).read_text(encoding="utf-8")).values()
    return dict(options)
