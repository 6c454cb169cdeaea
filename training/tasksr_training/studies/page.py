"""A study for people: one HTML page that opens from disk, and its main figures as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape, unescape
from pathlib import Path
from typing import Any

from tasksr_training.errors import TrainingError
from tasksr_training.studies.figures import BINS, DISTANT, FPPI, REACH_FPPI
from tasksr_training.whole_files import replace_text

DISTANT_TEXT = f"{DISTANT[0]:g}-{DISTANT[1]:g} px"
DETECTION = {
    "ap50": ("AP50", 3),
    "ap30": ("AP30", 3),
    "miss_rate": ("MR⁻²", 3),
    "ap50_distant": (f"AP50 {DISTANT_TEXT}", 3),
    "miss_rate_distant": (f"MR⁻² {DISTANT_TEXT}", 3),
    **{f"recall@{f:g}": (f"recall at {f:g}", 3) for f in FPPI},
}
QUALITY = {"psnr_y": ("PSNR-Y", 2), "ssim_y": ("SSIM", 3), "feature_distance": ("features", 3)}
HEIGHTS = {f"recall@{f:g}/{b}": (f"{b} px at {f:g}", 3) for f in FPPI for b in BINS}
REACH = {"least_height": ("least height, px", 1)}

Block = tuple[list[str], list[list[str]]]
"""Head and lines of a table; cells are HTML."""

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; margin: .5rem 0 }
.wide { overflow-x: auto }
th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap }
th { border-bottom: 1px solid #999; font-weight: 600 }
th:first-child, td:first-child { text-align: left }
tr:nth-child(even) td { background: #8881 }
summary { cursor: pointer; color: #36c }
pre { overflow-x: auto; background: #8881; padding: .4rem .6rem; font-size: 13px }
td { vertical-align: top }
small { color: #777; display: block; font-weight: 400 }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } }
"""


def study_page(study: Path, html: Path = Path("study.html")) -> None:
    """Write a study's JSON as a page.

    Args:
        study: ``study.json`` of `tasksr-train study`.
        html: page to write.

    Raises:
        TrainingError: when that is no study's JSON.
    """
    try:
        text = page(json.loads(study.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{study}: expected a study.json, got {error!r}") from error
    html.parent.mkdir(parents=True, exist_ok=True)
    replace_text(html, text)


def page(result: Mapping[str, Any]) -> str:
    """All tables of a study, a section each, and what their columns mean."""
    tables = result["tables"]
    links = "".join(f'<li><a href="#t{k}">{_title(t)}</a>' for k, t in enumerate(tables, 1))
    sections = "".join(_section(k, table) for k, table in enumerate(tables, 1))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Study</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style><h1>Study</h1><p>{escape(result.get('about', ''))}</p>"
        f"<ol>{links}</ol><details><summary>What the columns mean</summary>"
        f"<p>{_notes(result)}</p></details>{sections}\n"
    )


def summary(result: Mapping[str, Any]) -> str:
    """The main figures of each table's last set, as text."""
    parts = []
    for table in result["tables"]:
        name = list(table["pedestrians"])[-1]
        head, lines = _figures(table, name)
        rows = [[_plain(cell) for cell in line] for line in [[name, *head[1:]], *lines]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        text = [
            "  ".join(
                cell.rjust(width) if k else cell.ljust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        parts.append("\n".join([f"{table['title']}, x{table['scale_factor']}", *text]))
    return "\n\n".join(parts)


def _title(table: Mapping[str, Any]) -> str:
    return f"{escape(table['title'])}, x{table['scale_factor']}"


def _section(index: int, table: Mapping[str, Any]) -> str:
    command = f"<pre>{escape(table['command'])}</pre>" if "command" in table else ""
    *others, last = table["pedestrians"]
    return (
        f'<section id="t{index}"><h2>{_title(table)}</h2><p>{escape(table.get("says", ""))}'
        f" {_equal_macs(table)}</p>{command}<h3>{_people(table, last)}</h3>{_set(table, last)}"
        + "".join(_hidden(_people(table, name), _set(table, name)) for name in others)
        + "</section>"
    )


def _people(table: Mapping[str, Any], name: str) -> str:
    people = table["pedestrians"][name]
    return f"{escape(name)}: {people['images']} images, {people['all']} pedestrians"


def _set(table: Mapping[str, Any], name: str) -> str:
    """Figures, then how the subject differs from its rivals; the rest on demand."""
    rows = {row["name"]: row["sets"].get(name, {}) for row in table["rows"]}
    others = {row: figures for row, figures in rows.items() if row != table["baseline"]}
    rivals = table["rivals"].get(name, {})
    less_base, of_subject = f"less {table['baseline']}", f"{table['subject']} less"
    main, heights = {**DETECTION, **QUALITY}, {**HEIGHTS, **REACH}
    title, compared = (of_subject, rivals) if rivals else (less_base, others)
    rest = [_by_height(table, name), _differences(less_base, others, heights)]
    if rivals:
        rest.insert(1, _differences(less_base, others, main))
        rest.append(_differences(of_subject, rivals, heights))
    if table["bound"]:
        rest.append(_shares(table, rows))
    hidden = "".join(_html(block) for block in rest)
    return (
        _html(_figures(table, name))
        + _html(_differences(title, compared, main))
        + (_hidden("By height, and all differences", hidden) if hidden else "")
    )


def _figures(table: Mapping[str, Any], name: str) -> Block:
    columns = {**DETECTION, **QUALITY}
    head = ["", *(title for title, _ in columns.values()), "GMAC", "parameters", "ms"]
    lines = []
    for row in table["rows"]:
        figures, cost = row["sets"].get(name, {}), row["cost"]
        ms = f"{cost['ms']:.0f}" if cost["ms"] else "-"
        costs = [f"{cost['gmac']:.2f}", f"{cost['parameters']:,}", ms]
        cells = [_value(figures, key, digits) for key, (_, digits) in columns.items()]
        lines.append([escape(row["name"]), *cells, *costs])
    return head, lines


def _by_height(table: Mapping[str, Any], name: str) -> Block:
    people, reach = table["pedestrians"][name], table["reach_recall"].get(name)
    head = [f"recall, at {' and '.join(f'{f:g}' for f in FPPI)} false positives per image"]
    head += [f"{b} px ({people.get(b, '-')}) at {f:g}" for f in FPPI for b in BINS]
    columns = dict(HEIGHTS)
    if reach is not None:
        head.append(f"least height for {reach:.3f}, px")
        columns |= REACH
    lines = []
    for row in table["rows"]:
        figures = row["sets"].get(name, {})
        cells = [_value(figures, key, digits) for key, (_, digits) in columns.items()]
        lines.append([escape(row["name"]), *cells])
    return head, lines


def _differences(
    title: str, rows: Mapping[str, Mapping[str, Any]], columns: Mapping[str, tuple[str, int]]
) -> Block:
    head = [escape(title), *(name for name, _ in columns.values())]
    lines = []
    for name, figures in rows.items():
        cells = [_change(figures.get(key) or {}, digits) for key, (_, digits) in columns.items()]
        lines.append([escape(name), *cells])
    if "least_height" in columns:
        head[-1] = "range"
        for line, figures in zip(lines, rows.values(), strict=True):
            line[-1] = _percent(figures.get("more_range") or {}, "value", "interval", "+.0f")
    return head, lines


def _shares(table: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Block:
    columns = {**DETECTION, **HEIGHTS}
    head = [f"gap closed to {escape(table['bound'])}", *(title for title, _ in columns.values())]
    lines = [
        [
            escape(name),
            *(_percent(figures.get(k) or {}, "share", "share_interval", ".0f") for k in columns),
        ]
        for name, figures in rows.items()
        if name not in (table["baseline"], table["bound"])
    ]
    return head, lines


def _value(figures: Mapping[str, Any], key: str, digits: int) -> str:
    """A figure, with its spread over several seeds."""
    entry = figures.get(key) or {}
    if entry.get("value") is None:
        return "-"
    text = f"{entry['value']:.{digits}f}"
    return text if entry.get("spread") is None else f"{text} ± {entry['spread']:.{digits}f}"


def _change(entry: Mapping[str, Any], digits: int) -> str:
    if entry.get("difference") is None:
        return "-"
    text = f"{entry['difference']:+.{digits}f}"
    if entry.get("interval") is None:
        return text
    low, high = entry["interval"]
    text = f"{text} <small>[{low:+.{digits}f}, {high:+.{digits}f}]</small>"
    return f"<b>{text}</b>" if low > 0 or high < 0 else text


def _percent(entry: Mapping[str, Any], key: str, limits: str, form: str) -> str:
    if entry.get(key) is None:
        return "-"
    text = f"{100 * entry[key]:{form}} %"
    if entry.get(limits) is None:
        return text
    low, high = entry[limits]
    return f"{text} <small>[{100 * low:{form}}, {100 * high:{form}}]</small>"


def _equal_macs(table: Mapping[str, Any]) -> str:
    if not table.get("equal_macs"):
        return ""
    a, b = table["equal_macs"]
    gmac = {row["name"]: row["cost"]["gmac"] for row in table["rows"]}
    deviation = gmac[a] / gmac[b] - 1
    verdict = "within" if abs(deviation) <= 0.05 else "NOT within"
    return escape(f"{a}: {100 * deviation:+.1f} % of the operations of {b}, {verdict} 5 %.")


def _html(block: Block) -> str:
    """The table without columns in which nothing stands; nothing where nothing is left."""
    head, lines = block
    filled = [k for k in range(1, len(head)) if any(line[k] != "-" for line in lines)]
    if not filled:
        return ""
    rows = [
        "<tr>" + "".join(f"<{tag}>{line[k]}" for k in (0, *filled))
        for line, tag in [(head, "th"), *((line, "td") for line in lines)]
    ]
    return f'<div class="wide"><table>{"".join(rows)}</table></div>\n'


def _hidden(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>{content}</details>"


def _plain(cell: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", cell))


def _notes(result: Mapping[str, Any]) -> str:
    height, width = result["cost_hw"]
    costs = [row["cost"] for table in result["tables"] for row in table["rows"]]
    threads = sorted({c["threads"] for c in costs if c["device"] == "cpu"})
    device = f"{' or '.join(map(str, threads))} CPU thread(s)" if threads else costs[0]["device"]
    return escape(
        f"GMAC and ms: for an LR image of {width}x{height} px, PyTorch eager, {device}. PSNR (dB) "
        "and SSIM on luminance, a border of a scale factor's px left out. features: distance of "
        "the HR detector's features, normalised over the channels, of what the detector sees and "
        "of HR (0: equal). AP50, AP30: COCO's average precision at IoU .5 and .3. MR⁻²: "
        "log-average miss rate at IoU .5; less is better. Heights in LR px; behind them in "
        "brackets, the number of pedestrians. Recall is at that many false positives per image. "
        f"Least height: down to which recall holds at {REACH_FPPI:g}, the recall being 0.9 of the "
        "bound's; range: by how much farther than the baseline's that reaches. ±: standard "
        f"deviation over seeds. In square brackets: 95 % intervals over images "
        f"({result['samples']:,} samples, paired for differences, seeds averaged); in bold those "
        "without 0. Images of one drive are alike, so the intervals of sets with few drives are "
        "too narrow."
    )
