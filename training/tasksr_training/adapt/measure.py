"""Does it help? The detector behind the network, behind bicubic enlargement, and alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.evaluation.bootstrap import interval, sample
from tasksr_ros.evaluation.metrics import Matches
from tasksr_ros.evaluation.samplers import Draws, PrecisionSampler
from tasksr_training.adapt.config import MeasureConfig
from tasksr_training.adapt.crops import Labels
from tasksr_training.adapt.degradation import Degradation
from tasksr_training.adapt.frames import Chosen, Frames
from tasksr_training.adapt.systems import Found
from tasksr_training.adapt.teacher import Sightings
from tasksr_training.coco import LabelledImage
from tasksr_training.native_measure import matches_in_bin

X1, BICUBIC, ADAPTED = "x1", "bicubic", "adapted"
Look = Callable[[NDArray[np.uint8]], Found]
_NO_IMAGE = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        frames: where the held-out ones are.
        seen: whom the detector sees in them at its best.
        scale_factor: SR px per region px.
        degradations: make LR of HR, by the recordings' names.
        threshold: the detector's, of its best views of HR.
        config: how.
    """

    frames: Frames
    seen: Sightings
    scale_factor: int
    degradations: Mapping[str, Degradation]
    threshold: float
    config: MeasureConfig


def measure(
    systems: dict[str, Look], setting: Setting, labels: Labels | None
) -> dict[str, dict[str, Any]]:
    """Measure the systems on the held-out frames.

    Args:
        systems: ``X1``, ``BICUBIC`` and ``ADAPTED``.
        setting: on what.
        labels: of the frames, where there are any.

    Returns:
        ``agreement``: of reduced copies, with the detector's best views of the frames as truth;
        and, with labels, ``labels``: of the frames as they are. Each holds what `compared` returns
        for everyone (``all``) and for those lower than ``far_height`` (``far``).
    """
    held_out = setting.frames.held_out
    truth = [_best_view(frame, setting) for frame in held_out]
    found = {name: _on_copies(name, look, setting) for name, look in systems.items()}
    results = {"agreement": _compared(found, truth, held_out, setting.config)}
    if labels is not None:
        labelled = [frame for frame in held_out if frame.file in labels]
        truth = [_labelled(frame, labels) for frame in labelled]
        found = {
            name: [
                look(setting.frames.image(frame))
                for frame in tqdm(labelled, desc=f"{name}, frames as they are", mininterval=2)
            ]
            for name, look in systems.items()
        }
        results["labels"] = _compared(found, truth, labelled, setting.config)
    return results


def helps(results: dict[str, dict[str, Any]], config: MeasureConfig) -> tuple[bool, str]:
    """Whether super-resolution is better than bicubic enlargement for certain, and why or why not.

    Where there are labels they decide, of those people who are far: near ones are not enlarged in
    the deployed path. Else the agreement with the detector's best views of HR does.
    """
    if "labels" in results:
        row, of = results["labels"]["far"], f"AP50 on the labels up to {config.far_height:g} px"
    else:
        row, of = results["agreement"]["all"], "agreement with its own best views (AP50)"
    difference, bounds = row["difference"], row["interval"]
    if difference is None or bounds is None:
        return False, f"{of}: not defined, nobody to be found in the held-out frames"
    told = (
        f"{of} on {row['frames']} held-out frames: alone {row['ap'][X1]:.3f}, bicubic "
        f"{row['ap'][BICUBIC]:.3f}, adapted {row['ap'][ADAPTED]:.3f}; adapted less bicubic "
        f"{difference:+.3f} [{bounds[0]:+.3f}, {bounds[1]:+.3f}]"
    )
    if row["draws_of"] < config.least_units or row["people"] < config.least_people:
        return False, (
            f"{told}; too little to tell: {row['draws_of']} parts of {config.unit_s:g} s with "
            f"{row['people']} people, at least {config.least_units} with {config.least_people} are "
            "needed (more or longer recordings, more frames.held_out)"
        )
    return bounds[0] > 0, told


def lr_copy(frame: Chosen, setting: Setting, seed: int) -> NDArray[np.uint8]:
    """The LR copy of a frame; its last rows and columns are cut where the factor asks for it."""
    image, factor = setting.frames.image(frame), setting.scale_factor
    height, width = (n // factor * factor for n in image.shape[:2])
    pixels = np.ascontiguousarray(image[:height, :width].transpose(2, 0, 1)[None])
    degradation = setting.degradations[frame.recording]
    lr = degradation.lr(torch.from_numpy(pixels).float() / 255, factor, seed)
    return np.ascontiguousarray((lr[0].permute(1, 2, 0) * 255).round().byte().numpy())


def _on_copies(name: str, look: Look, setting: Setting) -> list[Found]:
    """What is found in the LR copies, in px of the frames."""
    found = []
    bar = tqdm(setting.frames.held_out, desc=f"{name}, reduced frames", mininterval=2)
    for k, frame in enumerate(bar):
        lr = lr_copy(frame, setting, setting.config.seed + k)
        boxes, scores = look(lr)
        found.append((boxes * np.float32(setting.scale_factor), scores))
    return found


def _best_view(frame: Chosen, setting: Setting) -> LabelledImage:
    """The detector's best views of a frame as a truth; what it is not sure of is left open."""
    boxes, scores = setting.seen[frame.file]
    kept = scores >= min(setting.config.least_truth, setting.threshold)
    unsure = scores[kept] < setting.threshold
    return LabelledImage(_NO_IMAGE, boxes[kept], unsure, 0, frame.file)


def _labelled(frame: Chosen, labels: Labels) -> LabelledImage:
    boxes, ignore = labels[frame.file]
    return LabelledImage(_NO_IMAGE, boxes, ignore, 0, frame.file)


def _compared(
    found: dict[str, list[Found]],
    truth: Sequence[LabelledImage],
    frames: Sequence[Chosen],
    config: MeasureConfig,
) -> dict[str, Any]:
    bins = {"all": (0.0, float("inf")), "far": (0.0, config.far_height)}
    units = _units(frames, config.unit_s)
    return {
        name: compared(
            {
                system: matches_in_bin(boxes, truth, low, high, config.iou)
                for system, boxes in found.items()
            },
            units,
            config,
        )
        for name, (low, high) in bins.items()
    }


def compared(
    matches: dict[str, Matches], units: NDArray[np.int64], config: MeasureConfig
) -> dict[str, Any]:
    """Average precisions, and that of ``ADAPTED`` less that of ``BICUBIC`` on the same draws.

    Args:
        matches: by the systems' names.
        units: (N,) what of the images is drawn together.
        config: of the bootstrap.

    Returns:
        ``ap`` by name, ``people`` that count, ``frames``, ``difference`` and its ``interval``; None
        where nobody counts.
    """
    people = {
        name: np.bincount(m.person_image, minlength=m.num_images) for name, m in matches.items()
    }
    samplers = {
        name: PrecisionSampler(m.image, m.outcome[None], people[name])
        for name, m in matches.items()
    }

    def statistic(draws: Draws) -> NDArray[np.float64]:
        return np.array([float(sampler(draws)[0]) for sampler in samplers.values()])

    values = dict(zip(matches, statistic(np.ones(len(units), np.int32)).tolist(), strict=True))
    number = int(people[ADAPTED].sum())
    row = {"people": number, "frames": len(units), "draws_of": int(units.max()) + 1}
    if not number:
        return {**row, "ap": dict.fromkeys(values), "difference": None, "interval": None}
    names = list(matches)
    drawn = sample(statistic, units, config.samples, config.seed)
    less = drawn[:, names.index(ADAPTED)] - drawn[:, names.index(BICUBIC)]
    return {
        **row,
        "ap": {name: round(value, 4) for name, value in values.items()},
        "difference": round(values[ADAPTED] - values[BICUBIC], 4),
        "interval": interval(less, config.confidence),
    }


def _units(frames: Sequence[Chosen], seconds: float) -> NDArray[np.int64]:
    """(N,) index of what is drawn together: frames of one camera that are alike."""
    index: dict[tuple[str, str, int], int] = {}
    keys = [(f.recording, f.camera, int(f.stamp_ns // (seconds * 1e9))) for f in frames]
    return np.array([index.setdefault(key, len(index)) for key in keys], np.int64)
