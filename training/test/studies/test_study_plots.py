"""The study's plots can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from tasksr_training.studies.plots import cost_plot, quality_plot

NAMES = ["bicubic + detector retrained", "SR + detector retrained", "TDSR plain", "TDSR hybrid"]


def row(name: str, psnr: float | None, ap50: float) -> dict[str, Any]:
    figures = {
        "psnr_y": {"value": psnr},
        "ap50": {"value": ap50, "seeds": [ap50]},
    }
    return {"name": name, "curve": "", "cost": {"gmac": 9.0}, "sets": {"all": figures}}


@pytest.mark.parametrize("plot", [quality_plot, cost_plot])
@pytest.mark.parametrize("psnr", [28.0, 28.4])
def test_names_of_points_that_lie_together_are_apart(
    plot: Any, psnr: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    rows = [row(name, psnr + 0.001 * k, 0.43) for k, name in enumerate(NAMES)]
    rows += [row("LR", 27.0, 0.1), row("elsewhere", 29.0, 0.3)]
    table = {"title": "T", "scale_factor": 4, "baseline": NAMES[0], "rows": rows}
    plot(table, "all", tmp_path / "plot.png")
    (figure,) = drawn
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert sorted(t.get_text() for t in axes.texts) == sorted(r["name"] for r in rows)
    boxes = [t.get_window_extent() for t in axes.texts]
    for k, box in enumerate(boxes):
        assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[:k])
