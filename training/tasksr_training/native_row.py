"""What weights find in held-out images: a row of the table that `choose-native` chooses by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from tasksr_ros.evaluation.matching import IGNORED, TRUE_POSITIVE
from tasksr_ros.evaluation.metrics import Matches, score_at_fppi
from tasksr_ros.evaluation.reliability import reliability
from tasksr_ros.networks.detectors.picodet import PicoDet
from tasksr_training.calibration import fit
from tasksr_training.coco import LabelledImage
from tasksr_training.native_measure import (
    Enlarging,
    Found,
    detect_native,
    figures,
    in_openvino,
    matches_in_bin,
)

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
        found = {
            name: [detect_native(detect, image.image, enlarged) for image in images]
            for name, images in sets.items()
        }
        for name, images in sets.items():
            values = figures(found[name], images)
            by_set[name].update({f"x{scale:g} {height}": ap for height, ap in values.items()})
        of_both.append(_matches(found, sets))
        thresholds[f"x{scale:g}"] = round(float(score_at_fppi(of_both[-1], choice.fppi)), 4)
    return {
        "mean": _mean(by_set, sets, choice.least_people),
        "sets": by_set,
        "score_threshold": thresholds,
        "calibration": _calibration(of_both),
    }


def _matches(
    found: Mapping[str, Sequence[Found]], sets: Mapping[str, Sequence[LabelledImage]]
) -> Matches:
    """Of all sets together, with the people that the threshold is chosen on."""
    everyone = [image for images in sets.values() for image in images]
    pooled = [one for name in sets for one in found[name]]
    return matches_in_bin(*labelled_part(pooled, everyone), LEAST_HEIGHT, np.inf, 0.5)


def _mean(
    by_set: Mapping[str, Mapping[str, float]],
    sets: Mapping[str, Sequence[LabelledImage]],
    least_people: int,
) -> float:
    """Of what is counted in the sets with enough people."""
    enough = [n for n, images in sets.items() if numbers(images)["pedestrians"] >= least_people]
    return round(float(np.mean([by_set[name][key] for name in enough for key in COUNTED])), 4)


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


def numbers(images: Sequence[LabelledImage]) -> dict[str, int]:
    """How many images, and how many people count in them."""
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
