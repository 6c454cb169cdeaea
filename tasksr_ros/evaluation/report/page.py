"""The page: the template filled with the figures, tables and pictures of a summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from tasksr_ros.evaluation.report import figures
from tasksr_ros.evaluation.report.crops import SuperResolve
from tasksr_ros.evaluation.report.gallery import gallery_groups
from tasksr_ros.evaluation.report.plots import MAX_SERIES
from tasksr_ros.evaluation.report.quantities import (
    NONE,
    milliseconds,
    number,
    percent,
    subset_words,
)
from tasksr_ros.evaluation.report.tables import (
    calibration_rows,
    figure_rows,
    headline_cards,
    run_letters,
    sequence_rows,
    stage_rows,
    undefined_reasons,
)
from tasksr_ros.evaluation.summary import Summary

_TEMPLATE = Path(__file__).resolve().parent / "template"
_MOST_TRACKS = 200
"""Rows of the page's table; the JSON has all."""
_SECTIONS = (
    ("curves", "Curves"),
    ("range", "How far, how small"),
    ("figures", "All figures"),
    ("sequences", "By sequence"),
    ("calibration", "Calibration"),
    ("latency", "Latency"),
    ("gallery", "Gallery"),
    ("method", "What was counted, and how"),
)


def write_report(
    summary: Summary,
    path: Path,
    images: Path | None = None,
    super_resolve: SuperResolve | None = None,
) -> None:
    """Write the report.

    Args:
        summary: what `tasksr evaluate` writes as JSON; at least one run.
        path: of the HTML file; its folder must exist.
        images: for the gallery: the folder that ``file_name`` starts from, or a recording whose
            stamps are the ground truth's. What is not there is named on the page.
        super_resolve: (H, W, 3) uint8 RGB -> (H·s, W·s, 3) uint8 RGB, for the gallery; see
            `super_resolver`.

    Raises:
        OSError: if the file cannot be written.
    """
    path.write_text(render(summary, images, super_resolve), encoding="utf-8")


def render(
    summary: Summary, images: Path | None = None, super_resolve: SuperResolve | None = None
) -> str:
    """The page as text; see `write_report`."""
    template = _environment().get_template("report.html")
    page = template.render(_context(summary, images, super_resolve))
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "measure": lambda value, digits: NONE if value is None else number(value, digits),
        "milliseconds": milliseconds,
        "count_of": _count_of,
        "day_and_time": lambda text: str(text or "time unknown")[:16].replace("T", " "),
        "words": lambda text: str(text).replace("_", " "),
        "subset_words": subset_words,
    }
    return environment


def _context(
    summary: Summary, images: Path | None, super_resolve: SuperResolve | None
) -> dict[str, Any]:
    runs, comparisons, truth = summary["runs"], summary["comparisons"], summary["ground_truth"]
    protocol = summary["protocol"]
    place = Path(truth["path"]).with_suffix("")
    letters = run_letters(summary)
    with_distance = comparisons if truth["has_distance"] else []
    others = [name for name in protocol["subsets"] if name != protocol["headline"]]
    return {
        "title": f"Pedestrian detection on {'/'.join(place.parts[-2:])}",
        "s": summary,
        "truth": truth,
        "runs": runs,
        "comparisons": comparisons,
        "letters": letters,
        "max_series": MAX_SERIES,
        "confidence": f"{100 * summary['settings']['confidence']:g} %",
        "sections": _SECTIONS,
        "cards": headline_cards(summary),
        "curves": [
            figures.miss_rate(summary, protocol["headline"]),
            figures.precision_recall(summary, "0.5"),
        ],
        "more_curves": [
            *(figures.miss_rate(summary, name) for name in others),
            figures.precision_recall(summary, "0.3"),
        ],
        "recalls": [
            figures.recall_by_height(summary),
            *(figures.difference_by_height(summary, c, letters) for c in comparisons),
            figures.recall_by_distance(summary),
            *(figures.difference_by_distance(summary, c, letters) for c in with_distance),
        ],
        "most_tracks": _MOST_TRACKS,
        "has_tracks": any(run["tracks"] for run in runs),
        "table": figure_rows(summary),
        "reasons": undefined_reasons(summary),
        "matches": [
            (k, rule)
            for rules in zip(*(run["at_match"] for run in runs), strict=True)
            for k, rule in enumerate(rules)
        ],
        "sequences": sequence_rows(summary),
        "reliability": figures.reliability(summary, letters),
        "least_detections": figures.LEAST_DETECTIONS,
        "calibration": calibration_rows(summary),
        "latency": figures.latency(summary),
        "stages": stage_rows(summary),
        "gallery": gallery_groups(summary, letters, images, super_resolve),
        "has_sr": super_resolve is not None,
        "changes": [c for c in comparisons if c["by_image"]],
    }


def _count_of(count: int, noun: str) -> str:
    return f"{number(count, 0)} {noun}{'' if count == 1 else 's'}"
