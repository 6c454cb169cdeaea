"""The report's figures as SVG text, drawn with matplotlib, coloured by the page's style sheet.

Every colour is written as a CSS variable (``--ink``, ``--series-0`` …), so that one figure serves
light, dark and print; text stays text in the page's own font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

MAX_SERIES = 6
"""Colours (Okabe and Ito's, told apart by the colour-blind), markers and dashes there are."""

Values: TypeAlias = Sequence[float] | NDArray[np.float64]

_SIZE_INCHES = (4.0, 2.9)
_LEAST_FPPI, _LEAST_MISS_RATE = 3e-3, 1e-2
_MISS_RATE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_INK, _MUTED, _GRID = "#010101", "#020202", "#030303"
_SERIES = tuple(f"#0a0a{k:02x}" for k in range(MAX_SERIES))
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _GRID: "var(--grid)",
    **{colour: f"var(--series-{k})" for k, colour in enumerate(_SERIES)},
}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (3, 3)))
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.5,
    "text.color": _INK,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "path.simplify": True,
}


@dataclass(frozen=True, eq=False)
class Curve:
    """A line of one run.

    Attributes:
        series: the run's number, for colour, marker and dashes; less than ``MAX_SERIES``.
        x: (N,) abscissae.
        y: (N,) ordinates; nan leaves a gap.
        low: (N,) lower ends of the intervals of y, or empty.
        high: (N,) upper ends, or empty.
    """

    series: int
    x: Values
    y: Values
    low: Values = ()
    high: Values = ()


def miss_rate_curve(curves: Sequence[Curve], description: str) -> str:
    """Miss rate over false positives per image, both logarithmic, as steps.

    The reference points of the log-average miss rate, 0.01 to 1 per image, are shaded.
    """
    figure, axes = _figure()
    axes.axvspan(1e-2, 1e0, color=_GRID, alpha=0.35, linewidth=0)
    shares = [y for curve in curves for y in curve.y if y > 0]
    lowest = max(_LEAST_MISS_RATE, 0.8 * min([0.5, *shares]))
    for curve in curves:
        # Zeros have no place on these axes: they are drawn at, or left of, their ends.
        x, y = np.maximum(curve.x, _LEAST_FPPI / 10), np.maximum(curve.y, lowest)
        _line(axes, replace(curve, x=x, y=y), drawstyle="steps-post")
    most = max([2.0, *(1.2 * x for curve in curves for x in curve.x)])
    axes.set(xlabel="false positives per image", ylabel="miss rate", xscale="log", yscale="log")
    axes.set(xlim=(_LEAST_FPPI, most), ylim=(lowest, 1.05))
    axes.set_yticks([tick for tick in _MISS_RATE_TICKS if tick >= lowest])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    return _svg(figure, description)


def precision_recall(curves: Sequence[Curve], description: str) -> str:
    """Precision over recall."""
    figure, axes = _figure()
    for curve in curves:
        _line(axes, curve)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    return _svg(figure, description)


def by_bin(
    curves: Sequence[Curve],
    labels: Sequence[str],
    x_label: str,
    description: str,
    y_label: str = "recall",
) -> str:
    """A share per bin, with the band of its interval; ``x`` of the curves counts bins from 0."""
    figure, axes = _figure()
    for curve in curves:
        _line(axes, curve, marked=True)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(-0.02, 1.02), xlim=(-0.4, len(labels) - 0.6))
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(visible=False, axis="x")
    return _svg(figure, description)


def difference_by_bin(curve: Curve, labels: Sequence[str], x_label: str, description: str) -> str:
    """A difference of recall per bin, with whiskers for its interval and a line at zero."""
    figure, axes = _figure()
    colour, y = _SERIES[curve.series % MAX_SERIES], np.asarray(curve.y, float)
    axes.axhline(0, color=_INK, linewidth=0.8)
    axes.vlines(curve.x, curve.low, curve.high, color=colour, linewidth=1.6, alpha=0.5)
    axes.plot(curve.x, y, color=colour, linestyle="", marker=_MARKERS[curve.series % MAX_SERIES])
    ends = np.abs([*curve.low, *curve.high, *y])
    reach = max(0.1, 1.1 * float(np.nanmax(ends, initial=0.0)))
    axes.set(xlabel=x_label, ylabel="difference of recall", ylim=(-reach, reach))
    axes.set_xlim(-0.4, len(labels) - 0.6)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(visible=False, axis="x")
    return _svg(figure, description)


def reliability(curves: Sequence[Curve], description: str) -> str:
    """Share of detections that are right over their score; the diagonal is perfect."""
    figure, axes = _figure((2.4, 2.2))
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    for curve in curves:
        _line(axes, curve, marked=True)
    axes.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    return _svg(figure, description)


def latency(
    stages: Sequence[str], values: Sequence[Sequence[Sequence[float]]], description: str
) -> str:
    """Percentiles of the time per stage.

    Args:
        stages: names of the stages, drawn from the top down.
        values: ms by run, stage and percentile (50th, 95th, 99th); nan where a run lacks one.
        description: for screen readers.
    """
    height = 0.9 + 0.28 * len(stages) * max(1, len(values)) ** 0.5
    figure, axes = _figure((_SIZE_INCHES[0], height))
    for series, run in enumerate(values):
        offset = 0.22 * (series - (len(values) - 1) / 2)
        for place, (p50, p95, p99) in enumerate(run):
            y, colour = len(stages) - 1 - place - offset, _SERIES[series % MAX_SERIES]
            axes.plot([p50, p99], [y, y], color=colour, linewidth=1, alpha=0.5)
            axes.plot([p50, p95], [y, y], color=colour, linewidth=2.5, solid_capstyle="butt")
            axes.plot([p50], [y], color=colour, marker=_MARKERS[series % MAX_SERIES])
            axes.plot([p99], [y], color=colour, marker="|", markersize=6)
    names = [stage.replace("$", r"\$") for stage in reversed(stages)]  # no formulas
    axes.set_yticks(range(len(stages)), names)
    axes.set(xlabel="time per frame, ms", ylim=(-0.6, len(stages) - 0.4))
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    return _svg(figure, description)


def _figure(size: tuple[float, float] = _SIZE_INCHES) -> tuple[Figure, Axes]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.add_subplot()


def _line(axes: Axes, curve: Curve, *, marked: bool = False, drawstyle: str = "default") -> None:
    k = curve.series % MAX_SERIES
    if len(curve.low):
        low, high = np.asarray(curve.low, float), np.asarray(curve.high, float)
        axes.fill_between(curve.x, low, high, color=_SERIES[k], alpha=0.16, linewidth=0)
    axes.plot(
        curve.x,
        curve.y,
        color=_SERIES[k],
        linestyle=_DASHES[k],
        marker=_MARKERS[k] if marked else "",
        drawstyle=drawstyle,
        clip_on=not marked,
    )


def _svg(figure: Figure, description: str) -> str:
    """The figure as an SVG element that fills its container's width."""
    buffer = io.StringIO()
    # The salt makes ids the same in every run, and distinct among the figures of a page.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": description}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<defs>\s*<style.*?</defs>", "", text, count=1, flags=re.DOTALL)
    # The family is the page's; releases before 3.9 write size and family as one.
    text = re.sub(r"font-family: [^;\"]*; ?", "", text)
    text = re.sub(r"font: (\S+) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same in every figure of the page
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text
