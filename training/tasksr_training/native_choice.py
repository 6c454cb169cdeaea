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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tasksr_ros.evaluation.matching import IGNORED, TRUE_POSITIVE
from tasksr_ros.evaluation.metrics import Matches, score_at_fppi
from tasksr_ros.evaluation.reliability import reliability
from tasksr_ros.networks.detectors.picodet import PicoDet
from tasksr_training.calibration import Calibration, fit
from tasksr_training.checkpoints import OPTIONS, load_checkpoint, load_network
from tasksr_training.coco import LabelledImage
from tasksr_training.errors import TrainingDataError
from tasksr_training.native_crops import NativeSourceConfig, read_held_out
from tasksr_training.native_measure import (
    Enlarging,
    Found,
    detect_native,
    figures,
    in_openvino,
    matches_in_bin,
)
from tasksr_training.published_weights import load_onnx_weights
from tasksr_training.whole_files import replace_text

SCALES = (1.0, 2.0)
COUNTED = ("x1 12-60", "x2 12-60", "x1 60+")
"""Figures whose mean, over the sets, chooses: small people as they are and enlarged, large ones."""
LEAST_HEIGHT = 12.0
"""px; of the people that the threshold is chosen on."""


@dataclass(frozen=True)
class ChoiceConfig:
    """What is tried, on which images.

    Attributes:
        shares: of the trained weights, the rest being those of the start.
        most: at most this many held-out images of each set are measured, evenly spaced; 0: all.
        least_people: sets with fewer are measured, but do not count in the mean.
        fppi: false positives per image that the score threshold is for.
        threads: CPU threads.
    """

    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    most: int = 0
    least_people: int = 30
    fppi: float = 0.3
    threads: int = 1


CHOICE = ChoiceConfig()


def choose_native(
    run: Path,
    data: Path,
    sources: list[NativeSourceConfig],
    out: Path,
    start: Path = Path(),
    choice: ChoiceConfig = CHOICE,
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

    Raises:
        TrainingDataError: when the sources hold nothing out.
    """
    sets = {s.path: spaced(read_held_out(data, s), choice.most) for s in sources}
    sets = {name: images for name, images in sets.items() if images}
    if not sets:
        raise TrainingDataError("sources: expected held_out images of a set, got none")
    content = load_checkpoint(run)
    trained, _ = load_network(run, "detector")
    sr = _trained_sr(run, content["networks"])
    began, start = _began(run, start, content["networks"])
    ends = began.state_dict(), trained.state_dict()
    candidates = [
        Candidate(share, between(*ends, share), None if share == 0 else sr)
        for share in (choice.shares if sr is None else (0.0, 1.0))
    ]
    log = out.with_suffix(".measured.json")
    rows = [_measured(candidate, sets, choice, log) for candidate in candidates]
    best = max(range(len(rows)), key=lambda k: float(rows[k]["mean"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    calibration = Calibration(**rows[best]["calibration"]["map"])
    save_file(candidates[best].calibrated(calibration).weights(), out)
    summary = {
        "network": "picodet-s",
        "num_classes": 1,
        "sr": None if candidates[best].sr is None else content["networks"]["sr"],
        **_origin(start),
        "steps": content["step"],
        "minutes": round(content["seconds"] / 60, 1),
        "seed": _options(run).get("loop", {}).get("seed"),
        "share": rows[best]["share"],
        "counted": COUNTED,
        "fppi": choice.fppi,
        "score_threshold": {
            scale: round(float(calibration(threshold)), 4)
            for scale, threshold in rows[best]["score_threshold"].items()
        },
        "calibration": rows[best]["calibration"],
        "held_out": {name: _numbers(images) for name, images in sets.items()},
        "rows": rows,
    }
    replace_text(out.with_suffix(".json"), json.dumps(summary, indent=1))
    print(table(rows))


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


def _trained_sr(run: Path, networks: Mapping[str, Any]) -> nn.Module | None:
    if networks.get("sr", {"name": "bicubic"})["name"] == "bicubic":
        return None
    return load_network(run, "sr")[0]


def _began(run: Path, start: Path, networks: Mapping[str, Any]) -> tuple[nn.Module, Path]:
    """The detector that the run began with, and where its weights are."""
    if "sr" in networks:
        start = Path(_options(run)["stage"]["detector_checkpoint"])
        return load_network(start, "detector")[0], start
    if start.suffix != ".safetensors":
        detector = PicoDet(1)
        load_onnx_weights(detector, start)
        return detector, start
    return load_chosen(start), start


def _origin(start: Path) -> dict[str, Any]:
    """The name of what training began with; after how many steps, if this was chosen before."""
    beside = start.with_suffix(".json")
    if start.suffix != ".safetensors" or not beside.is_file():
        return {"start": start.name}
    earlier = json.loads(beside.read_text())
    return {"start": earlier["start"], "earlier_steps": earlier["steps"]}


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


def _options(run: Path) -> dict[str, Any]:
    """Those of the run's command; none where they do not lie beside it."""
    if not (run / OPTIONS).is_file():
        return {}
    (options,) = yaml.safe_load((run / OPTIONS).read_text(encoding="utf-8")).values()
    return dict(options)


def spaced(images: Sequence[LabelledImage], most: int) -> list[LabelledImage]:
    """At most so many of them, evenly spaced; 0: all."""
    number = min(len(images), most or len(images))
    return [images[k * len(images) // number] for k in range(number)]


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


def measure(
    detector: PicoDet,
    sets: Mapping[str, Sequence[LabelledImage]],
    choice: ChoiceConfig,
    sr: nn.Module | None = None,
) -> dict[str, Any]:
    """AP per set, scale and height; their mean that counts; score thresholds by scale.

    And what maps the scores of both scales together to probabilities, before and after.

    ``sr`` enlarges twice; None: bicubic does.
    """
    plain = in_openvino(detector, choice.threads)
    super_resolved = None if sr is None else in_openvino(Enlarging(sr, detector), choice.threads)
    by_set: dict[str, dict[str, float]] = {name: {} for name in sets}
    thresholds: dict[str, float] = {}
    of_both: list[Matches] = []
    for scale in SCALES:
        detect, enlarged = plain, scale
        if scale > 1 and super_resolved is not None:
            detect, enlarged = super_resolved, 1.0
        pooled: list[Found] = []
        for name, images in sets.items():
            found = [detect_native(detect, image.image, enlarged) for image in images]
            values = figures(found, images)
            by_set[name].update({f"x{scale:g} {height}": ap for height, ap in values.items()})
            pooled += found
        everyone = [image for images in sets.values() for image in images]
        matches = matches_in_bin(*labelled_part(pooled, everyone), LEAST_HEIGHT, np.inf, 0.5)
        of_both.append(matches)
        thresholds[f"x{scale:g}"] = round(float(score_at_fppi(matches, choice.fppi)), 4)
    people = {name: _numbers(images)["pedestrians"] for name, images in sets.items()}
    counting = [v for name, v in by_set.items() if people[name] >= choice.least_people]
    mean = float(np.mean([values[name] for values in counting for name in COUNTED]))
    return {
        "mean": round(mean, 4),
        "sets": by_set,
        "score_threshold": thresholds,
        "calibration": _calibration(of_both),
    }


def _calibration(matches: Sequence[Matches]) -> dict[str, Any]:
    """The map to probabilities, and the reliability of scores before and after."""
    counts = [m.outcome != IGNORED for m in matches]
    score = np.concatenate([m.score[c] for m, c in zip(matches, counts, strict=True)])
    hit = np.concatenate(
        [m.outcome[c] == TRUE_POSITIVE for m, c in zip(matches, counts, strict=True)]
    )
    found = fit(score, hit)
    return {
        "map": asdict(found),
        "before": reliability(score, hit, LEAST_HEIGHT, None),
        "after": reliability(found(score), hit, LEAST_HEIGHT, None),
    }


def labelled_part(
    found: Sequence[Found], images: Sequence[LabelledImage]
) -> tuple[list[Found], list[LabelledImage]]:
    """Without boxes and people so low that people of that height may lack a label."""
    boxes, rest = [], []
    for (xyxy, score), image in zip(found, images, strict=True):
        high = xyxy[:, 3] - xyxy[:, 1] >= image.labelled_from
        low = image.boxes[:, 3] - image.boxes[:, 1] < image.labelled_from
        boxes.append((xyxy[high], score[high]))
        rest.append(replace(image, ignore=image.ignore | low))
    return boxes, rest


def _numbers(images: Sequence[LabelledImage]) -> dict[str, int]:
    return {"images": len(images), "pedestrians": sum(int((~i.ignore).sum()) for i in images)}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows in Markdown: AP at IoU .5 by set, scale and native height."""
    sets = list(rows[0]["sets"])
    columns = [(name, key) for name in sets for key in rows[0]["sets"][name]]
    lines = [
        "| trained share | mean | " + " | ".join(f"{n} {k}" for n, k in columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for row in rows:
        cells = " | ".join(f"{row['sets'][n][k]:.3f}" for n, k in columns)
        lines.append(f"| {row['share']:g} | {row['mean']:.4f} | {cells} |")
    return "\n".join(lines)
