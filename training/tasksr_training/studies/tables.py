"""Compare the rows of a table: figures, differences with paired intervals, shares of the gap."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasksr_ros.evaluation.bootstrap import interval, sample
from tasksr_ros.evaluation.ground_truth import GroundTruth, read_ground_truth
from tasksr_ros.evaluation.ids import checked_id
from tasksr_ros.evaluation.matching import Floats
from tasksr_ros.evaluation.predictions import read_predictions
from tasksr_training.costs import NetworkCost
from tasksr_training.studies.config import RowConfig, TableConfig
from tasksr_training.studies.figures import DETECTION, FPPI, NAMES, Figures, reach_recall
from tasksr_training.studies.measure import ALL, ImageSet, new_ids, set_file
from tasksr_training.studies.systems import Parts

CONFIDENCE = 0.95
THRESHOLD_FPPI = (*FPPI, 0.3)
"""False positives per image for which the score threshold is kept."""


@dataclass(frozen=True)
class MeasuredSystem:
    """One system of a row.

    Attributes:
        parts: the runs it is made of.
        label: of its predictions.
        image_label: of the quality of what its detector sees.
    """

    parts: Parts
    label: str
    image_label: str


@dataclass(frozen=True)
class MeasuredRow:
    """A row whose files are written.

    Attributes:
        config: of the row.
        systems: one per seed.
        cost: of the first.
    """

    config: RowConfig
    systems: list[MeasuredSystem]
    cost: NetworkCost


@dataclass(frozen=True)
class Values:
    """A row on a set.

    Attributes:
        seeds: (R, K) figures of each system.
        samples: (S, K) figures of drawn sets of images, the mean of the systems.
        figures: of each system.
    """

    seeds: Floats
    samples: Floats
    figures: list[Figures]

    @property
    def mean(self) -> Floats:
        """(K,) of the row."""
        return np.asarray(self.seeds.mean(0))


def compare_rows(
    table: TableConfig,
    rows: Sequence[MeasuredRow],
    sets: Sequence[ImageSet],
    names: Sequence[str],
    out: Path,
    samples: int,
) -> dict[str, Any]:
    """Evaluate the files of a table's rows.

    Args:
        table: what is compared.
        rows: in its order.
        sets: whose files there are.
        names: of the sets, and ``all`` if there are several.
        out: folder of the study.
        samples: sets of images drawn for the intervals.

    Returns:
        The table as ``study.json`` has it.
    """
    result: dict[str, Any] = {
        "title": table.title,
        "scale_factor": table.scale_factor,
        "baseline": table.baseline,
        "bound": table.bound or None,
        "rows": [_row(row) for row in rows],
        "subject": table.subject or None,
        "rivals": {},
        "pedestrians": {},
        "reach_recall": {},
    }
    for name in names:
        values, reach = _values(table, rows, sets, name, out, samples)
        first = values[rows[0].config.name].figures[0]
        result["pedestrians"][name] = {
            "images": first.everyone.num_images,
            **first.pedestrians(),
        }
        result["reach_recall"][name] = None if reach is None else number(reach)
        result["rivals"][name] = {
            rival: figures_of(values[table.subject], values[rival], None) for rival in table.rivals
        }
        for entry in result["rows"]:
            mine = values[entry["name"]]
            entry["sets"][name] = figures_of(
                mine, values[table.baseline], values[table.bound] if table.bound else None
            )
            for system, figures in zip(entry["systems"], mine.figures, strict=True):
                system["thresholds"][name] = {
                    f"{f:g}": figures.threshold(f) for f in THRESHOLD_FPPI
                }
    return result


def _row(row: MeasuredRow) -> dict[str, Any]:
    systems: list[dict[str, Any]] = [
        {
            "detector": str(s.parts.detector.folder),
            "sr": str(s.parts.sr.folder) if s.parts.sr else None,
            "seed": s.parts.detector.seed,
            "predictions": f"predictions/{s.label}",
            "thresholds": {},
        }
        for s in row.systems
    ]
    return {
        "name": row.config.name,
        "upscaling": row.config.upscaling,
        "curve": row.config.curve,
        "cost": asdict(row.cost),
        "systems": systems,
        "sets": {},
    }


def _values(
    table: TableConfig,
    rows: Sequence[MeasuredRow],
    sets: Sequence[ImageSet],
    name: str,
    out: Path,
    samples: int,
) -> tuple[dict[str, Values], float | None]:
    """Each row's values on a set, and the recall that least heights refer to."""
    truth = read_ground_truth(set_file(out / "ground_truth", name))

    def figures(system: MeasuredSystem, scale_factor: int, reach: float | None) -> Figures:
        found = read_predictions(set_file(out / "predictions" / system.label, name), truth)
        quality = _quality(system.image_label, sets, name, out)
        return Figures(truth, found, quality, scale_factor, reach)

    reach = None
    for row in rows:
        if row.config.name == table.bound:
            reach = reach_recall(figures(row.systems[0], table.scale_factor, None))
    return {
        row.config.name: _sampled(
            [figures(s, table.scale_factor, reach) for s in row.systems], truth, samples
        )
        for row in rows
    }, reach


def _sampled(figures: list[Figures], truth: GroundTruth, samples: int) -> Values:
    """The same sets of images are drawn for every row: the intervals are paired."""
    units = np.arange(truth.num_images)
    drawn = [sample(f.vector, units, samples, seed=0) for f in figures]
    return Values(np.array([f.whole() for f in figures]), np.mean(drawn, axis=0), figures)


def _quality(
    label: str, sets: Sequence[ImageSet], name: str, out: Path
) -> dict[str, dict[str, float]]:
    """Values by image id of the set; empty where there are none."""
    folder = out / "quality" / label
    if not folder.is_dir():
        return {}
    if name != ALL:
        values: dict[str, dict[str, float]] = json.loads(set_file(folder, name).read_text())[
            "images"
        ]
        return values
    numbers = new_ids(sets)
    return {
        str(numbers[one.name, checked_id(image_id) or 0]): values
        for one in sets
        for image_id, values in json.loads(set_file(folder, one.name).read_text())["images"].items()
    }


def figures_of(mine: Values, baseline: Values, bound: Values | None) -> dict[str, Any]:
    """A row's figures on a set, by name.

    Each has ``value``; per seed ``seeds`` and, for several, their standard deviation ``spread``;
    ``difference`` from the baseline with its ``interval``; of detection, ``share`` of the gap
    between baseline and bound that is closed, with ``share_interval``. None: not defined.
    ``more_range``: by how much farther than the baseline the recall holds, from ``least_height``.
    """
    result: dict[str, Any] = {}
    itself = mine is baseline
    for k, name in enumerate(NAMES):
        seeds = mine.seeds[:, k]
        entry: dict[str, Any] = {
            "value": number(mine.mean[k]),
            "seeds": [number(v) for v in seeds],
            "spread": number(seeds.std(ddof=1)) if _spreads(seeds) else None,
        }
        if not itself:
            entry |= _difference(mine, baseline, k)
        if bound is not None and name in DETECTION and not itself and mine is not bound:
            entry |= gap_share(mine, baseline, bound, k)
        result[name] = entry
    if not itself:
        result["more_range"] = _more_range(mine, baseline)
    return result


def _spreads(seeds: Floats) -> bool:
    return len(seeds) > 1 and bool(np.isfinite(seeds).all())


def _difference(mine: Values, baseline: Values, k: int) -> dict[str, Any]:
    own, other = float(mine.mean[k]), float(baseline.mean[k])
    if not (math.isfinite(own) and math.isfinite(other)):
        return {"difference": None, "interval": None}
    with np.errstate(invalid="ignore"):  # a least height may be infinite in some samples
        samples = mine.samples[:, k] - baseline.samples[:, k]
    return {"difference": own - other, "interval": interval(samples, CONFIDENCE)}


def gap_share(mine: Values, baseline: Values, bound: Values, k: int) -> dict[str, Any]:
    """How much of the way from the baseline to the bound a row has come.

    Not defined where the bound is no better; without an interval where the gap's own interval
    holds 0: the share of a gap that may not be there says nothing.
    """
    gap = bound.mean[k] - baseline.mean[k]
    sign = -1.0 if NAMES[k].startswith("miss_rate") else 1.0
    if not (math.isfinite(gap) and sign * gap > 0):
        return {"share": None, "share_interval": None}
    gaps = sign * (bound.samples[:, k] - baseline.samples[:, k])
    steps = sign * (mine.samples[:, k] - baseline.samples[:, k])
    limits = interval(gaps, CONFIDENCE)
    shares = np.divide(steps, gaps, out=np.full(len(gaps), np.nan), where=gaps > 0)
    return {
        "share": number((mine.mean[k] - baseline.mean[k]) / gap),
        "share_interval": interval(shares, CONFIDENCE) if limits and limits[0] > 0 else None,
    }


def _more_range(mine: Values, baseline: Values) -> dict[str, Any]:
    k = NAMES.index("least_height")
    own, other = mine.mean[k], baseline.mean[k]
    if not (math.isfinite(own) and math.isfinite(other)):
        return {"value": None, "interval": None}
    with np.errstate(invalid="ignore"):
        samples = baseline.samples[:, k] / mine.samples[:, k] - 1
    return {"value": number(other / own - 1), "interval": interval(samples, CONFIDENCE)}


def number(value: float) -> float | None:
    """The value, None where it is not finite."""
    return float(value) if math.isfinite(value) else None
