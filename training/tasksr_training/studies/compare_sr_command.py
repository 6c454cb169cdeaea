"""`tasksr-train compare-sr`: super-resolution networks to a table, plots and panels."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tasksr_training.studies.compare_sr import ComparisonConfig, compare
from tasksr_training.studies.compare_sr_report import curves, draw_panel, markdown, plot


def compare_sr(
    out: Path,
    data: Path,
    runs: Path,
    comparisons: list[ComparisonConfig],
    threads: int = 1,
) -> None:
    """Compare super-resolution networks: size, cost, PSNR and SSIM beside bicubic.

    Args:
        out: folder for ``compare_sr.json``, the table, the plot, training curves and panels.
        data: folder that the paths of image sets start from.
        runs: folder that the paths of training runs start from.
        comparisons: systems on the same LR images.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    result, panels = compare(comparisons, data, runs)
    (out / "compare_sr.json").write_text(json.dumps(result, indent=1))
    table = markdown(result)
    (out / "compare_sr.md").write_text(table)
    plot(result, out / "compare_sr.png")
    curves(comparisons, runs, out / "curves.png")
    for index, panel in enumerate(panels):
        draw_panel(panel, out / f"panel_{index + 1:02}.png")
    print(table)
