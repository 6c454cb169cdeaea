"""The card of a bundle, its README.md: one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasksr_ros.networks import BLIND_SR_NAMES

FIGURES = {
    "ap50": ("AP50", 3),
    "ap50_distant": ("AP50, people of 8 to 24 px", 3),
    "miss_rate": ("MR⁻² (less is better)", 3),
    "recall@1": ("recall at 1 false positive per image", 3),
    "psnr_y": ("PSNR-Y, dB", 2),
}
"""Of a table of `tasksr-train study`; the operations come on top."""

AVERAGED = "The weights are their exponential moving average."
SETS_SHOWN = 4
"""Of a comparison of super-resolution, the last ones."""


def detector_card(
    description: Mapping[str, Any],
    table: Mapping[str, Any],
    row: str,
    fppi: float,
    measured_by: str,
    page: str,
    notes: Sequence[str],
) -> str:
    """The card of super-resolution and a detector.

    Args:
        description: of the bundle: name, sr, detector, region_size, score_threshold and recipe.
        table: of a study's JSON; six figures of its last set are shown, those of the row, of the
            table's baseline and of its bound.
        row: of the bundle.
        fppi: false positives per image at the score threshold.
        measured_by: command that wrote the study.
        page: address of all figures; empty: none.
        notes: what else should be said of the figures.
    """
    width, height = description["region_size"]
    by_name = {r["name"]: r for r in table["rows"]}
    shown = [by_name[n] for n in dict.fromkeys([row, table["baseline"], table["bound"]]) if n]
    over = list(table["pedestrians"])[-1]
    people = table["pedestrians"][over]
    lines = [
        [title, *(_number(r["sets"][over].get(key, {}).get("value"), digits) for r in shown)]
        for key, (title, digits) in FIGURES.items()
    ]
    lines.append(["GMAC a region", *(_number(r["cost"]["gmac"], 2) for r in shown)])
    text = (
        f"Super-resolution {_network(description['sr'])} and detector "
        f"{_network(description['detector'])} in series: RGB regions of "
        f"{width}x{height} px in, boxes of pedestrians out.\nAt the score threshold of "
        f"{description['score_threshold']:g} there are {fppi:g} false positives per image below."
    )
    head = [f"{people['images']} images, {people['all']} people", *(r["name"] for r in shown)]
    measured = _measured(head, lines, table["scale_factor"], measured_by, page)
    return _page(description, text, measured, notes)


def sr_card(
    description: Mapping[str, Any],
    parameters: int,
    comparison: Mapping[str, Any],
    row: str,
    compared_by: str,
    page: str,
    notes: Sequence[str],
) -> str:
    """The card of super-resolution alone.

    Args:
        description: of the bundle: name, sr and recipe.
        parameters: how many weights.
        comparison: of ``compare_sr.json``; the row is shown beside the first one.
        row: of the bundle.
        compared_by: command that wrote the comparison.
        page: address of all figures; empty: none.
        notes: what else should be said of the figures.
    """
    by_name = {r["name"]: r for r in comparison["rows"]}
    shown = [comparison["rows"][0], by_name[row]]
    lines = [
        [f"PSNR-Y, dB: {name}", *(_number(r["mean"][name]["psnr_y"], 2) for r in shown)]
        for name in list(shown[0]["mean"])[-SETS_SHOWN:]
    ]
    lines.append(["GMAC a region", *(_number(r["cost"]["gmac"], 1) for r in shown)])
    text = (
        f"Super-resolution {_network(description['sr'])} alone, "
        "trained for the distance to the HR image, not for a detector; "
        f"{parameters:,} parameters.\n"
        f'`tasksr_ros.bundle.load_any_bundle("{description["name"]}").load_sr()` gives it.'
    )
    head = [comparison["title"], *(r["name"] for r in shown)]
    measured = _measured(head, lines, comparison["scale_factor"], compared_by, page)
    return _page(description, text, measured, notes)


def joined_card(
    description: Mapping[str, Any], offsets: Sequence[int], notes: Sequence[str]
) -> str:
    """The card of super-resolution before a detector as it is.

    Args:
        description: of the bundle: name, sr, detector, classes, region_size, score_threshold and
            recipe.
        offsets: of the frames that it looks at beside each frame; () of still images.
        notes: what else should be said.
    """
    width, height = description["region_size"]
    theirs, behind = description["detector"], description["recipe"]["detector"]
    network = _network(theirs) if "network" in theirs else f"of {theirs['decoder']}'s kind"
    after = [offset for offset in offsets if offset > 0]
    others = f" with the same place in {len(offsets)} other frames" if offsets else ""
    kernels = " and the blur's kernels" if description["sr"]["network"] in BLIND_SR_NAMES else ""
    text = (
        f"Super-resolution {_network(description['sr'])} and the detector of `{behind}` "
        f"({network}) in series: RGB regions of {width}x{height} px{others} in, boxes of "
        f"{', '.join(description['classes'])}{kernels} out.\n"
        f"The score threshold of {description['score_threshold']:g} is the detector's, or as it "
        "was given; it was not measured behind this network."
    )
    if after:
        text += (
            f"\n{len(after)} of the frames come after each frame: a running pipeline does not have "
            "them, the frame itself stands for them."
        )
    measured = (
        "Nothing yet. This measures it: "
        f"`tasksr replay DRIVE --bundle {description['name']} --ground-truth GT.json "
        "--predictions P.json`, then `tasksr evaluate`."
    )
    return _page(description, text, measured, notes)


def _network(section: Mapping[str, Any]) -> str:
    """A network of a bundle's description, in a few words."""
    factor = f" x{section['scale_factor']:g}" if "scale_factor" in section else ""
    options = "".join(f", {key} {value}" for key, value in section["options"].items())
    return f"`{section['network']}`{factor}{options}"


def _measured(
    head: Sequence[str],
    lines: Sequence[Sequence[str]],
    scale_factor: int,
    command: str,
    page: str,
) -> str:
    link = f" [All figures]({page})." if page else ""
    return (
        f"{_grid(head, lines)}\n\nThe images were **reduced by {scale_factor} for the "
        "laboratory** and are not native images of a camera; none was trained on."
        f"{link}\nBy `{command}`."
    )


def _page(description: Mapping[str, Any], text: str, measured: str, notes: Sequence[str]) -> str:
    recipe = description["recipe"]
    said = f"\n{_items(notes)}\n" if notes else ""
    licence = recipe.get("licence", "licence not stated").capitalize()
    return f"""# {description["name"]}

{text}

**{licence}**, because of the data that the weights were trained on:

{_items(recipe.get("data", []))}

## Recipe

{_items([f"`{stage}`" for stage in recipe.get("stages", [])])}

{_last_stage(recipe)}

## Measured

{measured}
{said}"""


def _last_stage(recipe: Mapping[str, Any]) -> str:
    """Steps and minutes, and devices and precision where its checkpoint tells."""
    if "steps" not in recipe:
        return "How long they were trained is not stated."
    text = f"The last stage ran {recipe['steps']} steps in {recipe['minutes']:g} minutes"
    if "ran_on" not in recipe:
        return f"{text}. {AVERAGED}"
    on = recipe["ran_on"]
    return (
        f"{text} on {on['devices']} x {on['device']} "
        f"(CPU threads: {on['threads']}, precision: {on['precision']}). {AVERAGED}"
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "- not stated"
