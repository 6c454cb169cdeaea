"""Panels of a table: which images, by rule from the predictions, and as which rows see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch

from tasksr_training.panels import choose, found_per_image, panel
from tasksr_training.studies.config import TableConfig
from tasksr_training.studies.figures import DISTANT, REACH_FPPI
from tasksr_training.studies.measure import ALL, ImageSet, set_file
from tasksr_training.studies.systems import load
from tasksr_training.studies.tables import MeasuredRow


def write_panels(
    table: TableConfig,
    entry: dict[str, Any],
    rows: Sequence[MeasuredRow],
    sets: Sequence[ImageSet],
    out: Path,
    index: int,
    device: torch.device,
) -> list[Path]:
    """Write a picture per set and rule: the subject's largest gain, largest loss and median.

    Of a row with several seeds the first is shown. What counts as found is at ``REACH_FPPI``.

    Args:
        table: whose rows.
        entry: the same in the study's JSON: thresholds.
        rows: whose predictions are written.
        sets: of images.
        out: folder of the study.
        index: of the table, for the files' names.
        device: where the networks run.
    """
    by_name = {row.config.name: row for row in rows}
    over = ALL if len(sets) > 1 else sets[0].name
    thresholds = {
        row["name"]: row["systems"][0]["thresholds"][over][f"{REACH_FPPI:g}"]
        for row in entry["rows"]
    }
    shown = [
        load(by_name[name].config, by_name[name].systems[0].parts, table, device)
        for name in table.panels
    ]
    limits = (DISTANT[0] * table.scale_factor, DISTANT[1] * table.scale_factor)
    written = []
    for one in sets:
        counts = []
        for name in (table.subject, table.baseline):
            label = by_name[name].systems[0].label
            file = set_file(out / "predictions" / label, one.name)
            detections = json.loads(file.read_text())["detections"]
            counts.append(found_per_image(one.images, detections, thresholds[name], limits))
        for rule, image in choose(one.images, *counts).items():
            path = out / f"panel_{index}_{one.name.replace('/', '_')}_{rule}.png"
            picture = panel(shown, image, thresholds, table.scale_factor, limits)
            cv2.imwrite(str(path), picture[..., ::-1])
            written.append(path)
    return written
