"""The page of a study: figures, differences, shares; the committed one is made from its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tasksr_training.cli import main
from tasksr_training.studies.page import page, summary

DOCS = Path(__file__).resolve().parents[3] / "docs" / "study"


def row(name: str, **figures: Any) -> dict[str, Any]:
    cost = {"parameters": 1000, "gmac": 2.0, "ms": 3.4, "threads": 1, "device": "cpu"}
    return {"name": name, "cost": cost, "systems": [], "sets": {"set": figures}}


def study() -> dict[str, Any]:
    ours = {"value": 0.875, "spread": 0.1768, "difference": 0.375, "interval": [0.375, 0.375]}
    level = {"difference": -0.125, "interval": [-0.25, 0.0]}
    table = {
        "title": "A <table>",
        "scale_factor": 4,
        "baseline": "base",
        "bound": "hr",
        "subject": "ours",
        "equal_macs": ["base", "ours"],
        "rows": [
            row("base", ap50={"value": 0.5, "spread": None}),
            row("ours", ap50={**ours, "share": 0.75, "share_interval": [0.5, 1.0]}),
            row("hr", ap50={"value": 1.0, "difference": 0.5, "interval": None}),
        ],
        "rivals": {"set": {"hr": {"ap50": level}}},
        "pedestrians": {"set": {"images": 10, "all": 40}},
        "reach_recall": {"set": None},
    }
    return {"cost_hw": [96, 320], "samples": 20, "tables": [table]}


def cells(html: str) -> list[list[str]]:
    """The text of each line of each table."""
    lines = re.findall(r"<tr>(.*?)(?=<tr>|</table>)", html)
    return [[re.sub("<.+?>", " ", c).strip() for c in re.split("<t[hd]>", ln)[1:]] for ln in lines]


def test_figures_differences_and_shares() -> None:
    html = page(study())
    assert "<h2>A &lt;table&gt;, x4</h2>" in html
    assert "set: 10 images, 40 pedestrians" in html
    assert "base: +0.0 % of the operations of ours, within 5 %." in html
    lines = cells(html)
    assert lines[:4] == [
        ["", "AP50", "GMAC", "parameters", "ms"],  # and no column in which nothing stands
        ["base", "0.500", "2.00", "1,000", "3"],
        ["ours", "0.875 ± 0.177", "2.00", "1,000", "3"],
        ["hr", "1.000", "2.00", "1,000", "3"],
    ]
    assert ["ours less", "AP50"] in lines and ["hr", "-0.125  [-0.250, +0.000]"] in lines
    assert "<b>-0.125" not in html and "<b>+0.375 <small>[+0.375, +0.375]</small></b>" in html
    assert ["ours", "75 %  [50, 100]"] in lines


def test_summary_is_aligned() -> None:
    result = study()
    result["tables"][0]["rows"][0]["name"] = "TDSR's"
    title, head, *lines = summary(result).splitlines()
    assert title == "A <table>, x4" and head.split()[:2] == ["set", "AP50"]
    assert len({len(line) for line in [head, *lines]}) == 1
    assert lines[0].startswith("TDSR's") and lines[1].startswith("ours    0.875 ± 0.177")


def test_the_committed_page_is_that_of_the_committed_figures(tmp_path: Path) -> None:
    out = tmp_path / "index.html"
    assert main(["study-page", str(DOCS / "study.json"), "--html", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == (DOCS / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({"tables": [{}]})])
def test_another_file_is_refused_in_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    assert main(["study-page", str(file), "--html", str(tmp_path / "x.html")]) == 1
    error = capsys.readouterr().err
    assert f"{file}: expected a study.json, got" in error and error.count("\n") == 1
    assert not (tmp_path / "x.html").exists()
