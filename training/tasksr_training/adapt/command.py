"""`tasksr-train adapt`: super-resolution for a detector that must not change."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from tasksr_ros.bundle import Bundle, ForeignDetector, find_bundle, load_bundle
from tasksr_ros.config import SIZE_MULTIPLE
from tasksr_training.adapt.check import check_detector
from tasksr_training.adapt.config import (
    CROPS,
    FRAMES,
    LOOP,
    LOSS,
    MEASURE,
    SCALE_FACTOR,
    START,
    AdaptLossConfig,
    CropConfig,
    FrameConfig,
    MeasureConfig,
    check_options,
)
from tasksr_training.adapt.crops import CropSampler, Labels
from tasksr_training.adapt.degradation import Degradation, measure_degradation
from tasksr_training.adapt.export import export_adapted
from tasksr_training.adapt.frames import Frames, choose_frames
from tasksr_training.adapt.frozen import Frozen, OwnDetector, frozen_detector, people_of
from tasksr_training.adapt.labels import read_labels
from tasksr_training.adapt.measure import ADAPTED, BICUBIC, X1, Setting, helps, measure
from tasksr_training.adapt.page import crops_sheet, write_page
from tasksr_training.adapt.stage import AdaptStage, starting_network
from tasksr_training.adapt.systems import System, alone, behind_bicubic
from tasksr_training.checkpoints import build_network, load_checkpoint, load_network
from tasksr_training.datasets import Batch
from tasksr_training.errors import TrainingError
from tasksr_training.loop import LoopConfig, check_loop, train
from tasksr_training.whole_files import replace_text

MEASURED, PAGE, BUNDLE, CANDIDATE = "measured.json", "page.html", "bundle", "candidate"
_BATCHES, _SHOWN, _MEASURED_IMAGES = 4, 3, 12
"""Batches of the validation, those of them on the page, and frames to measure the faults of."""


def adapt(
    detector: str,
    recordings: Sequence[str],
    out: Path,
    labels: Path | None = None,
    network: str = "",
    classes: Sequence[str] = (),
    topic: str = "",
    start: str = START,
    scale_factor: int = SCALE_FACTOR,
    blur: str = "auto",
    export: Literal["if-better", "anyway", "never"] = "if-better",
    frames: FrameConfig = FRAMES,
    crops: CropConfig = CROPS,
    loss: AdaptLossConfig = LOSS,
    measuring: MeasureConfig = MEASURE,
    loop: LoopConfig = LOOP,
) -> None:
    """Train super-resolution for a detector that stays as it is, on recordings without labels.

    Args:
        detector: bundle, ours or one of `tasksr import-detector`.
        recordings: bags, videos, folders of images.
        out: folder of the run; a run that was stopped goes on from there.
        labels: COCO ground truth of the recordings: a detector of ours learns from it as well,
            one of others is only measured with it.
        network: MODULE:FACTORY that gives another's detector as a torch module; empty: its file.
        classes: the detector's classes of people; none: person, pedestrian, people or human.
        topic: of a bag's images, where it has several.
        start: network to train, or a bundle or a run that has one with weights.
        scale_factor: SR px per LR px.
        blur: of LR copies, standard deviation in HR px; auto: as the recordings ask for.
        export: whether a bundle is written: if it is better than bicubic enlargement for certain,
            anyway, or never.
        frames: which frames of the recordings are kept.
        crops: how patches are cut.
        loss: what it learns from.
        measuring: how the answer is found whether it helps.
        loop: how long and how.

    Raises:
        TaskSRError: for recordings, a detector or options that do not serve.
    """
    check_options(frames, crops, loss)
    check_loop(loop)
    fixed_blur = _blur(blur)
    torch.manual_seed(loop.seed)
    with _full_disk(out):
        bundle = load_bundle(find_bundle(detector))
        people = people_of(bundle, classes)
        behind_bicubic(bundle, scale_factor)  # refuses what does not fit, before anything is read
        begins = starting_network(start, scale_factor, out)
        size = _patch_size(bundle, crops, scale_factor)
        frozen = frozen_detector(bundle, people, size, loss.layers, network)
        out.mkdir(parents=True, exist_ok=True)
        key = {"detector": bundle.sha256, "classes": people}
        look = System(alone(bundle), people, loop.threads)
        chosen = choose_frames(recordings, topic, look, frames, out, key)
        known = None if labels is None else read_labels(labels, chosen, topic)
        train_on, held_out = (
            CropSampler(chosen, group, size, crops, frames.least_score, known)
            for group in (chosen.train, chosen.held_out)
        )
        batches = [_batch(held_out, k, loop.batch_size) for k in range(_BATCHES)]
        lines = [
            f"{len(chosen.train)} frames to train on, {len(chosen.held_out)} held out, of "
            f"{', '.join(Path(r).name for r in recordings)}"
        ]
        lines += check_detector(frozen, bundle, _different(train_on))
        degradation, line = _degradation(chosen, scale_factor, fixed_blur)
        lines.append(line)
        lines += _of_labels(known, frozen)
        for line in lines:
            print(f"tasksr-train: {line}")
        stage = AdaptStage(*begins, frozen, degradation, loss, known is not None, batches)
        train(stage, train_on, loop, out)
        _finish(
            bundle=bundle,
            people=people,
            frozen=frozen,
            start=start,
            scale_factor=scale_factor,
            setting=Setting(chosen, scale_factor, degradation, bundle.score_threshold, measuring),
            labels=known,
            batches=batches,
            lines=lines,
            export=export,
            threads=loop.threads,
            out=out,
        )


def _finish(
    bundle: Bundle,
    people: Sequence[int],
    frozen: Frozen,
    start: str,
    scale_factor: int,
    setting: Setting,
    labels: Labels | None,
    batches: Sequence[Batch],
    lines: Sequence[str],
    export: str,
    threads: int,
    out: Path,
) -> None:
    """Measure what was learnt, say whether it helps, write the page and the bundle."""
    sr, description = load_network(out, "sr")
    candidate, final = out / CANDIDATE, out / BUNDLE
    recipe = _recipe(out, bundle)
    export_adapted(bundle, sr, description, recipe, "Not measured yet.", candidate)
    results = _results(bundle, people, candidate, setting, labels, threads, out)
    better, told = helps(results, setting.config)
    shutil.rmtree(candidate, ignore_errors=True)
    exported = export == "anyway" or (better and export == "if-better")
    answer = f"{'It helps' if better else 'It is not shown to help'}. {told}."
    if exported:
        export_adapted(bundle, sr, description, recipe, answer, final)
    elif final.is_dir() and export != "never":
        shutil.rmtree(final)  # of earlier weights
    networks = _networks(start, sr, scale_factor, out)
    frozen.cpu()  # where the crops are
    shown = list(batches[:_SHOWN])
    lrs = [setting.degradation.lr(b.hr, scale_factor, b.seed) for b in shown]
    write_page(out / PAGE, answer, results, lines, crops_sheet(shown, lrs, networks, frozen))
    print(f"tasksr-train: {answer}")
    why = "as --export never says" if export == "never" else "--export anyway does so"
    print(f"tasksr-train: {final if exported else f'no bundle is written ({why})'}; {out / PAGE}")


def _results(
    bundle: Bundle,
    people: Sequence[int],
    candidate: Path,
    setting: Setting,
    labels: Labels | None,
    threads: int,
    out: Path,
) -> dict[str, dict[str, Any]]:
    """Measured, or taken from the run where the same was measured before."""
    adapted = load_bundle(candidate)
    of_labels = None if labels is None else {k: v[0].tolist() for k, v in labels.items()}
    what = {
        "bundles": [bundle.sha256, adapted.sha256],
        "degradation": asdict(setting.degradation),
        "measuring": asdict(setting.config),
        "labels": hashlib.sha256(json.dumps(of_labels, sort_keys=True).encode()).hexdigest(),
    }
    path = out / MEASURED
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["of"] == what:
            found: dict[str, dict[str, Any]] = before["results"]
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    systems = {
        X1: System(alone(bundle), people, threads),
        BICUBIC: System(behind_bicubic(bundle, setting.scale_factor), people, threads),
        ADAPTED: System(adapted, people, threads),
    }
    results = measure(systems, setting, labels)
    replace_text(path, json.dumps({"of": what, "results": results}, indent=1))
    return results


def _networks(start: str, sr: nn.Module, scale_factor: int, out: Path) -> dict[str, nn.Module]:
    """What enlarges the crops of the page, from left to right."""
    bicubic = build_network("sr", {"name": "bicubic", "scale_factor": scale_factor})
    begun, _, has_weights = starting_network(start, scale_factor, out)
    before = {"SR for people": begun.eval()} if has_weights else {}
    return {"bicubic": bicubic.eval(), **before, "SR for this detector": sr}


def _recipe(out: Path, bundle: Bundle) -> dict[str, Any]:
    content = load_checkpoint(out)
    return {
        "stages": ["tasksr-train adapt"],
        "adapted_to": bundle.name,
        "detector_recipe": dict(bundle.recipe),
        "steps": int(content["step"]),
        "minutes": round(content["seconds"] / 60, 1),
        "licence": "of the detector and of the recordings: their owners'",
    }


def _blur(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 8:
        raise TrainingError(f"blur: expected auto or 0 to 8 HR px, got {text}")
    return value


def _patch_size(bundle: Bundle, crops: CropConfig, scale_factor: int) -> tuple[int, int]:
    """(width, height) of HR patches, HR px."""
    foreign = bundle.detector if isinstance(bundle.detector, ForeignDetector) else None
    if foreign is not None and foreign.input.size is not None:
        return foreign.input.size
    taken = SIZE_MULTIPLE if foreign is None else foreign.input.size_multiple
    multiple = math.lcm(taken, scale_factor)
    if crops.size <= 0 or crops.size % multiple:
        raise TrainingError(
            f"crops.size: expected a multiple of {multiple} px, as the detector and the scale "
            f"factor ask for, got {crops.size}"
        )
    return crops.size, crops.size


def _batch(sampler: CropSampler, index: int, number: int) -> Batch:
    """A batch of held-out patches, the same in each run."""
    rng = np.random.default_rng([0, index])
    return sampler.collate([sampler.draw(rng) for _ in range(number)], rng)


def _different(sampler: CropSampler) -> torch.Tensor:
    """Crops to try the detector on."""
    return _batch(sampler, 0, 4).hr


def _degradation(
    frames: Frames, scale_factor: int, fixed_blur: float | None
) -> tuple[Degradation, str]:
    """As the frames to train on ask for."""
    step = max(1, len(frames.train) // _MEASURED_IMAGES)
    images = [frames.image(frame) for frame in frames.train[::step][:_MEASURED_IMAGES]]
    qualities = [f.jpeg_quality for f in frames.train if f.jpeg_quality is not None]
    coded = len(qualities) * 2 > len(frames.train)
    quality = int(np.median(qualities)) if coded else None
    return measure_degradation(images, scale_factor, quality, fixed_blur)


def _of_labels(labels: Labels | None, frozen: Frozen) -> list[str]:
    if labels is None:
        return []
    if isinstance(frozen, OwnDetector):
        return [f"labels of {len(labels)} frames: learnt from, and measured with"]
    return [
        f"labels of {len(labels)} frames: measured with; not learnt from, since the loss of "
        "another's detector is not known"
    ]


@contextmanager
def _full_disk(out: Path) -> Iterator[None]:
    """One clear error of what cannot be written; half a file takes no whole one's place."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise TrainingError(
            f"{out}: cannot be written or read: {cause.strerror or cause}; make room and give the "
            "same command again, it goes on"
        ) from error
