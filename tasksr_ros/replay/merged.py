"""The predictions files of many recordings as one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasksr_ros.errors import RecordingError
from tasksr_ros.replay.run_file import beside, write_json

_SUMS = ("frames", "processed", "unreadable", "dropped", "with_ground_truth", "detections")


def merge_parts(
    parts: Mapping[str, Path],
    failed: Mapping[str, str],
    predictions: Path,
    info: Mapping[str, str],
    ground_truth: Path | None,
) -> dict[str, Any]:
    """Write one predictions file, with its run file, for several recordings.

    Ids that a common ground truth gave stay; all other frames are numbered anew, after the
    largest of those. Ground truth that each part had from its own bag is merged likewise.

    Args:
        parts: predictions file of each finished recording, by name.
        failed: why, for each recording that failed, by name.
        predictions: the file to write.
        info: of the run.
        ground_truth: the common ground truth, if there is one.

    Returns:
        what was written about the run.

    Raises:
        RecordingError: if the common ground truth gave one id to frames of two recordings.
    """
    runs = {name: json.loads(beside(path, ".run.json").read_text()) for name, path in parts.items()}
    own_truth = {
        name: beside(path, ".ground_truth.json")
        for name, path in parts.items()
        if ground_truth is None and runs[name]["ground_truth"]["path"]
    }
    if ground_truth is not None:
        _check_given_once(runs, ground_truth)
    ids = _Ids(_largest(runs) if ground_truth is not None else 0)
    entries: list[dict[str, Any]] = []
    frames: list[dict[str, Any]] = []
    truths: list[dict[str, Any]] = []
    latency_ms: dict[str, list[float]] = {}
    for name, run in runs.items():
        new = ids.of(run, keep=ground_truth is not None)
        if name in own_truth:
            truths.append(_renumbered(json.loads(own_truth[name].read_text()), new, ids, name))
        for entry in json.loads(parts[name].read_text()):
            entries.append({**entry, "image_id": new[entry["image_id"]]})
        frames += [{**f, "image_id": new[f["image_id"]], "recording": name} for f in run["frames"]]
        for stage, values in run["latency_ms"].items():
            latency_ms.setdefault(stage, []).extend(values)
    merged = {
        "name": next((run["name"] for run in runs.values()), "none"),
        "info": dict(info),
        "image_ids": [f["image_id"] for f in frames],
        "without_ground_truth": ids.unknown,
        "latency_ms": latency_ms,
        "counts": {key: sum(run["counts"][key] for run in runs.values()) for key in _SUMS},
        "frames": frames,
        "recordings": list(runs),
        "failed": dict(failed),
        "warnings": [f"{name}: {text}" for name, run in runs.items() for text in run["warnings"]]
        + [f"{name} failed: {reason}" for name, reason in failed.items()],
    }
    if truths:
        write_json(beside(predictions, ".ground_truth.json"), _joined(truths))
    write_json(beside(predictions, ".run.json"), merged)
    write_json(predictions, entries)
    return merged


def _check_given_once(runs: Mapping[str, Mapping[str, Any]], ground_truth: Path) -> None:
    given: dict[Any, str] = {}
    for name, run in runs.items():
        for image_id in set(run["image_ids"]) - set(run["without_ground_truth"]):
            other = given.setdefault(image_id, name)
            if other != name:
                raise RecordingError(
                    f"image {image_id!r} of {ground_truth} may be in {other} or in {name}: "
                    f"expected it in one of them; they are not merged, each has a file of its own"
                )


def _largest(runs: Mapping[str, Mapping[str, Any]]) -> int:
    known = (
        i for run in runs.values() for i in set(run["image_ids"]) - set(run["without_ground_truth"])
    )
    return max((i for i in known if isinstance(i, int)), default=0)


class _Ids:
    """Image ids of the merged file."""

    def __init__(self, largest: int) -> None:
        self._next = largest + 1
        self.unknown: list[int] = []

    def new(self) -> int:
        """The next free id."""
        self._next += 1
        return self._next - 1

    def of(self, run: Mapping[str, Any], *, keep: bool) -> dict[Any, Any]:
        """New id by old one; those of the ground truth stay where it is common to all."""
        unknown = set(run["without_ground_truth"])
        found = {}
        for image_id in run["image_ids"]:
            if keep and image_id not in unknown:
                found[image_id] = image_id
                continue
            found[image_id] = self.new()
            if image_id in unknown:
                self.unknown.append(found[image_id])
        return found


def _renumbered(truth: dict[str, Any], new: dict[Any, Any], ids: _Ids, name: str) -> dict[str, Any]:
    """A part's ground truth with the merged file's ids; images without a frame get new ones."""
    images = []
    for image in truth["images"]:
        if image["id"] not in new:
            new[image["id"]] = ids.new()
        images.append({**image, "id": new[image["id"]], "sequence": name})
    annotations = [{**a, "image_id": new[a["image_id"]]} for a in truth["annotations"]]
    return {**truth, "images": images, "annotations": annotations}


def _joined(truths: Sequence[dict[str, Any]]) -> dict[str, Any]:
    annotations = [a for truth in truths for a in truth["annotations"]]
    return {
        "images": [image for truth in truths for image in truth["images"]],
        "annotations": [{**a, "id": k} for k, a in enumerate(annotations, 1)],
        "categories": truths[0]["categories"],
    }
