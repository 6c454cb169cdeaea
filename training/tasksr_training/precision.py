"""What the engines' faster precisions cost in detection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import SIZE_MULTIPLE, EngineConfig
from tasksr_ros.detections import Detections
from tasksr_ros.engines import Engine, build_engine
from tasksr_ros.evaluation.metrics import Matches, average_precision, match_image
from tasksr_ros.merge import merge
from tasksr_training.coco import LabelledImage, read_set
from tasksr_training.degradations import downscale
from tasksr_training.detect import DetectConfig, to_pixels, to_tensor
from tasksr_training.validation import HEIGHT_BINS

_RESAMPLES = 1000
_EXCESS = 1.25  # detections this much out of a height bin still count in it


class Difference(NamedTuple):
    """AP50 of one precision, and what it differs from fp32's, with its 95 % interval."""

    ap: float
    difference: float
    low: float
    high: float


def compare_precisions(
    data: Path,
    out: Path,
    bundle: str = "tdsr-ss-x4",
    sets: Sequence[str] = ("camvid/val.json",),
    calibration: str = "",
    precisions: Sequence[str] = ("fp32", "bf16", "int8"),
    threads: int = 0,
) -> None:
    """Run the OpenVINO engine in several precisions on images that are reduced bicubically.

    Writes ``precision.json`` and prints a table: AP50 by height of the pedestrians in LR px, each
    with its difference from the first precision and the 95 % interval of a paired bootstrap over
    images.

    Args:
        data: folder that the paths of image sets start from.
        out: folder for the result and the engines' models.
        bundle: name or folder.
        sets: COCO JSON files relative to the data folder.
        calibration: images, video or bag for int8.
        precisions: of the engine; the first is what the others are compared with.
        threads: CPU threads; 0: all.
    """
    images = [image for name in sets for image in read_set(data, name)]
    scale_factor = load_bundle(bundle).scale_factor
    found = {}
    for precision in precisions:
        config = EngineConfig(
            name="openvino",
            threads=threads,
            cache_dir=str(out / "engines"),
            precision=precision,  # type: ignore[arg-type]
            calibration=calibration,
        )
        found[precision] = _detect_all(bundle, config, images)
    result = differences(found, images, scale_factor)
    out.mkdir(parents=True, exist_ok=True)
    rows = {p: {b: d._asdict() for b, d in row.items()} for p, row in result.items()}
    (out / "precision.json").write_text(json.dumps(rows, indent=1))
    print(table(result, images, scale_factor))


def _detect_all(
    bundle_name: str, config: EngineConfig, images: Sequence[LabelledImage]
) -> list[Detections]:
    """Detections in HR px; one engine for each size of image."""
    bundle = load_bundle(bundle_name)
    engines: dict[tuple[int, int], Engine] = {}
    found = []
    for image in tqdm(images, desc=config.precision, mininterval=5):
        lr = _reduced(image.image, bundle.scale_factor)
        size = lr.shape[1], lr.shape[0]
        if size not in engines:
            engines[size] = build_engine(replace(bundle, region_size=size), config)
        boxes, scores = engines[size](lr[None])
        found.append(_kept(boxes[0], scores[0], image))
    return found


def _reduced(image: NDArray[np.uint8], scale_factor: int) -> NDArray[np.uint8]:
    """The LR image, of the HR image padded by its edge to a size that the detector takes."""
    height, width = image.shape[:2]
    padding = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
    return to_pixels(downscale(F.pad(to_tensor(image), padding, mode="replicate"), scale_factor))


def _kept(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], image: LabelledImage
) -> Detections:
    config = DetectConfig()
    strong = scores >= config.min_score
    height, width = image.image.shape[:2]
    xyxy = boxes[strong].clip(0, [width, height, width, height])
    found = Detections.from_arrays(xyxy, scores[strong])
    return merge(found, np.zeros(len(found), bool), config.nms_iou, config.max_detections)


def differences(
    found: dict[str, list[Detections]], images: Sequence[LabelledImage], scale_factor: int
) -> dict[str, dict[str, Difference]]:
    """By precision and height bin (``all`` and e.g. ``8-12``); the first precision is the base."""
    bins = {"all": (0.0, np.inf)}
    bins |= {f"{low}-{high}": (float(low), float(high)) for low, high in HEIGHT_BINS}
    table: dict[str, dict[str, Difference]] = {precision: {} for precision in found}
    for name, (low, high) in bins.items():
        limits = low * scale_factor, high * scale_factor
        matched = {p: _match(d, images, *limits) for p, d in found.items()}
        samples = {p: _resampled(m) for p, m in matched.items()}
        base = next(iter(found))
        for p, m in matched.items():
            ap, expected = (average_precision(_joined(x)) for x in (m, matched[base]))
            low_end, high_end = np.nanpercentile(samples[p] - samples[base], [2.5, 97.5])
            table[p][name] = Difference(ap, ap - expected, float(low_end), float(high_end))
    return table


def _match(
    found: Sequence[Detections], images: Sequence[LabelledImage], low: float, high: float
) -> list[Matches]:
    """Of each image alone; pedestrians of other heights are ignored."""
    matched = []
    for detections, image in zip(found, images, strict=True):
        height = image.boxes[:, 3] - image.boxes[:, 1]
        ignore = image.ignore | (height < low) | (height >= high)
        own = detections.xyxy[:, 3] - detections.xyxy[:, 1]
        near = (own >= low / _EXCESS) & (own < high * _EXCESS)
        score = detections.score[near].astype(float)
        outcome, found_at = match_image(detections.xyxy[near], score, image.boxes, ignore, 0.5)
        matched.append(Matches(score, outcome, found_at[~ignore], height[~ignore], 1))
    return matched


def _joined(parts: Sequence[Matches]) -> Matches:
    score = np.concatenate([m.score for m in parts])
    order = np.argsort(-score, kind="stable")
    return Matches(
        score[order],
        np.concatenate([m.outcome for m in parts])[order],
        np.concatenate([m.found_at for m in parts]),
        np.concatenate([m.height for m in parts]),
        len(parts),
    )


def _resampled(matched: Sequence[Matches]) -> NDArray[np.float64]:
    """AP of samples of the images with replacement: the same ones for every precision."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(matched), (_RESAMPLES, len(matched)))
    return np.array([average_precision(_joined([matched[i] for i in c])) for c in chosen])


def table(
    result: dict[str, dict[str, Difference]], images: Sequence[LabelledImage], scale_factor: int
) -> str:
    """The differences as Markdown."""
    heights = np.concatenate([(i.boxes[:, 3] - i.boxes[:, 1])[~i.ignore] for i in images])
    names = list(next(iter(result.values())))
    numbers = [_number(heights / scale_factor, name) for name in names]
    heads = [f"{name} ({number})" for name, number in zip(names, numbers, strict=True)]
    lines = ["| AP50, LR px (pedestrians) | " + " | ".join(heads) + " |", "|---" * 6 + "|"]
    for precision, row in result.items():
        cells = [
            f"{d.ap:.3f} ({d.difference:+.3f}, {d.low:+.3f} to {d.high:+.3f})" for d in row.values()
        ]
        lines.append(f"| {precision} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(heights: NDArray[np.floating], name: str) -> Any:
    if name == "all":
        return len(heights)
    low, high = map(float, name.split("-"))
    return int(((heights >= low) & (heights < high)).sum())
