"""Figures as Markdown tables, as JSON, as a picture, and written into a document."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tasksr_ros.errors import ConfigError

Columns: TypeAlias = Mapping[str, Callable[[Any], str]]
"""How a table shows its rows: the head of each column, and the text of a row in it."""


@dataclass(frozen=True)
class Bar:
    """One bar of a picture.

    Attributes:
        group: title of the part of the picture that it stands in.
        name: beside it.
        value: its length.
        text: at its end.
    """

    group: str
    name: str
    value: float
    text: str


@dataclass(frozen=True)
class Benchmark:
    """What a command line makes of a benchmark.

    Attributes:
        name: of its module, and of its marks in a document.
        config: dataclass of its options; the first line of its docstring says what is measured.
        measure: gives the rows, dataclasses, for such a config.
        columns: of the table.
        bars: the rows as bars of a picture.
        axis: what the bars' lengths are.
    """

    name: str
    config: type
    measure: Callable[[Any], list[Any]]
    columns: Columns
    bars: Callable[[list[Any]], list[Bar]]
    axis: str


def markdown(rows: Sequence[Any], columns: Columns) -> str:
    """The rows as a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(text(row) for text in columns.values())} |" for row in rows]
    return "\n".join(lines)


def as_json(rows: Sequence[Any]) -> dict[str, Any]:
    """The rows as JSON values, with what is known of the machine."""
    return {"machine": machine(), "rows": [asdict(row) for row in rows]}


def machine() -> dict[str, Any]:
    """What ran the benchmark, and how busy it was."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_at_the_end": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def record(document: Path, name: str, command: str, table: str) -> None:
    """Replace what stands between the marks of a benchmark in a Markdown document.

    The marks are the lines ``<!-- benchmark NAME -->`` and ``<!-- end of benchmark NAME -->``.

    Args:
        document: to change.
        name: of the benchmark.
        command: that made the table.
        table: Markdown.

    Raises:
        ConfigError: if the document lacks the marks.
    """
    of = machine()
    said = (
        f"`{command}`; {of['processor']}, {of['cores']} cores, load at the end "
        f"{of['load_at_the_end']:.1f}:"
    )
    put(document, f"benchmark {name}", f"{said}\n\n{table}\n")


def put(document: Path, name: str, text: str) -> None:
    """Replace what stands between the marks ``<!-- NAME -->`` and ``<!-- end of NAME -->``.

    Args:
        document: to change.
        name: of the marks.
        text: Markdown, ending with a line break.

    Raises:
        ConfigError: if the document lacks the marks.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = document.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ConfigError(f"{document} must have the lines {begin.strip()} and {end}")
    document.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def picture(bars: Sequence[Bar], path: Path, label: str) -> None:
    """Draw the bars, those of a group beside one another.

    Args:
        bars: in the order from above.
        path: PNG or SVG.
        label: of their common axis.

    Raises:
        ConfigError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ConfigError("a picture needs matplotlib (pip install matplotlib)") from None
    groups = list(dict.fromkeys(bar.group for bar in bars))
    figure = Figure(figsize=(9, 0.9 + 0.32 * len(bars) + 0.5 * len(groups)), layout="constrained")
    heights = [sum(bar.group == group for bar in bars) + 1 for group in groups]
    axes = figure.subplots(len(groups), squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axis, group in zip(axes, groups, strict=True):
        mine = [bar for bar in bars if bar.group == group][::-1]
        drawn = axis.barh([b.name for b in mine], [b.value for b in mine], color="#4878a8")
        axis.bar_label(drawn, [b.text for b in mine], padding=3, fontsize=8)
        axis.set_title(group, fontsize=10)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.012 * max(len(bar.text) for bar in bars))
    axes[-1].set_xlabel(label)
    figure.savefig(path, dpi=110)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
