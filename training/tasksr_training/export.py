"""From a training run to a bundle that the deployed package loads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasksr_ros.bundle import DESCRIPTION, load_any_bundle, save_bundle
from tasksr_training.card import detector_card, sr_card
from tasksr_training.checkpoints import (
    FCOS,
    build_network,
    load_checkpoint,
    load_network,
    networks_of,
    sr_section,
)
from tasksr_training.errors import CheckpointError


def export(
    run: Path,
    bundle: Path,
    study: Path,
    row: str,
    scale_factor: int = 0,
    region_size: tuple[int, int] = (320, 96),
    fppi: float = 0.3,
    stages: Sequence[str] = (),
    data: Sequence[str] = (),
    measured_by: str = "tasksr-train study",
    page: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write a bundle with a card.

    Args:
        run: folder of a task-driven run, of a baseline that was trained as one, or of a detector
            run, whose images are upscaled bicubically; or a bundle, for a new card.
        bundle: folder to write; its name is the bundle's.
        study: ``study.json`` of `tasksr-train study`.
        row: the run's row in it; the first table in which this row is the run's, of
            ``scale_factor``, gives the card's figures.
        scale_factor: of that table; 0: any. A detector run is in tables of several.
        region_size: width and height of an engine's region, region px.
        fppi: the score threshold is the one with this many false positives per image in it.
        stages: commands that trained the weights, for the card; none: those of the bundle.
        data: image sets that they were trained on, for the card; none: those of the bundle.
        measured_by: command that wrote the study, for the card.
        page: address of all figures, for the card.
        notes: what else the card should say of the figures.

    Raises:
        CheckpointError: when the run or the study is not there, or not of this row.
    """
    table, threshold = _table(study, row, run, scale_factor, fppi)
    detector, detector_description = load_network(run, "detector")
    if "sr" in networks_of(run):
        sr, sr_description = load_network(run, "sr")
    else:
        sr_description = {"name": "bicubic", "scale_factor": table["scale_factor"]}
        sr = build_network("sr", sr_description)
    description = {
        **_described(bundle, sr_description, recipe_of(run, stages, data)),
        "detector": detector_section(detector_description),
        "classes": ["pedestrian"],
        "region_size": list(region_size),
        "score_threshold": round(threshold, 3),
    }
    text = detector_card(description, table, row, fppi, measured_by, page, notes)
    save_bundle(bundle, description, text, sr=sr, detector=detector)


def export_sr(
    run: Path,
    bundle: Path,
    comparison: Path,
    row: str,
    stages: Sequence[str] = (),
    data: Sequence[str] = (),
    compared_by: str = "tasksr-train compare-sr",
    page: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write a bundle of super-resolution alone with a card.

    Args:
        run: folder of a super-resolution run; or a bundle, for a new card.
        bundle: folder to write; its name is the bundle's.
        comparison: ``compare_sr.json`` of `tasksr-train compare-sr`.
        row: the run's row in it; the first comparison of the run's scale factor with that row
            gives the card's figures.
        stages: commands that trained the weights, for the card; none: those of the bundle.
        data: image sets that they were trained on, for the card; none: those of the bundle.
        compared_by: command that wrote the comparison, for the card.
        page: address of all figures, for the card.
        notes: what else the card should say of the figures.

    Raises:
        CheckpointError: when the run or the comparison is not there or not of this row.
    """
    sr, sr_description = load_network(run, "sr")
    figures = _comparison(comparison, row, int(sr_description["scale_factor"]))
    description = _described(bundle, sr_description, recipe_of(run, stages, data))
    parameters = sum(p.numel() for p in sr.parameters())
    text = sr_card(description, parameters, figures, row, compared_by, page, notes)
    save_bundle(bundle, description, text, sr=sr)


def _described(bundle: Path, sr: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What all bundles have; ``sr`` is what `build_network` takes."""
    return {"name": bundle.name, "sr": sr_section(sr), "recipe": recipe}


def detector_section(description: Mapping[str, Any]) -> dict[str, Any]:
    """The section of a detector; ``description`` is what `build_network` takes."""
    options = {key: value for key, value in description.items() if key != "name"}
    return {"network": description.get("name", FCOS), "options": options}


def recipe_of(run: Path, stages: Sequence[str], data: Sequence[str]) -> dict[str, Any]:
    """How the weights of a run came about; of a bundle what it says, where nothing is given."""
    given = {"stages": list(stages), "data": list(data)}
    if (run / DESCRIPTION).is_file():
        return {**load_any_bundle(run).recipe, **{k: lines for k, lines in given.items() if lines}}
    content = load_checkpoint(run)
    recipe = {
        **given,
        "steps": int(content["step"]),
        "minutes": round(content["seconds"] / 60, 1),
        "licence": "research use",
    }
    return {**recipe, "ran_on": content["ran_on"]} if content.get("ran_on") else recipe


def _comparison(comparison: Path, row: str, scale_factor: int) -> dict[str, Any]:
    """The first comparison of this scale factor that has the row."""
    try:
        comparisons: list[dict[str, Any]] = json.loads(comparison.read_text())["comparisons"]
        for one in comparisons:
            if one["scale_factor"] == scale_factor and row in [r["name"] for r in one["rows"]]:
                return one
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{comparison}: expected a compare_sr.json, got {error}") from error
    raise CheckpointError(f"{comparison}: expected a row {row!r} at x{scale_factor}, got none")


def _table(
    study: Path, row: str, run: Path, scale_factor: int, fppi: float
) -> tuple[dict[str, Any], float]:
    """The first table of a study in which the row is the run's, and the score threshold there."""
    try:
        result: dict[str, Any] = json.loads(study.read_text())
        rows = [(table, r) for table in result["tables"] for r in table["rows"]]
        found = [(table, r) for table, r in rows if r["name"] == row]
        of = [(t, Path(s["detector"]), s["thresholds"]) for t, r in found for s in r["systems"]]
        where = [f"{folder} at x{table['scale_factor']}" for table, folder, _ in of]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{study}: expected a study.json, got {error}") from error
    if not found:
        names = sorted({r["name"] for _, r in rows})
        raise CheckpointError(f"{study}: expected a row {row!r}, got {names}")
    for table, folder, by_set in of:
        if folder.resolve() == run.resolve() and scale_factor in (0, table["scale_factor"]):
            by_fppi = list(by_set.values())[-1]  # of all sets together, where there are several
            if f"{fppi:g}" not in by_fppi:
                raise CheckpointError(f"fppi: expected one of {', '.join(by_fppi)}, got {fppi:g}")
            return table, float(by_fppi[f"{fppi:g}"])
    wanted = f"{run} at x{scale_factor}" if scale_factor else str(run)
    raise CheckpointError(
        f"{study}: expected {row!r} to be of {wanted}, it is of {', '.join(where)}"
    )
