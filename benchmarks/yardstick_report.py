"""The yardstick's rows as a table, as JSON and as a picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.yardstick_figures import FAR, NEAR, Figures
from tasksr_ros.benchmarks.output import Columns, markdown
from tasksr_ros.errors import ConfigError

ALL = "all"
"""The sets pooled."""
COLOURS = {"public": "#4878a8", "fused": "#4878a8", "ours": "#c8553d"}


@dataclass(frozen=True)
class Row:
    """One detector, or two fused.

    Attributes:
        name: of the row.
        kind: public, fused (public ones) or ours.
        ms: median for a frame, by set.
        gmac: 10^9 multiply-adds for a frame, by set.
        figures: by set, and ``ALL``, and band.
    """

    name: str
    kind: str
    ms: dict[str, float]
    gmac: dict[str, float]
    figures: dict[str, dict[str, Figures]]

    @property
    def mean_ms(self) -> float:
        """Over the sets."""
        return fmean(self.ms.values())


def reference(rows: Sequence[Row], name: str = "") -> Row:
    """The row of this name; without one the best single public, by AP50 at 12-60 px of all sets.

    Raises:
        ConfigError: if there is no such row.
    """
    if not name:
        public = (r for r in rows if r.kind == "public")
        return max(public, key=lambda r: r.figures[ALL][FAR].ap50 or 0)
    named = {r.name: r for r in rows}
    if name not in named:
        raise ConfigError(f"against must be a row ({', '.join(named)}), got {name!r}")
    return named[name]


def table(rows: Sequence[Row], sets: Sequence[str], against: str = "") -> str:
    """Markdown; AP50 of 12-60 and 60+ px, ours in bold; see `reference` for ``against``."""
    other = against or "the best single"
    columns: dict[str, Any] = {
        "": lambda r: f"**{r.name}**" if r.kind == "ours" else r.name,
        "ms": lambda r: f"{r.mean_ms:,.0f}",
        "GMAC": lambda r: f"{fmean(r.gmac.values()):,.1f}",
    }
    for name in sets:
        columns[name] = lambda r, name=name: _pair(r, name)
    shown: Columns = {
        **columns,
        f"all: 12-60, to {other}": lambda r: _compared(r.figures[ALL][FAR]),
        f"all: 60+, to {other}": lambda r: _compared(r.figures[ALL][NEAR]),
        "MR⁻² 12-60": lambda r: _each(r, sets, "miss_rate"),
        "recall 12-60 at 1 FPPI": lambda r: _each(r, sets, "recall_1"),
    }
    return markdown(rows, shown)


def _pair(row: Row, name: str) -> str:
    return " / ".join(_number(row.figures[name][band].ap50) for band in (FAR, NEAR))


def _each(row: Row, sets: Sequence[str], what: str) -> str:
    return " ".join(_number(getattr(row.figures[name][FAR], what)) for name in sets)


def _compared(found: Figures) -> str:
    if found.difference is None or found.interval is None:
        return _number(found.ap50)
    low, high = (_number(end, "+") for end in found.interval)
    return f"{_number(found.ap50)}, {_number(found.difference, '+')} [{low}, {high}]"


def _number(value: float | None, sign: str = "") -> str:
    """Three decimals without the leading 0."""
    if value is None:
        return "-"
    return f"{value:{sign}.3f}".replace("0.", ".", 1).replace("-", "\N{MINUS SIGN}")


def picture(rows: Sequence[Row], path: Path) -> None:
    """AP50 at 12-60 px, all sets pooled, against milliseconds for a frame.

    Raises:
        ConfigError: without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter
    except ModuleNotFoundError:
        raise ConfigError("a picture needs matplotlib (pip install matplotlib)") from None
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axis = figure.subplots()
    points = [(row.mean_ms, row.figures[ALL][FAR].ap50 or 0.0) for row in rows]
    for row, (x, y) in zip(rows, points, strict=True):
        marker = "D" if row.kind == "fused" else "o"
        axis.scatter(x, y, color=COLOURS[row.kind], marker=marker, s=40, zorder=3)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.margins(0.18)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3, which="both")
    axis.set_xlabel("ms for a frame, mean of the sets' medians (logarithmic)")
    axis.set_ylabel("AP50, pedestrians of 12 to 60 px, all sets pooled")
    for kind, label in (("public", "public (diamond: two fused)"), ("ours", "ours")):
        if any(row.kind == kind for row in rows):
            axis.scatter([], [], color=COLOURS[kind], label=label)
    axis.legend(loc="lower right")
    canvas.draw()
    _write_names(axis, canvas.get_renderer(), [row.name for row in rows], points)
    figure.savefig(path, dpi=110)


PLACES = tuple(itertools.product((1, -1), (6, 16, 28, 42)))
"""Above or below, and how far, in points, a name may stand from its point."""


def _write_names(
    axis: Any, renderer: Any, names: Sequence[str], points: Sequence[tuple[float, float]]
) -> None:
    """Put each name where it covers no point and no other name."""
    from matplotlib.transforms import Bbox

    taken = [
        Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in axis.transData.transform(points)
    ]
    for name, point in zip(names, points, strict=True):
        for side, far in PLACES:
            text = axis.annotate(
                name,
                point,
                xytext=(0, side * far),
                textcoords="offset points",
                ha="center",
                va="bottom" if side > 0 else "top",
                fontsize=8,
                arrowprops={"arrowstyle": "-", "lw": 0.5} if far > 6 else None,
            )
            place = text.get_window_extent(renderer).padded(1)
            if not any(place.overlaps(other) for other in taken):
                break
            if (side, far) != PLACES[-1]:
                text.remove()
        taken.append(place)
