"""What `tasksr_training.studies.compare_sr` measured, as a table, a plot and pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasksr_training.run_log import LOG, read_log
from tasksr_training.studies.compare_sr import ComparisonConfig, Panel

matplotlib.use("agg")

WINDOW = (96, 128)
"""Height and width of the part of an image that a panel shows, HR px."""


def markdown(result: dict[str, Any]) -> str:
    """A table per comparison; below each, the differences with their intervals."""
    height, width = result["cost_hw"]
    parts = [_comparison(c) for c in result["comparisons"]]
    note = (
        f"GMAC and ms: for an LR image of {width}x{height} px, PyTorch eager, "
        f"{result['comparisons'][0]['rows'][0]['cost']['threads']} thread(s). "
        "PSNR in dB and SSIM on luminance, a border of a scale factor's px left out. "
        "Differences: mean over images of the PSNR on luminance, with the 95 % interval of the "
        "paired bootstrap."
    )
    return "\n\n".join([*parts, note]) + "\n"


def _comparison(comparison: dict[str, Any]) -> str:
    rows = comparison["rows"]
    sets = list(rows[0]["mean"])
    head = ["", "parameters", "GMAC", "ms", "steps", *(f"{s} PSNR / SSIM" for s in sets)]
    lines = [
        f"### {comparison['title']}, x{comparison['scale_factor']}",
        "",
        _line(head),
        _line(["---"] * len(head)),
    ]
    lines += [_line(_cells(row, sets)) for row in rows]
    lines += ["", _line(["PSNR-Y against the row above, dB", *sets])]
    lines += [_line(["---"] * (len(sets) + 1))]
    lines += [
        _line([f"{row['name']} - {above['name']}", *(_gain(row, s) for s in sets)])
        for above, row in itertools.pairwise(rows)
    ]
    return "\n".join(lines + _kernel_errors(rows, sets) + _quotes(comparison.get("quotes", [])))


def _quotes(quotes: Sequence[dict[str, str]]) -> list[str]:
    """Published figures, with what they were measured on."""
    if not quotes:
        return []
    head = ["published, not measured here", "figure", "protocol", "source"]
    lines = ["", _line(head), _line(["---"] * len(head))]
    keys = ("system", "figure", "protocol", "source")
    return lines + [_line([quote[key] for key in keys]) for quote in quotes]


def _kernel_errors(rows: Sequence[dict[str, Any]], sets: Sequence[str]) -> list[str]:
    """How well blind networks find the kernel, beside what no blur at all would be off by."""
    blind = [row for row in rows if "kernel_error" in row["mean"][sets[0]]]
    if not blind:
        return []
    named = [(row["name"], "kernel_error", row) for row in blind]
    lines = ["", _line(["squared error of the kernel", *sets]), _line(["---"] * (len(sets) + 1))]
    for name, key, row in [("no blur", "no_kernel_error", blind[0]), *named]:
        lines.append(_line([name, *(f"{row['mean'][s][key]:.4f}" for s in sets)]))
    return lines + _lengths([row for row in blind if row["per_image"][sets[0]].get("length")], sets)


def _lengths(rows: Sequence[dict[str, Any]], sets: Sequence[str]) -> list[str]:
    """How well they tell the length of the blur, beside two guesses that look at no image."""
    if not rows:
        return []
    head = "blur's length, HR px: mean error, correlation with the true one"
    true = [np.array(rows[0]["per_image"][s]["true_length"]) for s in sets]
    lines = ["", _line([head, *sets]), _line(["---"] * (len(sets) + 1))]
    lines.append(_line(["always 0", *(f"{t.mean():.2f}" for t in true)]))
    lines.append(_line(["always their mean", *(f"{abs(t - t.mean()).mean():.2f}" for t in true)]))
    for row in rows:
        found = [np.array(row["per_image"][s]["length"]) for s in sets]
        cells = [
            f"{abs(f - t).mean():.2f}, {_correlation(f, t)}"
            for f, t in zip(found, true, strict=True)
        ]
        lines.append(_line([row["name"], *cells]))
    return lines


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> str:
    if min(len(a), np.ptp(a), np.ptp(b)) == 0:
        return "-"
    return f"{np.corrcoef(a, b)[0, 1]:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: dict[str, Any], sets: Sequence[str]) -> list[str]:
    cost = row["cost"]
    quality = [f"{row['mean'][s]['psnr_y']:.2f} / {row['mean'][s]['ssim_y']:.3f}" for s in sets]
    return [
        row["name"],
        f"{cost['parameters']:,}",
        f"{cost['gmac']:.1f}",
        f"{cost['ms']:.0f}",
        _training(row),
        *quality,
    ]


def _training(row: dict[str, Any]) -> str:
    """Steps that the row's network was trained for, or whose weights it has."""
    if row.get("published"):
        return "published weights"
    steps = row["cost"]["steps"]
    return f"{steps:,}" if steps else "none"


def _gain(row: dict[str, Any], name: str) -> str:
    mean, low, high = row["psnr_y_gain_on_row_above"][name]
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


COSTS = {"parameters": "parameters", "gmac": "GMAC per LR region of 320x96 px"}
"""What a network costs, and how an axis says it."""


def plot(result: dict[str, Any], path: Path) -> None:
    """PSNR gained on the first row against parameters and operations; a line per set."""
    comparisons = result["comparisons"]
    lines = len(comparisons)
    figure = Figure(figsize=(12, 4.2 * lines), layout="constrained")
    for line, comparison in enumerate(comparisons):
        for column, cost in enumerate(COSTS):
            _plot_one(figure.add_subplot(lines, 2, 2 * line + column + 1), comparison, cost)
    figure.savefig(path, dpi=110)


def _plot_one(axes: Axes, comparison: dict[str, Any], cost: str) -> None:
    first, *rows = sorted(comparison["rows"], key=lambda row: row["cost"][cost])
    costs = [row["cost"][cost] for row in rows]
    for name in first["mean"]:
        start = first["mean"][name]["psnr_y"]
        gained = [row["mean"][name]["psnr_y"] - start for row in rows]
        axes.plot(costs, gained, "o-", label=f"{name} ({start:.1f} dB)")
    axes.axhline(0, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.35)
    _name_columns(axes, [row["name"] for row in rows], costs)
    axes.set_title(f"{comparison['title']}, x{comparison['scale_factor']}", fontsize=10)
    axes.set_xlabel(COSTS[cost])
    axes.set_ylabel(f"PSNR-Y gained on {first['name']}, dB")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="lower right", title=f"set ({first['name']})", title_fontsize=7)


def _name_columns(axes: Axes, names: Sequence[str], costs: Sequence[float]) -> None:
    """Write each system's name at the top of its column; neighbours on lines of their own."""
    for index, (name, cost) in enumerate(zip(names, costs, strict=True)):
        axes.axvline(cost, color="grey", linewidth=0.5, linestyle=":")
        axes.annotate(
            name, (cost, 1), (0, -10 - 11 * (index % 3)), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", fontsize=7,
        )  # fmt: skip


def curves(comparisons: Sequence[ComparisonConfig], runs: Path, path: Path) -> None:
    """Distance to the HR image (L1, mean of 20 lines of the log) while the networks were trained.

    Args:
        comparisons: an axes each, a line per system that was trained.
        runs: folder that the systems' runs start from.
        path: picture to write; none where no run has a log, as with bundles.
    """
    if not any((runs / s.run / LOG).exists() for c in comparisons for s in c.systems):
        return
    figure = Figure(figsize=(6 * len(comparisons), 4), layout="constrained")
    for index, comparison in enumerate(comparisons):
        axes = figure.add_subplot(1, len(comparisons), index + 1)
        for system in comparison.systems:
            log = runs / system.run / LOG
            if system.run and log.exists():
                lines = (line for line in read_log(log) if "total" in line)
                rows = [(line["step"], line.get("hr", line["total"])) for line in lines]
                steps, losses = np.array(rows[: len(rows) // 20 * 20]).reshape(-1, 20, 2).mean(1).T
                axes.plot(steps, losses, label=system.name)
        axes.set(xlabel="step", ylabel="L1 to HR", yscale="log")
        axes.set_title(f"{comparison.title}, x{comparison.scale_factor}", fontsize=10)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def draw_panel(panel: Panel, path: Path) -> None:
    """Write the most detailed window of the image, a column per system, kernels at the end."""
    hr = list(panel.images.values())[-1]
    y, x = busiest_window(hr)
    columns = len(panel.images) + len(panel.kernels)
    figure = Figure(figsize=(2.9 * columns, 2.6), layout="constrained")
    for index, (caption, image) in enumerate(panel.images.items()):
        axes = figure.add_subplot(1, columns, index + 1)
        axes.imshow(image[y : y + WINDOW[0], x : x + WINDOW[1]], interpolation="nearest")
        axes.set_title(caption, fontsize=9)
        axes.set_axis_off()
    for index, (caption, kernel) in enumerate(panel.kernels.items()):
        axes = figure.add_subplot(1, columns, len(panel.images) + index + 1)
        axes.imshow(kernel, cmap="gray", vmin=0, vmax=max(k.max() for k in panel.kernels.values()))
        axes.set_title(f"kernel, {caption}", fontsize=9)
        axes.set_axis_off()
    figure.suptitle(panel.title, fontsize=9)
    figure.savefig(path, dpi=130)


def busiest_window(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Upper left corner y, x of the window with the strongest edges."""
    grey = image.astype(float).mean(2)
    strength = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    sums = np.pad(strength.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    h, w = (min(a, b) for a, b in zip(WINDOW, strength.shape, strict=True))
    totals = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    y, x = np.unravel_index(int(totals.argmax()), totals.shape)
    return int(y), int(x)
