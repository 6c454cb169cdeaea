"""From the chosen weights of a native detector to a bundle: `tasksr-train export-native`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from tasksr_ros.bundle import save_bundle
from tasksr_ros.networks import build_detector, build_sr
from tasksr_training.checkpoints import sr_section
from tasksr_training.errors import CheckpointError


def export_native(
    weights: Path,
    bundle: Path,
    scale_factor: int = 1,
    region_size: tuple[int, int] = (320, 96),
    stages: Sequence[str] = (),
    data: Sequence[str] = (),
) -> None:
    """Write a bundle with a card.

    Args:
        weights: file that `choose-native` wrote; its JSON file lies beside it.
        bundle: folder to write; its name is the bundle's.
        scale_factor: 1: images as they are; 2: enlarged bicubically before.
        region_size: width and height of an engine's region, region px.
        stages: commands that trained the weights, for the card.
        data: image sets that they were trained on, for the card.

    Raises:
        CheckpointError: when the weights or what was measured of them are not there, or the scale
            factor is not one of those that were measured.
    """
    try:
        chosen: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text())
        state = load_file(weights)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{weights}: expected what choose-native writes: {error}") from None
    thresholds = chosen["score_threshold"]
    if f"x{scale_factor}" not in thresholds:
        known = ", ".join(name[1:] for name in thresholds)
        raise CheckpointError(f"scale_factor: expected one of {known}, got {scale_factor}")
    detector = build_detector(chosen["network"], num_classes=chosen["num_classes"])
    enlarges = scale_factor > 1
    sr_state = {k[3:]: v for k, v in state.items() if k.startswith("sr.")}
    detector.load_state_dict({k: v for k, v in state.items() if not k.startswith("sr.")})
    sr_description = chosen.get("sr") or {"name": "bicubic", "scale_factor": scale_factor}
    if enlarges and sr_description["scale_factor"] != scale_factor:
        raise CheckpointError(
            f"scale_factor: expected that of the super-resolution, "
            f"{sr_description['scale_factor']}, got {scale_factor}"
        )
    description = {
        "name": bundle.name,
        "sr": sr_section(sr_description) if enlarges else "none",
        "detector": {"network": chosen["network"]},
        "classes": ["pedestrian"],
        "region_size": list(region_size),
        "score_threshold": float(thresholds[f"x{scale_factor}"]),
        "recipe": {
            "stages": list(stages),
            "data": list(data),
            "started_from": chosen["start"],
            "steps": chosen["steps"],
            "minutes": chosen["minutes"],
            "licence": "research use",
        },
    }
    weak = float(chosen["weak_threshold"][f"x{scale_factor}"])
    if 0 < weak < description["score_threshold"]:  # rounded, they may be 0
        description["weak_threshold"] = weak
    sr = build_sr(**sr_description).eval() if enlarges else None
    if sr is not None and sr_state:
        sr.load_state_dict(sr_state)
    text = native_card(description, chosen, scale_factor)
    save_bundle(bundle, description, text, sr=sr, detector=detector.eval())


def native_card(description: dict[str, Any], chosen: dict[str, Any], scale_factor: int) -> str:
    """The bundle's README.md: AP50 on held-out training images beside the weights it began with."""
    recipe, rows = description["recipe"], {row["share"]: row["sets"] for row in chosen["rows"]}
    lines = []
    for name, ours in rows[chosen["share"]].items():
        number = chosen["held_out"][name]
        figures = [
            f"{rows[0.0][name][key]:.3f} -> {ours[key]:.3f}"
            for key in (f"x{scale_factor} 12-60", f"x{scale_factor} 60+")
        ]
        lines.append(f"| {name} | {number['images']} | {' | '.join(figures)} |")
    before = "enlarged twice bicubically" if scale_factor > 1 else "as the camera gives them"
    began = (
        f"It began with the public COCO weights `{chosen['start']}` (Apache-2.0)\nand learnt on at "
        "many scales, taught by them so that it does not forget."
    )
    if chosen.get("sr") and scale_factor > 1:
        before = f"super-resolved twice by `{chosen['sr']['name']}`"
        began = (
            f"It began with the bundle `{chosen['start']}`, bicubically enlarged; both networks\n"
            "then learnt together, the super-resolution from the detector's loss as well."
        )
    seed = "unknown" if chosen.get("seed") is None else chosen["seed"]
    averaged = (
        f", of which {chosen['share']:g}, and the rest\nof what was chosen after "
        f"{chosen['earlier_steps']} steps"
        if "earlier_steps" in chosen
        else ""
    )
    if "mean_with" in chosen:
        others = [f"{run['steps']} steps" for run in chosen["mean_with"]]
        averaged += f", their mean with those of further runs: {', '.join(others)}"
    width, height = description["region_size"]
    calibration = chosen["calibration"]
    bins = [b for b in calibration["after"]["bins"] if b["detections"]]
    reliability = "\n".join(
        f"| {name} | {' | '.join(values)} |"
        for name, values in (
            ("score", [f"{b['low']:.1f}-{b['high']:.1f}" for b in bins]),
            ("---", ["---"] * len(bins)),
            ("detections", [str(b["detections"]) for b in bins]),
            ("mean score", [f"{b['mean_score']:.2f}" for b in bins]),
            ("people", [f"{b['precision']:.2f}" for b in bins]),
        )
    )
    table, stages = "\n".join(lines), _items(recipe["stages"])
    data = "; ".join(recipe["data"]) or "not stated"
    return f"""# {description["name"]}

Detector `{chosen["network"]}` for **native images**, {before}: RGB regions of {width}x{height} px
in, boxes of pedestrians out. {began} At the score threshold of
{description["score_threshold"]:g} there are {chosen["fppi"]:g} false positives per image on \
the images below.

**Research use**, because of the data that it was trained on: {data}.

## Recipe

{stages}

{recipe["steps"]} steps in {recipe["minutes"]:g} minutes of one core (beside other work), seed
{seed}; the weights are their exponential moving average{averaged}.

## Measured

AP50 on images held out of the training sets, what it began with -> these, by native height; \
the weights' share and
the threshold were chosen on them. [Validation sets, beside public detectors]\
(../../docs/YARDSTICK.md).

| set | images | 12-60 px | 60 px and more |
|---|---|---|---|
{table}

Scores are probabilities, fitted on the same images at x1 and x2: mean distance between a \
detection's score and the share
of people among those of its score {_error(calibration["after"])} \
(before: {_error(calibration["before"])}).

{reliability}
"""


def _error(reliability: dict[str, Any]) -> str:
    """Expected calibration error; it is not known where nobody was found."""
    return "unknown" if reliability["ece"] is None else f"{reliability['ece']:.3f}"


def _items(commands: Sequence[str]) -> str:
    return "\n".join(f"- `{command}`" for command in commands) or "- not stated"
