"""Which examples the gallery shows, in which groups, and what it says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasksr_ros.evaluation.report.crops import Crop, Picture, SuperResolve, make_crops
from tasksr_ros.evaluation.report.quantities import number
from tasksr_ros.evaluation.summary import Example, Summary

MOST_EXAMPLES = 9
"""Of a group: enough to see a pattern, few enough for a page of a megabyte or two."""

_LONG_NAME = 30
"""Characters of a file's name from which its middle is left out; the page holds it as a hint."""


@dataclass(frozen=True)
class Entry:
    """One example: its pictures, or why it has none; what it is, where, and its image's path."""

    pictures: tuple[Picture, ...]
    missing: str
    words: str
    place: str
    file: str


@dataclass(frozen=True)
class Group:
    """A heading and its examples.

    Attributes:
        title: what they have in common.
        run: whose errors they are, None in a comparison.
        total: examples that the summary has; the group shows the first ``MOST_EXAMPLES``.
        entries: the examples.
        missing: why there are none.
    """

    title: str
    run: int | None
    total: int
    entries: tuple[Entry, ...]
    missing: str


@dataclass(frozen=True)
class _Plan:
    title: str
    run: int | None
    examples: Sequence[Example]
    missing: str
    pair: tuple[str, str] = ("", "")


def gallery_groups(
    summary: Summary,
    letters: Sequence[str],
    images: Path | None,
    super_resolve: SuperResolve | None,
) -> list[Group]:
    """The gallery in the order of the page: comparisons first, then each run's own errors."""
    plans = [*_comparisons(summary, letters), *_runs(summary)]
    shown = [(plan, example) for plan in plans for example in plan.examples[:MOST_EXAMPLES]]
    crops = make_crops([example for _, example in shown], images, super_resolve)
    entries = [
        (plan, _entry(plan, example, crop))
        for (plan, example), crop in zip(shown, crops, strict=True)
    ]
    return [
        Group(
            plan.title,
            plan.run,
            len(plan.examples),
            tuple(entry for owner, entry in entries if owner is plan),
            plan.missing,
        )
        for plan in plans
    ]


def _comparisons(summary: Summary, letters: Sequence[str]) -> list[_Plan]:
    plans = []
    for found in summary["comparisons"]:
        a, b = pair = letters[found["a"]], letters[found["b"]]
        plans += [
            _Plan(f"Lost: found by {a}, not by {b}", None, found["losses"], "no losses", pair),
            _Plan(f"Gained: found by {b}, not by {a}", None, found["gains"], "no gains", pair),
        ]
    return plans


def _runs(summary: Summary) -> list[_Plan]:
    plans = []
    for k, run in enumerate(summary["runs"]):
        false, missed = run["gallery"]["false_positives"], run["gallery"]["misses"]
        plans += [
            _Plan("False positives, highest score first", k, false, "no false positives"),
            _Plan("Misses, tallest first", k, missed, "nobody was missed"),
        ]
    return plans


def _entry(plan: _Plan, example: Example, crop: Crop) -> Entry:
    words = _words(example, plan.pair)
    return Entry(crop.pictures, crop.missing, words, _place(example), example["file_name"] or "")


def _words(example: Example, pair: tuple[str, str]) -> str:
    size = f"{number(example['height'], 0)} px"
    if example["distance_m"] is not None:
        size += f", {number(example['distance_m'], 1)} m"
    if example["outcome"] in ("gain", "loss"):
        found, by = (
            (example["score_b"], pair[1])
            if example["outcome"] == "gain"
            else (example["score_a"], pair[0])
        )
        return size if found is None else f"{by} scores {number(found, 2)} · {size}"
    if example["score"] is None:
        return f"nothing detected there · {size}"
    best = "best score there" if example["outcome"] == "miss" else "score"
    return f"{best} {number(example['score'], 2)} · {size}"


def _place(example: Example) -> str:
    name = PurePosixPath(example["file_name"] or "").name or f"image {example['image_id']}"
    if len(name) > _LONG_NAME:
        name = f"{name[: _LONG_NAME // 2]}…{name[-_LONG_NAME // 2 :]}"
    return f"{example['sequence']} · {name}" if example["sequence"] else name
