"""Tests of tasksr_ros.benchmarks.engines: that it measures what it says; never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasksr_ros.benchmarks.config import EnginesConfig
from tasksr_ros.benchmarks.engine_forms import CHANNELS_FIRST
from tasksr_ros.benchmarks.engines import Case, cases
from tasksr_ros.cli.main import main

pytest.importorskip("openvino")

TINY = ["--networks", "dbpn-ss", "--scale_factors", "2", "--regions", "32x16"]


def test_engines_are_compared_with_the_reference_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the table goes between the marks of a document, nothing else of which is touched."""
    document, figures = tmp_path / "doc.md", tmp_path / "figures.json"
    marks = "<!-- benchmark engines -->\n{}<!-- end of benchmark engines -->"
    document.write_text("before\n" + marks.format("old\n") + "\nafter\n")
    arguments = [
        *("benchmark", "engines", *TINY, "--batches", "1", "2", "--rounds", "3", "--threads", "1"),
        *("--engines", "openvino fp32", "torch eager, LR space", CHANNELS_FIRST),
        *("--json", str(figures), "--record", str(document)),
    ]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    rows = {(r["engine"], r["batch"]): r for r in json.loads(figures.read_text())["rows"]}
    reference, eager, openvino = (
        "torch eager, reference graph",
        "torch eager, LR space",
        "openvino fp32",
    )
    assert set(rows) == {
        (reference, 1),
        (CHANNELS_FIRST, 1),
        *((e, b) for e in (eager, openvino) for b in (1, 2)),
    }
    single, pair = rows[openvino, 1], rows[openvino, 2]
    assert (single["to_singles"], rows[reference, 1]["speedup"]) == (1, 1)
    assert pair["to_singles"] == pytest.approx(pair["wall_ms"] / single["wall_ms"] / 2)
    assert pair["speedup"] == pytest.approx(2 * rows[reference, 1]["wall_ms"] / pair["wall_ms"])
    assert single["wall_ms"] <= single["p95_ms"] <= single["p99_ms"]
    assert pair["gmac"] == pytest.approx(2 * single["gmac"])
    text = document.read_text()
    assert text.startswith("before\n<!-- benchmark engines -->\n`")
    assert text.endswith(shown + "<!-- end of benchmark engines -->\nafter\n")
    assert "old" not in text
    assert "--json" not in text.split("`")[1]  # where somebody keeps figures tells nobody anything


def test_engine_cases_change_one_thing_at_a_time() -> None:
    config = EnginesConfig(
        networks=("a", "b"), scale_factors=(4, 2), regions=("8x8", "9x9"), batches=(4, 2)
    )
    assert list(cases(config)) == [
        Case("a", 4, "8x8", (1, 2, 4)),
        Case("b", 4, "8x8", (1,)),
        Case("a", 2, "8x8", (1,)),
        Case("a", 4, "9x9", (1,)),
    ]


def test_unknown_engines_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "engines", "--engines", "steam", *TINY]) == 1
    assert "got 'steam'" in capsys.readouterr().err
