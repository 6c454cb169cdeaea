"""Plots of a study's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import Bbox, BboxBase

from tasksr_training.studies.figures import BINS

matplotlib.use("agg")

MARKER = 4
"""Half the side of the square that a point takes, px."""
RISES = (4, -2, -9, -17, -25, 12)
"""How far above its point a name may start, points; the first that is free."""


def quality_plot(table: dict[str, Any], name: str, path: Path) -> None:
    """PSNR against AP50: for people, and for machines. Rows without PSNR are lines."""
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    _scatter(figure, axes, table, name, lambda row: row["sets"][name]["psnr_y"]["value"])
    for row in table["rows"]:
        ap50 = row["sets"][name]["ap50"]["value"]
        if row["sets"][name]["psnr_y"]["value"] is None and ap50 is not None:
            axes.axhline(ap50, color="grey", linestyle="--", linewidth=1)
            _label(axes, row["name"], (0, ap50), axes.get_yaxis_transform(), (4, 3))
    axes.set_xlabel("PSNR-Y, dB (for people)")
    axes.set_ylabel("AP50 (for machines)")
    _finish(figure, axes, table, name, path)


def cost_plot(table: dict[str, Any], name: str, path: Path) -> None:
    """AP50 against operations."""
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    _scatter(figure, axes, table, name, lambda row: row["cost"]["gmac"])
    axes.set_xlabel("GMAC per region of 320x96 LR px")
    axes.set_ylabel("AP50")
    _finish(figure, axes, table, name, path)


def height_plot(table: dict[str, Any], name: str, path: Path) -> None:
    """Recall at 0.1 false positives per image by height, a line per row."""
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.add_subplot()
    people = table["pedestrians"][name]
    for index, row in enumerate(table["rows"]):
        recall = [row["sets"][name][f"recall@0.1/{b}"]["value"] for b in BINS]
        values = [float("nan") if r is None else r for r in recall]
        strong = row["name"] in (table["baseline"], table["bound"])
        axes.plot(
            range(len(BINS)),
            values,
            "s--" if strong else "o-",
            color=matplotlib.colormaps["tab20"](index % 20),
            label=row["name"],
        )
    axes.set_xticks(range(len(BINS)), [f"{b} px\n({people[b]})" for b in BINS])
    axes.set_xlabel("height in LR px (pedestrians)")
    axes.set_ylabel("recall at 0.1 false positives per image")
    axes.legend(fontsize=7)
    _finish(figure, axes, table, name, path)


def _scatter(figure: Figure, axes: Axes, table: dict[str, Any], name: str, x_of: Any) -> None:
    points: dict[str, tuple[float, float]] = {}
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in table["rows"]:
        x, ap50 = x_of(row), row["sets"][name]["ap50"]
        if x is None or ap50["value"] is None:
            continue
        colour = "tab:red" if row["name"] == table["baseline"] else "tab:blue"
        axes.plot(x, ap50["value"], "o", color=colour)
        seeds = [v for v in ap50["seeds"] if v is not None]
        if len(seeds) > 1:
            axes.plot([x] * len(seeds), seeds, ".", color=colour, markersize=4, alpha=0.6)
        points[row["name"]] = (x, ap50["value"])
        if row["curve"]:
            curves.setdefault(row["curve"], []).append((x, ap50["value"]))
    for label, joined in curves.items():
        axes.plot(*zip(*joined, strict=True), "-", linewidth=1, alpha=0.7, label=label)
    if curves:
        axes.legend(fontsize=8)
    axes.margins(x=0.25, y=0.15)
    axes.autoscale_view()
    _label_points(figure, axes, points)


def _label_points(figure: Figure, axes: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Write each name beside its point, towards the middle if nothing is there already."""
    figure.draw_without_rendering()  # now the axes lie where they will
    pixels = {name: axes.transData.transform(point) for name, point in points.items()}
    taken = [Bbox([at - MARKER, at + MARKER]) for at in pixels.values()]
    middle = axes.bbox.x0 + axes.bbox.width / 2
    # From the top down, so that names beside each other stand in the order of their points.
    for name, point in sorted(points.items(), key=lambda item: -item[1][1]):
        sides = (5, -5) if pixels[name][0] < middle else (-5, 5)
        places = [(side, rise) for rise in RISES for side in sides]
        texts = [_label(axes, name, point, axes.transData, by) for by in places]
        boxes = [text.get_window_extent() for text in texts]
        free = [i for i, box in enumerate(boxes) if _is_free(box, axes.bbox, taken)]
        kept = free[0] if free else 0
        taken.append(boxes[kept])
        for text in texts[:kept] + texts[kept + 1 :]:
            text.remove()


def _is_free(box: Bbox, frame: BboxBase, taken: list[Bbox]) -> bool:
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
    return inside and not any(box.overlaps(other) for other in taken)


def _label(
    axes: Axes, text: str, at: tuple[float, float], system: Any, by: tuple[int, int]
) -> Annotation:
    """Write beside a point, to its right or left as ``by``, in points, says."""
    side = "left" if by[0] > 0 else "right"
    return axes.annotate(
        text, at, by, xycoords=system, textcoords="offset points", ha=side, fontsize=7
    )


def _finish(figure: Figure, axes: Axes, table: dict[str, Any], name: str, path: Path) -> None:
    axes.set_title(f"{table['title']}, x{table['scale_factor']}: {name}", fontsize=10)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
