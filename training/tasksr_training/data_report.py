"""The report of a data check: text for the terminal, a picture, and JSON."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_training.data_check import FolderReport, SplitReport

EDGES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
"""Bins of heights in px; there is one below and one above them."""
BAR = 40
"""Characters of the longest bar."""


def text(report: FolderReport) -> str:
    """What was found, for people."""
    lines = [str(report.folder)]
    for split in report.splits:
        lines += ["", *_describe(split), *_bars(split.heights)]
    if report.left_out:
        lines += ["", f"JSON without images, left out: {', '.join(report.left_out)}"]
    for title, found in (("errors", report.errors), ("warnings and notes", report.warnings)):
        lines += ["", f"{title}: {len(found) or 'none'}", *(f"  {line}" for line in found)]
    return "\n".join(lines)


def _describe(split: SplitReport) -> list[str]:
    drives = len(split.sequences)
    recordings = f" of {drives} {'drive' if drives == 1 else 'drives'}" if drives else ""
    ignored = ", ".join(f"{reason} {n}" for reason, n in Counter(split.ignored).most_common())
    sizes = ", ".join(f"{w}x{h}" for (w, h), _ in Counter(split.sizes).most_common(3))
    more = f" and {len(split.sizes) - 3} other sizes" if len(split.sizes) > 3 else ""
    median = f", median height {np.median(split.heights):.0f} px" if len(split.heights) else ""
    return [
        f"{split.name}: {split.images} images{recordings}, {sizes or 'sizes not given'}{more}",
        f"  {len(split.heights)} pedestrians{median}; "
        f"{split.images_without_people} images without any",
        f"  {sum(split.ignored.values())} ignored{': ' + ignored if ignored else ''}",
    ]


def bins(heights: NDArray[np.float32]) -> dict[str, int]:
    """Number of pedestrians per bin of `EDGES`, with the bin's name."""
    counts = np.histogram(heights, (0, *EDGES, np.inf))[0]
    names = [f"< {EDGES[0]}"]
    names += [f"{a}-{b}" for a, b in pairwise(EDGES)]
    return dict(zip([*names, f">= {EDGES[-1]}"], counts.tolist(), strict=True))


def _bars(heights: NDArray[np.float32]) -> list[str]:
    counts = bins(heights)
    most = max(1, *counts.values())
    return [
        f"  {name:>8} px {count:6} {'#' * round(BAR * count / most)}".rstrip()
        for name, count in counts.items()
    ]


def content(report: FolderReport) -> dict[str, Any]:
    """The same for programs."""
    return {
        "folder": str(report.folder),
        "splits": {
            split.name: {
                "images": split.images,
                "images_without_people": split.images_without_people,
                "sequences": dict(split.sequences),
                "pedestrians": len(split.heights),
                "heights": bins(split.heights),
                "ignored": dict(split.ignored),
                "problems": dict(Counter(p.kind for p in split.problems)),
            }
            for split in report.splits
        },
        "errors": list(report.errors),
        "warnings": list(report.warnings),
    }


def plot(report: FolderReport, path: Path) -> None:
    """Write a histogram of the heights of the pedestrians that count, a row per split."""
    import matplotlib  # takes a second

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, rows = plt.subplots(
        max(1, len(report.splits)), 1, sharex=True, squeeze=False, layout="constrained"
    )
    figure.set_size_inches(7, 1.2 + 1.9 * max(1, len(report.splits)))
    edges = np.geomspace(4, 1024, 49)
    for axes, split in zip(rows[:, 0], report.splits, strict=False):
        axes.hist(split.heights.clip(edges[0], edges[-1]), edges, color="tab:blue", zorder=2)
        axes.axvspan(32, 96, color="moccasin", zorder=0, lw=0, label="8 to 24 px at x4")
        axes.set_title(f"{split.name}: {len(split.heights)} pedestrians", fontsize=10)
        axes.set_ylabel("pedestrians")
    if report.splits:
        axes = rows[-1, 0]
        axes.set_xscale("log", base=2)
        axes.set_xticks([2**n for n in range(2, 11)], [str(2**n) for n in range(2, 11)])
        axes.set_xlabel("height, px")
        rows[0, 0].legend(loc="upper right", fontsize=8)
    figure.suptitle(report.folder.name, fontsize=11)
    figure.savefig(path, dpi=120)
    plt.close(figure)
