"""`tasksr evaluate`: ground truth and predictions files -> `Summary`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tasksr_ros import __version__
from tasksr_ros.config import EvaluationConfig
from tasksr_ros.errors import EvaluationError
from tasksr_ros.evaluation.comparison import compare
from tasksr_ros.evaluation.ground_truth import GroundTruth, read_ground_truth
from tasksr_ros.evaluation.matching import Floats, Rule
from tasksr_ros.evaluation.predictions import Predictions, read_predictions
from tasksr_ros.evaluation.protocols import Protocol, get_protocol
from tasksr_ros.evaluation.provenance import commit, machine
from tasksr_ros.evaluation.run_figures import run_figures
from tasksr_ros.evaluation.run_statistics import RunStatistics, recorded_hours
from tasksr_ros.evaluation.summary import SCHEMA, Comparison, GroundTruthInfo, Summary
from tasksr_ros.evaluation.summary import Protocol as ProtocolInfo


@dataclass(frozen=True, eq=False)
class _Measured:
    """A run with its samples over images."""

    run: RunStatistics
    samples: Floats

    @classmethod
    def of(cls, run: RunStatistics) -> _Measured:
        return cls(run, run.samples())


def evaluate(
    ground_truth: Path,
    predictions: Sequence[Path],
    config: EvaluationConfig,
    command: str | None = None,
) -> Summary:
    """Evaluate one or more predictions files; each further one is compared with the first.

    Args:
        ground_truth: COCO JSON.
        predictions: COCO results JSON.
        config: what to measure.
        command: that asked for it, to be written down.

    Raises:
        EvaluationError: when a file cannot be evaluated; what can be left out of a file is
            counted in ``problems`` instead.
    """
    if not predictions:
        raise EvaluationError("expected at least one predictions file, got none")
    protocol = get_protocol(config.protocol)
    if config.iou > 0:
        protocol = replace(protocol, rule=Rule(config.iou, protocol.rule.strict))
    truth = read_ground_truth(ground_truth, config.category)
    found = _distinct([read_predictions(path, truth) for path in predictions])
    truth = truth.with_stamps({i: stamp for f in found for i, stamp in f.stamps.items()})
    measured = [_Measured.of(_run(truth, f, protocol, config)) for f in found]
    runs = [run_figures(m.run, m.samples) for m in measured]
    first = runs[0]
    return {
        "schema": SCHEMA,
        "created": _created(command),
        "protocol": _protocol_info(protocol),
        "settings": {
            "fppi": config.fppi,
            "recall": config.recall,
            "confidence": config.confidence,
            "samples": config.samples,
            "seed": config.seed,
        },
        "ground_truth": _truth_info(truth, config),
        "runs": runs,
        "comparisons": [
            _comparison(truth, measured[0], measured[k], k) for k in range(1, len(measured))
        ],
        "log_average_miss_rate": first["log_average_miss_rate"],
        "log_average_miss_rate_interval": first["log_average_miss_rate_interval"],
        "ap": first["ap"],
        "ap_interval": first["ap_interval"],
        "recall_by_height": first["recall_by_height"],
        "recall_by_distance": first["recall_by_distance"],
        "range_m": first["range_m"],
        "range_m_interval": first["range_m_interval"],
        "undefined": first["undefined"],
    }


def write_json(summary: Summary, path: Path) -> None:
    """Write the summary, without NaN or infinity."""
    path.write_text(json.dumps(summary, indent=1, allow_nan=False), encoding="utf-8")


def _run(
    truth: GroundTruth, found: Predictions, protocol: Protocol, config: EvaluationConfig
) -> RunStatistics:
    part = truth if found.image_ids is None else truth.restrict(found.image_ids)
    return RunStatistics.of(part, found.restrict(truth, part), protocol, config)


def _comparison(truth: GroundTruth, a: _Measured, b: _Measured, index: int) -> Comparison:
    """Over the images that both runs processed."""
    ids_a, ids_b = a.run.case.truth.image_ids, b.run.case.truth.image_ids
    if ids_a != ids_b:
        common = set(ids_a) & set(ids_b)
        if not common:
            raise EvaluationError(
                f"{a.run.case.predictions.path} and {b.run.case.predictions.path} "
                "have no processed image in common"
            )
        a, b = (_restricted(truth, m, list(common)) for m in (a, b))
    return compare(a.run, b.run, a.samples, b.samples, (0, index))


def _restricted(truth: GroundTruth, measured: _Measured, ids: list[int | str]) -> _Measured:
    run = measured.run
    own = truth.restrict(run.case.truth.image_ids)
    part = own.restrict(ids)
    found = run.case.predictions.restrict(own, part)
    return _Measured.of(RunStatistics.of(part, found, run.case.protocol, run.config))


def _distinct(found: list[Predictions]) -> list[Predictions]:
    """Runs of the same name get their file's behind it; else their folder's before, or a number."""
    choices = (
        [f.name for f in found],
        [f"{f.name} ({f.path.stem})" for f in found],
        [f"{f.path.resolve().parent.name}/{f.name}" for f in found],
        [f"{f.path.resolve().parent.name}/{f.name} ({k})" for k, f in enumerate(found, 1)],
    )
    names = next(names for names in choices if len(set(names)) == len(names))
    return [replace(f, name=name) for f, name in zip(found, names, strict=True)]


def _created(command: str | None) -> dict[str, Any]:
    return {
        "command": command,
        "version": __version__,
        "commit": commit(),
        "machine": machine(),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _protocol_info(protocol: Protocol) -> ProtocolInfo:
    def limit(value: float) -> float | None:
        return value if 0 < value < math.inf else None

    return {
        "name": protocol.name,
        "headline": protocol.headline,
        "match": "centre" if protocol.rule.iou is None else "iou",
        "iou": protocol.rule.iou,
        "subsets": {
            name: {
                "min_height": limit(s.height[0]),
                "max_height": limit(s.height[1]),
                "min_visibility": limit(s.visibility[0]),
                "max_visibility": limit(s.visibility[1]),
            }
            for name, s in protocol.subsets.items()
        },
    }


def _truth_info(truth: GroundTruth, config: EvaluationConfig) -> GroundTruthInfo:
    hours = recorded_hours(truth, config.frame_rate)
    people = truth.without_neighbours()
    sequences = truth.sequences()
    tracks = {(sequences[int(i)], t) for i, t in zip(people.image, people.track, strict=True) if t}
    return {
        "path": str(truth.path),
        "sha256": truth.sha256,
        "images": truth.num_images,
        "pedestrians": int((~people.ignore).sum()),
        "ignored": int(people.ignore.sum()),
        "sequences": len({s for s in sequences if s is not None}),
        "tracks": len(tracks),
        "duration_s": None if hours is None else hours * 3600,
        "has_distance": bool((people.distance == people.distance).any()),
        "has_visibility": truth.has_visibility,
        "problems": truth.problems,
    }
