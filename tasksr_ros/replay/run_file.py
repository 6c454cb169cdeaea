"""The predictions file, and beside it what the run says of itself (``P.run.json``)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasksr_ros import __version__
from tasksr_ros.evaluation.categories import listed, same_words, word
from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_ros.evaluation.provenance import commit, machine
from tasksr_ros.io.predictions import coco_results
from tasksr_ros.replay.outcome import DROPPED, Outcome
from tasksr_ros.replay.truth_file import TruthImages
from tasksr_ros.replay.truth_images import ImageIds


def beside(predictions: Path, suffix: str) -> Path:
    """The file that goes with a predictions file: P.json -> P<suffix>."""
    return predictions.with_name(predictions.stem + suffix)


def results(
    outcomes: Sequence[Outcome], ids: ImageIds, categories: Mapping[int, ImageId]
) -> list[dict[str, Any]]:
    """COCO results of all frames, in their order.

    Args:
        outcomes: the frames.
        ids: theirs.
        categories: category id by class_id.
    """
    found = []
    for outcome, image_id in zip(outcomes, ids.ids, strict=True):
        for entry in coco_results(
            outcome.detections, image_id, outcome.stamp_ns, outcome.depth_m, outcome.deviation_m
        ):
            class_id = entry["category_id"] - 1
            found.append({**entry, "category_id": categories.get(class_id, class_id + 1)})
    return found


def categories(bundle_classes: Sequence[str], truth: TruthImages | None) -> dict[int, ImageId]:
    """Category id by class_id: the ground truth's category of the class's name, else class_id + 1.

    ``person`` and ``pedestrian`` are one, as COCO and the vehicle sets call them. A class that
    the ground truth does not have never gets the id of another of its categories.
    """
    known = truth.categories if truth is not None else {}
    by_word = {word(name): category_id for name, category_id in known.items()}
    taken = {checked_id(category_id) for category_id in by_word.values()}
    above = max([len(bundle_classes), *(i for i in taken if isinstance(i, int))])
    found: dict[int, ImageId] = {}
    for class_id, name in enumerate(bundle_classes):
        mine = [by_word[w] for w in (word(name), *sorted(same_words(name))) if w in by_word]
        free = class_id + 1 if class_id + 1 not in taken else above + class_id + 1
        found[class_id] = mine[0] if mine else free
    return found


def unnamed_classes(bundle_classes: Sequence[str], truth: TruthImages | None) -> list[str]:
    """A line if the ground truth names categories, and none of the bundle's classes is one."""
    known = truth.categories if truth is not None else {}
    words = {w for name in bundle_classes for w in same_words(name)}
    if truth is None or not known or words & {word(name) for name in known}:
        return []
    return [
        f"{truth.path} has the categories {listed(known)}, none of the bundle's classes "
        f"({listed(bundle_classes)})"
    ]


def run_description(
    outcomes: Sequence[Outcome], ids: ImageIds, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """What is known of the frames: which were processed, dropped or unreadable, and how quickly.

    Args:
        outcomes: the frames that were tried.
        ids: theirs.
        summary: of the journal.
    """
    rows = list(zip(outcomes, ids.ids, ids.known, strict=True))
    done = [row for row in rows if not row[0].error]
    dropped = [o for o in outcomes if o.error == DROPPED]
    unreadable = [o for o in outcomes if o.error not in ("", DROPPED)]
    stages = list(dict.fromkeys(stage for o, *_ in done for stage in o.latency_ms))
    return {
        "image_ids": [image_id for _, image_id, _ in done],
        "without_ground_truth": [image_id for _, image_id, known in done if not known],
        "latency_ms": {
            stage: [o.latency_ms[stage] for o, *_ in done if stage in o.latency_ms]
            for stage in stages
        },
        "counts": {
            "frames": len(rows),
            "processed": len(done),
            "unreadable": len(unreadable),
            "dropped": len(dropped),
            "with_ground_truth": sum(known for *_, known in done),
            "detections": sum(len(o.detections) for o, *_ in done),
        },
        "frames": [
            {
                "image_id": image_id,
                "camera": o.camera,
                "index": o.index,
                "file_name": o.name,
                "stamp_ns": o.stamp_ns,
                "width": o.size[0],
                "height": o.size[1],
                **({"blur": o.blur} if o.blur else {}),
            }
            for o, image_id, _ in done
        ],
        "unreadable": [{**_place(o), "reason": o.error} for o in unreadable],
        "dropped": [_place(o) for o in dropped],
        **summary,
    }


def _place(outcome: Outcome) -> dict[str, Any]:
    return {"camera": outcome.camera, "index": outcome.index, "stamp_ns": outcome.stamp_ns}


def write_json(path: Path, value: object) -> None:
    """Write a file as a whole: it is never there half written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def origin(command: str, bundle: str, sha256: str, engine: str) -> dict[str, str]:
    """Where a run's figures come from: command, code, model and machine."""
    return {
        "command": command,
        "version": __version__,
        "commit": commit() or "unknown",
        "bundle": bundle,
        "bundle_sha256": sha256,
        "engine": engine,
        "machine": machine(),
    }
