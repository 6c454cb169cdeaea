"""From a training run to a bundle that the deployed package loads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasksr_ros.bundle import DESCRIPTION, load_any_bundle, save_bundle
from tasksr_ros.networks.tdsr import TDSR
from tasksr_training import compare_sr_report
from tasksr_training.checkpoints import build_network, load_checkpoint, load_network, networks_of
from tasksr_training.errors import CheckpointError
from tasksr_training.study.measure import ALL
from tasksr_training.study.report import notes as notes_of
from tasksr_training.study.report import table_markdown


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
    notes: Sequence[str] = (),
) -> None:
    """Write a bundle with a card.

    Args:
        run: folder of a task-driven run, of a baseline that was trained as one, or of a detector
            run, whose images are upscaled bicubically; or a bundle, for a new card.
        bundle: folder to write; its name is the bundle's.
        study: ``study.json`` of `tasksr-train study`.
        row: the run's row in it; the first table in which this row is the run's, of
            ``scale_factor``, goes into the card.
        scale_factor: of that table; 0: any. A detector run is in tables of several.
        region_size: width and height of an engine's region, region px.
        fppi: the score threshold is the one with this many false positives per image in it.
        stages: commands that trained the weights, for the card; none: those of the bundle.
        data: image sets that they were trained on, for the card; none: those of the bundle.
        measured_by: command that wrote the study, for the card.
        notes: what else the card should say of the figures.

    Raises:
        CheckpointError: when the run or the study is not there, or not of this row.
    """
    result, threshold = _read(study, row, run, scale_factor, fppi)
    detector, detector_description = load_network(run, "detector")
    if "sr" in networks_of(run):
        sr, sr_description = load_network(run, "sr")
    else:
        sr_description = {"name": "bicubic", "scale_factor": result["tables"][0]["scale_factor"]}
        sr = build_network("sr", sr_description)
    description = {
        "name": bundle.name,
        "sr": sr_description["name"],
        "detector_width": float(detector_description["width"]),
        "scale_factor": int(sr_description["scale_factor"]),
        "classes": ["pedestrian"],
        "region_size": list(region_size),
        "score_threshold": round(float(threshold), 3),
        "recipe": _recipe(run, stages, data),
    }
    text = card(description, result, row, fppi, measured_by, notes)
    save_bundle(bundle, TDSR(sr, detector).eval(), description, text)


def export_sr(
    run: Path,
    bundle: Path,
    comparison: Path,
    row: str,
    stages: Sequence[str] = (),
    data: Sequence[str] = (),
    compared_by: str = "tasksr-train compare-sr",
    notes: Sequence[str] = (),
) -> None:
    """Write a bundle of super-resolution alone with a card.

    Args:
        run: folder of a super-resolution run.
        bundle: folder to write; its name is the bundle's.
        comparison: ``compare_sr.json`` of `tasksr-train compare-sr`.
        row: the run's row in it; its tables of the run's scale factor go into the card.
        stages: commands that trained the weights, for the card.
        data: image sets that they were trained on, for the card.
        compared_by: command that wrote the comparison, for the card.
        notes: what else the card should say of the figures.

    Raises:
        CheckpointError: when the run or the comparison is not there or not of this row.
    """
    sr, sr_description = load_network(run, "sr")
    scale_factor = int(sr_description.pop("scale_factor"))
    name = sr_description.pop("name")
    tables = _tables(comparison, row, scale_factor)
    description = {
        "name": bundle.name,
        "sr": name,
        "scale_factor": scale_factor,
        **({"sr_options": sr_description} if sr_description else {}),
        "recipe": _recipe(run, stages, data),
    }
    options = "".join(f", {key} {value}" for key, value in sr_description.items())
    text = f"""# {bundle.name}

Super-resolution `{name}` x{scale_factor}{options} alone, trained for the distance to the HR
image; {sum(p.numel() for p in sr.parameters()):,} parameters, `weights.safetensors`, float32.
`tasksr_ros.bundle.load_any_bundle("{bundle.name}").load_sr()` gives the network.

{_provenance(description["recipe"])}

## Measured

By `{compared_by}`; its row is {row}.

{tables}

{_items(notes) if notes else ""}
"""
    save_bundle(bundle, sr.eval(), description, text.rstrip() + "\n")


def _tables(comparison: Path, row: str, scale_factor: int) -> str:
    try:
        result = json.loads(comparison.read_text())
        mine = [
            c
            for c in result["comparisons"]
            if c["scale_factor"] == scale_factor and row in [r["name"] for r in c["rows"]]
        ]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{comparison}: expected a compare_sr.json, got {error}") from error
    if not mine:
        raise CheckpointError(f"{comparison}: expected a row {row!r} at x{scale_factor}, got none")
    return compare_sr_report.markdown({**result, "comparisons": mine})


def _recipe(run: Path, stages: Sequence[str], data: Sequence[str]) -> dict[str, Any]:
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


def _read(
    study: Path, row: str, run: Path, scale_factor: int, fppi: float
) -> tuple[dict[str, Any], float]:
    """The study with the run's table alone, and the score threshold there."""
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
            by_fppi = by_set[ALL] if ALL in by_set else next(iter(by_set.values()))
            if f"{fppi:g}" not in by_fppi:
                raise CheckpointError(f"fppi: expected one of {', '.join(by_fppi)}, got {fppi:g}")
            return {**result, "tables": [table]}, float(by_fppi[f"{fppi:g}"])
    wanted = f"{run} at x{scale_factor}" if scale_factor else str(run)
    raise CheckpointError(
        f"{study}: expected {row!r} to be of {wanted}, it is of {', '.join(where)}"
    )


def card(
    description: Mapping[str, Any],
    result: Mapping[str, Any],
    row: str,
    fppi: float,
    measured_by: str,
    notes: Sequence[str],
) -> str:
    """The bundle's README.md."""
    recipe = description["recipe"]
    table = result["tables"][0]
    width, height = description["region_size"]
    text = f"""# {description["name"]}

Super-resolution `{description["sr"]}` x{description["scale_factor"]} and a pedestrian detector
of width {description["detector_width"]:g} in series. Input: RGB regions of {width}x{height} px;
output: boxes of pedestrians. Weights: `weights.safetensors`, float32.

{_provenance(recipe)}
The score threshold
{description["score_threshold"]:g} is the one with {fppi:g} false positives per whole image
on the images below.

## Measured

HR images reduced bicubically (antialiased) by {table["scale_factor"]}, whole images, none of them
trained on; by `{measured_by}`. The row of these weights is "{row}".

{table_markdown(table)}

{notes_of(result)}

{_items(notes) if notes else ""}
"""
    return text.rstrip() + "\n"


def _provenance(recipe: Mapping[str, Any]) -> str:
    """Licence, data and recipe, as every card has them."""
    return f"""**Licence: research use.** The weights were trained on image sets whose terms allow
research only.

## Data

{_items(recipe["data"])}

## Recipe

{_items([f"`{stage}`" for stage in recipe["stages"]])}

The last stage ran {recipe["steps"]} steps in {recipe["minutes"]:g} minutes{_ran_on(recipe)}.
The weights are their exponential moving average."""


def _ran_on(recipe: Mapping[str, Any]) -> str:
    """Devices and precision of the last stage; nothing where its checkpoint does not tell."""
    if "ran_on" not in recipe:
        return ""
    on = recipe["ran_on"]
    return (
        f" on {on['devices']} x {on['device']} "
        f"(CPU threads: {on['threads']}, precision: {on['precision']})"
    )


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "- not stated"
