"""Which weights to keep: between those a detector began with and those it was trained to.

Averaging both is a cheap way not to forget (Wortsman et al., "Robust fine-tuning of zero-shot
models", arXiv 2109.01903). The share is chosen on what was held out of the train sets, and the
score threshold with it. Where super-resolution was trained with the detector, there is nothing
between: their weights as they are, and the threshold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tasksr_ros.attention import WEAK
from tasksr_ros.networks.detectors.picodet import PicoDet
from tasksr_training.calibration import Calibration
from tasksr_training.checkpoints import load_checkpoint
from tasksr_training.coco import LabelledImage
from tasksr_training.errors import TrainingDataError
from tasksr_training.native_crops import NativeSourceConfig, read_held_out
from tasksr_training.native_ends import Ends, origin_of, read_ends, run_options
from tasksr_training.native_row import COUNTED, ChoiceConfig, measure, numbers, table
from tasksr_training.whole_files import replace_text

CHOICE = ChoiceConfig()


def choose_native(
    run: Path,
    data: Path,
    sources: list[NativeSourceConfig],
    out: Path,
    start: Path = Path(),
    choice: ChoiceConfig = CHOICE,
    others: Sequence[Path] = (),
) -> None:
    """Choose the share of the trained weights and the score threshold on held-out images.

    What was measured before with the same weights is kept, so that the command can go on.

    Args:
        run: folder of a `native-detector` or `native-task-driven` run, whose averaged weights are
            taken.
        data: folder that the paths of image sets start from.
        sources: those of the run; what they hold out is measured.
        out: safetensors file to write; a JSON file beside it says what was measured.
        start: ONNX file that a `native-detector` run began with, or weights that this command
            wrote of an earlier run; a `native-task-driven` run began with a bundle, which its
            options name.
        choice: what is tried.
        others: further `native-detector` runs, that went on from ``run`` or began where it did; the
            mean of all their weights is what was trained.

    Raises:
        TrainingDataError: when the sources hold nothing out.
    """
    sets = _held_out(data, sources, choice.most)
    content = load_checkpoint(run)
    ends = read_ends(run, start, content["networks"], others)
    candidates = _candidates(ends, choice.shares)
    log = out.with_suffix(".measured.json")
    rows = [_measured(candidate, sets, choice, log) for candidate in candidates]
    row, chosen = max(zip(rows, candidates, strict=True), key=lambda pair: float(pair[0]["mean"]))
    calibration = Calibration(**row["calibration"]["map"])
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(chosen.calibrated(calibration).weights(), out)
    summary = {
        "network": "picodet-s",
        "num_classes": 1,
        "sr": None if chosen.sr is None else content["networks"]["sr"],
        **origin_of(ends.start),
        "steps": content["step"],
        "minutes": round(content["seconds"] / 60, 1),
        "seed": run_options(run).get("loop", {}).get("seed"),
        **({"mean_with": [_run_figures(other) for other in others]} if others else {}),
        "share": row["share"],
        "counted": COUNTED,
        "fppi": choice.fppi,
        "score_threshold": {
            scale: round(float(calibration(threshold)), 4)
            for scale, threshold in row["score_threshold"].items()
        },
        "weak_threshold": {
            scale: round(float(calibration(WEAK * threshold)), 4)
            for scale, threshold in row["score_threshold"].items()
        },
        "calibration": row["calibration"],
        "held_out": {name: numbers(images) for name, images in sets.items()},
        "rows": rows,
    }
    replace_text(out.with_suffix(".json"), json.dumps(summary, indent=1))
    print(table(rows))


def _run_figures(run: Path) -> dict[str, Any]:
    """What the card says of a further run."""
    content = load_checkpoint(run)
    return {"steps": content["step"], "minutes": round(content["seconds"] / 60, 1)}


@dataclass(frozen=True, eq=False)
class Candidate:
    """Weights to measure: a share of the detector's, and what enlarges in front of it.

    Attributes:
        share: of the trained weights.
        detector: its weights.
        sr: trained with it; None: bicubic.
    """

    share: float
    detector: dict[str, Tensor]
    sr: nn.Module | None = None

    def calibrated(self, calibration: Calibration) -> Candidate:
        """The same with calibrated scores."""
        return replace(self, detector=calibration.into_weights(self.detector))

    def weights(self) -> dict[str, Tensor]:
        """All of them; the names of super-resolution's begin with ``sr.``."""
        sr = {} if self.sr is None else self.sr.state_dict(prefix="sr.")
        return {k: v.contiguous() for k, v in {**self.detector, **sr}.items()}


def _held_out(
    data: Path, sources: Sequence[NativeSourceConfig], most: int
) -> dict[str, list[LabelledImage]]:
    """The images to measure, by the path of their set."""
    sets = {s.path: spaced(read_held_out(data, s), most) for s in sources}
    sets = {name: images for name, images in sets.items() if images}
    if not sets:
        raise TrainingDataError("sources: expected held_out images of a set, got none")
    return sets


def spaced(images: Sequence[LabelledImage], most: int) -> list[LabelledImage]:
    """At most so many of them, evenly spaced; 0: all."""
    number = min(len(images), most or len(images))
    return [images[k * len(images) // number] for k in range(number)]


def _candidates(ends: Ends, shares: Sequence[float]) -> list[Candidate]:
    """What to measure; where super-resolution was trained too, both ends alone."""
    return [
        Candidate(share, between(ends.began, ends.trained, share), None if share == 0 else ends.sr)
        for share in (shares if ends.sr is None else (0.0, 1.0))
    ]


def between(
    start: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Weights that are ``share`` of the trained ones and else the start's."""
    return {name: torch.lerp(value, trained[name], share) for name, value in start.items()}


def _measured(
    candidate: Candidate,
    sets: Mapping[str, Sequence[LabelledImage]],
    choice: ChoiceConfig,
    log: Path,
) -> dict[str, Any]:
    """A row of the table, from the log if these weights were measured before."""
    content = b"".join(v.numpy().tobytes() for v in candidate.weights().values())
    sha = hashlib.sha256(content).hexdigest()
    key = f"{sha[:16]} most {choice.most} fppi {choice.fppi:g} least {choice.least_people}"
    known: dict[str, Any] = json.loads(log.read_text()) if log.exists() else {}
    if key not in known:
        detector = PicoDet(1)
        detector.load_state_dict(candidate.detector)
        known[key] = measure(detector, sets, choice, candidate.sr)
        log.parent.mkdir(parents=True, exist_ok=True)
        replace_text(log, json.dumps(known, indent=1))
    return {"share": candidate.share, **known[key]}
