"""``study.md``: the tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasksr_training.study.figures import BINS, DISTANT, FPPI, REACH_FPPI

DISTANT_TEXT = f"{DISTANT[0]:g}-{DISTANT[1]:g} px"
QUALITY = {"psnr_y": ("PSNR-Y", 2), "ssim_y": ("SSIM", 3), "feature_distance": ("features", 3)}
DETECTION = {
    "ap50": ("AP50", 3),
    "ap30": ("AP30", 3),
    "miss_rate": ("MR⁻²", 3),
    "ap50_distant": (f"AP50 {DISTANT_TEXT}", 3),
    "miss_rate_distant": (f"MR⁻² {DISTANT_TEXT}", 3),
}
COLUMNS = {**QUALITY, **DETECTION}


def markdown(result: dict[str, Any]) -> str:
    """All tables of a study and what their columns mean."""
    return "\n\n".join([*(table_markdown(t) for t in result["tables"]), notes(result)]) + "\n"


def table_markdown(table: dict[str, Any]) -> str:
    """One table: a block of parts per set."""
    parts = [f"## {table['title']}, x{table['scale_factor']}", _costs(table)]
    for name, people in table["pedestrians"].items():
        parts.append(f"### {name}: {people['images']} images, {people['all']} pedestrians")
        parts.append(_figures(table, name))
        parts += [_recall(table, name, fppi) for fppi in FPPI]
        others = {
            r["name"]: r["sets"][name] for r in table["rows"] if r["name"] != table["baseline"]
        }
        parts.append(_differences(f"less {table['baseline']}", others))
        if rivals := table.get("rivals", {}).get(name):
            parts.append(_differences(f"{table['subject']} less", rivals))
        if table["bound"]:
            parts.append(_shares(table, name))
    return "\n\n".join(parts)


def _grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _costs(table: dict[str, Any]) -> str:
    lines = []
    for row in table["rows"]:
        cost = row["cost"]
        lines.append(
            [row["name"], f"{cost['parameters']:,}", f"{cost['gmac']:.2f}", f"{cost['ms']:.0f}"]
        )
    text = _grid(["", "parameters", "GMAC", "ms"], lines)
    if not table.get("equal_macs"):
        return text
    a, b = table["equal_macs"]
    gmac = {row["name"]: row["cost"]["gmac"] for row in table["rows"]}
    deviation = gmac[a] / gmac[b] - 1
    verdict = "within" if abs(deviation) <= 0.05 else "NOT within"
    return f"{text}\n\n{a}: {100 * deviation:+.1f} % of the operations of {b}, {verdict} 5 %."


def value(entry: dict[str, Any], digits: int) -> str:
    """A figure, with its spread over several seeds."""
    if entry["value"] is None:
        return "-"
    text = f"{entry['value']:.{digits}f}"
    return text if entry["spread"] is None else f"{text} ± {entry['spread']:.{digits}f}"


def _figures(table: dict[str, Any], name: str) -> str:
    head = ["", *(title for title, _ in COLUMNS.values())]
    lines = [
        [row["name"], *(value(row["sets"][name][k], digits) for k, (_, digits) in COLUMNS.items())]
        for row in table["rows"]
    ]
    return _grid(head, lines)


def _recall(table: dict[str, Any], name: str, fppi: float) -> str:
    people = table["pedestrians"][name]
    head = [f"recall at {fppi:g} FPPI", "all", *(f"{b} px ({people[b]})" for b in BINS)]
    keys = [f"recall@{fppi:g}", *(f"recall@{fppi:g}/{b}" for b in BINS)]
    recall = table["reach_recall"][name]
    last = recall is not None and fppi == REACH_FPPI
    if last:
        head.append(f"least height for a recall of {recall:.3f}, px")
        keys.append("least_height")
    lines = []
    for row in table["rows"]:
        figures = row["sets"][name]
        digits = [3] * (len(keys) - 1) + [1 if last else 3]
        cells = [value(figures[k], d) for k, d in zip(keys, digits, strict=True)]
        lines.append([row["name"], *cells])
    return _grid(head, lines)


def _differences(title: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    keys = {
        **COLUMNS,
        **{f"recall@{f:g}": (f"recall at {f:g}", 3) for f in FPPI},
        **{f"recall@{f:g}/{b}": (f"{b} px at {f:g}", 3) for f in FPPI for b in BINS},
    }
    lines = [
        [
            name,
            *(_change(figures[k], digits) for k, (_, digits) in keys.items()),
            _percent(figures["more_range"], "value", "interval", sign=True),
        ]
        for name, figures in rows.items()
    ]
    return _grid([title, *(title for title, _ in keys.values()), "range"], lines)


def _change(entry: dict[str, Any], digits: int) -> str:
    if entry["difference"] is None:
        return "-"
    text = f"{entry['difference']:+.{digits}f}"
    if entry["interval"] is None:
        return text
    low, high = entry["interval"]
    text = f"{text} [{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _shares(table: dict[str, Any], name: str) -> str:
    keys = [*DETECTION, *(f"recall@{f:g}/{b}" for f in FPPI for b in BINS)]
    titles = [
        *(title for title, _ in DETECTION.values()),
        *(f"{b} px at {f:g}" for f in FPPI for b in BINS),
    ]
    lines = [
        [row["name"], *(_percent(row["sets"][name][k], "share", "share_interval") for k in keys)]
        for row in table["rows"]
        if row["name"] not in (table["baseline"], table["bound"])
    ]
    return _grid([f"gap closed to {table['bound']}", *titles], lines)


def _percent(entry: dict[str, Any], key: str, limits: str, sign: bool = False) -> str:
    if entry[key] is None:
        return "-"
    form = "+.0f" if sign else ".0f"
    text = f"{100 * entry[key]:{form}} %"
    if entry[limits] is None:
        return text
    low, high = entry[limits]
    return f"{text} [{100 * low:{form}}, {100 * high:{form}}]"


def notes(result: Mapping[str, Any]) -> str:
    """What the columns mean."""
    height, width = result["cost_hw"]
    cost = result["tables"][0]["rows"][0]["cost"]
    device = f"{cost['threads']} thread(s)" if cost["device"] == "cpu" else cost["device"]
    return (
        f"GMAC and ms: for an LR image of {width}x{height} px, PyTorch eager, {device}. PSNR (dB) "
        "and SSIM on luminance, a border of a scale factor's px left out. features: distance of "
        "the HR detector's features, normalised over the channels, of what the detector sees and "
        "of HR (0: equal). AP50, AP30: COCO's average precision at IoU .5 and .3. MR⁻²: "
        "log-average miss rate at IoU .5. Heights in LR px; behind them in brackets, the number of "
        "pedestrians. FPPI: false positives per image. Least height: down to which recall holds "
        f"at {REACH_FPPI:g} FPPI, the recall being 0.9 of the bound's; range: by how much farther "
        "than the baseline's that reaches. ±: standard deviation over seeds. In square brackets: "
        f"95 % intervals over images ({result['samples']:,} samples, paired for differences, "
        "seeds averaged); in bold those without 0. Images of one drive are alike, so the "
        "intervals of sets with few drives are too narrow."
    )
