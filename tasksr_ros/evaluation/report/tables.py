"""The numbers of a summary as the report's cards and tables want them."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any

from tasksr_ros.evaluation.report.figures import stage_names
from tasksr_ros.evaluation.report.quantities import (
    NONE,
    Quantity,
    bin_name,
    headline,
    milliseconds,
    subset_words,
)
from tasksr_ros.evaluation.summary import Comparison, Run, SequenceRow, Summary


@dataclass(frozen=True)
class Row:
    """A run's line in a card: the number, or None and why in the note; else its interval."""

    value: str | None
    note: str
    prefix: str = ""


@dataclass(frozen=True)
class CardDifference:
    """A paired difference, b - a, in words."""

    a: int
    b: int
    value: str
    unit: str
    span: str
    verdict: str
    better: bool


@dataclass(frozen=True)
class Card:
    """One headline figure of all runs."""

    name: str
    unit: str
    meaning: str
    rows: tuple[Row, ...]
    differences: tuple[CardDifference, ...] = ()


def run_letters(summary: Summary) -> list[str]:
    """A short name for each run: A, B, … then numbers."""
    letters = string.ascii_uppercase
    return [letters[k] if k < len(letters) else str(k + 1) for k in range(len(summary["runs"]))]


def headline_cards(summary: Summary) -> list[Card]:
    """The report's opening: range, MR⁻², AP … and latency, with intervals and differences."""
    cards = [
        Card(
            quantity.name,
            quantity.unit,
            quantity.meaning,
            tuple(_row(quantity, run) for run in summary["runs"]),
            tuple(
                found
                for comparison in summary["comparisons"]
                if (found := _card_difference(quantity, comparison, run_letters(summary)))
            ),
        )
        for quantity in _headline(summary)
    ]
    return [*cards, _latency_card(summary)]


def figure_rows(summary: Summary) -> list[dict[str, Any]]:
    """All figures of all runs, with intervals and differences over images and sequences."""
    rows = []
    for quantity in _all_quantities(summary):
        cells = [
            {
                "value": quantity.written(quantity.value(run)),
                "span": quantity.span(quantity.interval(run)),
                "why": "" if quantity.value(run) is not None else quantity.why_undefined(run),
            }
            for run in summary["runs"]
        ]
        differences = [_row_difference(quantity, found) for found in summary["comparisons"]]
        name = f"{quantity.name}, {quantity.unit}"
        rows.append({"name": name, "cells": cells, "differences": differences})
    return rows


def undefined_reasons(summary: Summary) -> list[tuple[str, str]]:
    """(figure, reason) of what a run or a comparison does not define, each once."""
    names = {quantity.key: quantity.name for quantity in _all_quantities(summary)}
    found: dict[str, str] = {}
    for part in (*summary["runs"], *summary["comparisons"]):
        for key, reason in part["undefined"].items():
            found.setdefault(names.get(key) or key.replace("_", " ").replace(".", ", "), reason)
    return list(found.items())


def sequence_rows(summary: Summary) -> list[dict[str, Any]]:
    """Sequences with each run's figures, None where a run processed none of it."""
    by_run = [{row["sequence"]: row for row in run["by_sequence"]} for run in summary["runs"]]
    names = dict.fromkeys(name for rows in by_run for name in rows)
    return [_sequence_row(name, [rows.get(name) for rows in by_run]) for name in names]


def stage_rows(summary: Summary) -> list[tuple[str, int, dict[str, float | None]]]:
    """(stage, run, percentiles) in the order of the page."""
    names = ("frames", "mean", "p50", "p90", "p95", "p99", "max")
    rows: list[tuple[str, int, dict[str, float | None]]] = []
    for stage in stage_names(summary):
        for k, run in enumerate(summary["runs"]):
            found = _stages(run).get(stage)
            if found is not None:
                rows.append((stage, k, {name: found.get(name) for name in names}))
    return rows


def calibration_rows(summary: Summary) -> list[dict[str, Any]]:
    """Detections and ECE of each run by height; heights without detections are left out."""
    calibrations = [run["calibration"] for run in summary["runs"]]
    by_bin = [[found["all"] for found in calibrations]]
    by_bin += [
        list(row) for row in zip(*(found["by_height"] for found in calibrations), strict=False)
    ]
    return [
        {"height": bin_name(row[0]["low"], row[0]["high"]), "runs": row}
        for row in by_bin
        if any(found["detections"] for found in row)
    ]


def _headline(summary: Summary) -> list[Quantity]:
    protocol, settings = summary["protocol"], summary["settings"]
    subset = protocol["headline"]
    words = subset_words(protocol["subsets"][subset])
    return headline(subset, words, settings["fppi"], settings["recall"])


def _all_quantities(summary: Summary) -> list[Quantity]:
    """The headline's, then every subset and every AP that it does not have."""
    shown = _headline(summary)
    known = {quantity.key for quantity in shown}
    more = [
        Quantity(f"log_average_miss_rate.{name}", f"MR⁻² {name}", "", "%", 1, True)
        for name in summary["protocol"]["subsets"]
    ]
    names = {"ap": "AP₅₀₋₉₅", "ap50": "AP₅₀", "ap30": "AP₃₀", "ap_small": "AP small"}
    more += [Quantity(f"ap.{name}", words, "", "%", 1) for name, words in names.items()]
    kitti = summary["runs"][0]["kitti_ap"] or {}
    more += [Quantity(f"kitti_ap.{name}", f"KITTI AP {name}", "", "%", 1) for name in kitti]
    return [*shown, *(quantity for quantity in more if quantity.key not in known)]


def _row(quantity: Quantity, run: Run) -> Row:
    value = quantity.value(run)
    if value is None:
        return Row(None, f"not defined: {quantity.why_undefined(run)}")
    limited = bool(run.get(f"{quantity.key}_is_limit"))
    sign = "≤\u202f" if quantity.lower_is_better else "≥\u202f"
    return Row(quantity.written(value), quantity.span(quantity.interval(run)), sign * limited)


def _card_difference(
    quantity: Quantity, comparison: Comparison, letters: list[str]
) -> CardDifference | None:
    found = quantity.difference(comparison)
    if found is None or found["difference"] is None:
        return None
    intervals = [i for i in (found["interval_images"], found["interval_sequences"]) if i]
    widest = max(intervals, key=lambda ends: ends[1] - ends[0], default=None)
    a, b = comparison["a"], comparison["b"]
    better = found["better"]
    verdict = f"{letters[a if better == 'a' else b]} is better" if better else "no difference shown"
    return CardDifference(
        a,
        b,
        quantity.written(found["difference"], signed=True),
        quantity.difference_unit,
        quantity.span(widest, signed=True),
        verdict,
        better is not None,
    )


def _row_difference(quantity: Quantity, comparison: Comparison) -> dict[str, str]:
    found = quantity.difference(comparison)
    if found is None:
        return {"value": NONE, "span_images": "", "span_sequences": ""}
    return {
        "value": quantity.written(found["difference"], signed=True),
        "span_images": quantity.span(found["interval_images"], signed=True),
        "span_sequences": quantity.span(found["interval_sequences"], signed=True),
    }


def _latency_card(summary: Summary) -> Card:
    rows = []
    for run in summary["runs"]:
        total = _stages(run).get("total")
        if total is None:
            rows.append(Row(None, "not measured: no times beside the predictions"))
        else:
            note = f"p95 {milliseconds(total['p95'])}, p99 {milliseconds(total['p99'])}"
            rows.append(Row(milliseconds(total["p50"]), note))
    return Card("Latency", "ms", "median time per frame, all stages", tuple(rows))


def _stages(run: Run) -> dict[str, dict[str, float]]:
    return run["latency"]["stages"] if run["latency"] else {}


def _sequence_row(name: str, rows: list[SequenceRow | None]) -> dict[str, Any]:
    first = next(row for row in rows if row is not None)
    return {
        "sequence": name,
        "images": first["images"],
        "pedestrians": first["pedestrians"],
        "runs": rows,
    }
