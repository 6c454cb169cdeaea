"""The report's figures in words: names, units, how they are written, which way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tasksr_ros.evaluation.summary import Comparison, Difference, Interval, Number, Run, Subset

MINUS, TO = "\N{MINUS SIGN}", "\N{EN DASH}"
NONE = TO
"""Stands where there is no figure."""


@dataclass(frozen=True)
class Quantity:
    """One figure of a run.

    Attributes:
        key: its dotted name in the summary, ``log_average_miss_rate.reasonable`` for example.
        name: as a heading.
        meaning: one sentence.
        unit: written behind the number; "%" stands for a share in 0..1.
        digits: behind the point.
        lower_is_better: else higher is.
    """

    key: str
    name: str
    meaning: str
    unit: str
    digits: int
    lower_is_better: bool = False

    def value(self, run: Run) -> Number:
        """The run's figure, None where it is not defined."""
        return cast(Number, self._look_up(run, ""))

    def interval(self, run: Run) -> Interval:
        """Its interval, None where it has none."""
        return cast(Interval, self._look_up(run, "_interval"))

    def why_undefined(self, run: Run) -> str:
        """The reason that the summary gives for a missing figure."""
        place = self.key.partition(".")[0]
        reasons = run["undefined"]
        return reasons.get(self.key) or reasons.get(place) or "not in the summary"

    def written(self, value: Number, *, signed: bool = False) -> str:
        """The number without its unit."""
        if value is None:
            return NONE
        return number(100 * value if self.unit == "%" else value, self.digits, signed=signed)

    def span(self, interval: Interval, *, signed: bool = False) -> str:
        """An interval without its unit, empty where there is none."""
        if interval is None:
            return ""
        low, high = (self.written(end, signed=signed) for end in interval)
        return f"{low} to {high}"

    @property
    def difference_unit(self) -> str:
        """A difference of shares is in percentage points."""
        return "points" if self.unit == "%" else self.unit

    def difference(self, comparison: Comparison) -> Difference | None:
        """The paired difference of a comparison, None where it has none."""
        return comparison["differences"].get(self.key)

    def _look_up(self, run: Run, suffix: str) -> Any:
        place, _, part = self.key.partition(".")
        values: Mapping[str, Any] = run["operating_point"] if place == "recall" else run
        found = values.get(place + suffix)
        return found.get(part) if part and isinstance(found, Mapping) else found


def headline(subset: str, subset_words: str, fppi: float, recall: float) -> list[Quantity]:
    """What the report opens with.

    Args:
        subset: the protocol's headline subset.
        subset_words: what is in it.
        fppi: false positives per image of the operating point.
        recall: that defines the range.
    """
    share = f"{100 * recall:g} %"
    at = f"at {fppi:g} false positives per image"
    return [
        Quantity(
            "range_m", "Range", f"distance to which {share} of the people are found, {at}", "m", 1
        ),
        Quantity(
            "min_height_px",
            "Smallest height",
            f"image height down to which {share} of the people are found, {at}",
            "px",
            1,
            lower_is_better=True,
        ),
        Quantity(
            f"log_average_miss_rate.{subset}",
            "MR⁻²",
            f"log-average miss rate, subset {subset} ({subset_words}); lower is better",
            "%",
            1,
            lower_is_better=True,
        ),
        Quantity("ap.ap50", "AP₅₀", "average precision at IoU 0.5, all sizes", "%", 1),
        Quantity("recall", "Recall", f"share of the people found, {at}", "%", 1),
        Quantity(
            "false_positives_per_hour",
            "False positives",
            "per hour of driving, at the same threshold",
            "/h",
            0,
            lower_is_better=True,
        ),
    ]


def number(value: float, digits: int, *, signed: bool = False) -> str:
    """A number with narrow spaces between thousands, that do not break, and a true minus sign."""
    if not math.isfinite(value):
        return NONE
    rounded = round(value, digits) + 0.0  # no minus before a zero
    text = f"{rounded:+,.{digits}f}" if signed and rounded else f"{rounded:,.{digits}f}"
    return text.replace(",", "\u202f").replace("-", MINUS)


def milliseconds(value: Number) -> str:
    """To a tenth below 100 ms, else whole ones."""
    return NONE if value is None else number(value, 1 if value < 100 else 0)


def percent(value: Number, digits: int = 1) -> str:
    """A share in 0..1 as a percentage without the sign."""
    return NONE if value is None else number(100 * value, digits)


def bin_name(low: Number, high: Number) -> str:
    """``20 to 30`` (with a dash), ``≥ 80``, ``< 20``, ``all``."""
    if high is None:
        return "all" if low is None else f"≥ {low:g}"
    return f"< {high:g}" if low is None else f"{low:g}{TO}{high:g}"


def subset_words(subset: Subset) -> str:
    """Whom a subset counts."""
    height = bin_name(subset.get("min_height"), subset.get("max_height"))
    words = "" if height == "all" else f"height {height} px"
    visible = bin_name(subset.get("min_visibility"), subset.get("max_visibility"))
    if visible != "all":
        words += f"{', ' if words else ''}visible share {visible}"
    return words or "everybody"
