"""A page: the answer, and the same crops as LR, bicubic, super-resolved and HR, with boxes."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasksr_ros.detections import Detections
from tasksr_ros.merge import merge
from tasksr_training.adapt.frozen import Frozen, Seen
from tasksr_training.adapt.measure import ADAPTED, BICUBIC, X1
from tasksr_training.datasets import Batch
from tasksr_training.lr_space import super_resolve
from tasksr_training.whole_files import replace_text

Picture = NDArray[np.uint8]
LEAST_SCORE, NMS_IOU, MOST = 0.2, 0.5, 20
SIDE = 320
"""Of a crop on the page, px."""
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:110rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.3rem .6rem;text-align:left}"
    "img{display:block;max-width:100%}.answer{font-size:1.2rem}"
)


@torch.no_grad()
def crops_sheet(
    batches: Sequence[Batch],
    lrs: Sequence[Tensor],
    networks: dict[str, nn.Module],
    detector: Frozen,
) -> list[list[tuple[str, Picture]]]:
    """Rows of captioned crops, with what the detector sees in each.

    Args:
        batches: of HR patches.
        lrs: their LR copies.
        networks: enlarge LR, by name, from left to right.
        detector: that looks at what they make.
    """
    rows = []
    for batch, lr in zip(batches, lrs, strict=True):
        columns = {name: super_resolve(network, lr) for name, network in networks.items()}
        columns = {name: value.clamp(0, 1) for name, value in columns.items()}
        columns["HR"] = batch.hr
        seen = {name: detector(images) for name, images in columns.items()}
        for n in range(len(lr)):
            row = [("LR", _enlarged(lr[n], cv2.INTER_NEAREST))]
            row += [
                (name, _with_boxes(images[n], seen[name], n)) for name, images in columns.items()
            ]
            rows.append(row)
    return rows


def write_page(
    path: Path,
    answer: str,
    results: dict[str, dict[str, Any]],
    lines: Sequence[str],
    rows: Sequence[Sequence[tuple[str, Picture]]],
) -> None:
    """Write the page, pictures included."""
    said = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    tables = "".join(_table(name, result) for name, result in results.items())
    heads = "".join(f"<th>{html.escape(name)}</th>" for name, _ in (rows[0] if rows else ()))
    pictures = "".join(
        "<tr>" + "".join(f"<td>{_inline(picture)}</td>" for _, picture in row) + "</tr>"
        for row in rows
    )
    replace_text(
        path,
        "<!doctype html><html lang=en><meta charset=utf-8><title>Does it help?</title>"
        f"<style>{STYLE}</style><h1>Does it help?</h1><p class=answer>{html.escape(answer)}</p>"
        f"<ul>{said}</ul>{tables}<h2>What the detector sees</h2><p>Crops of held-out frames; boxes "
        f"of scores from {LEAST_SCORE:g} on.</p><table><tr>{heads}</tr>{pictures}</table></html>",
    )


_TITLES = {
    "agreement": "Reduced copies of held-out frames; truth: its best views of the frames",
    "labels": "Held-out frames as they are; truth: the labels",
}


def _table(name: str, result: dict[str, Any]) -> str:
    rows = ""
    for group, row in result.items():
        figures = "".join(
            f"<td>{'-' if row['ap'][s] is None else format(row['ap'][s], '.3f')}</td>"
            for s in (X1, BICUBIC, ADAPTED)
        )
        bounds, difference = row["interval"], "-"
        if bounds is not None:
            difference = f"{row['difference']:+.3f} [{bounds[0]:+.3f}, {bounds[1]:+.3f}]"
        rows += (
            f"<tr><td>{group}</td><td>{row['people']}</td><td>{row['frames']}</td>{figures}"
            f"<td>{difference}</td></tr>"
        )
    return (
        f"<h2>{_TITLES[name]}</h2><table><tr><th>people</th><th>number</th><th>frames</th>"
        f"<th>alone, AP50</th><th>bicubic</th><th>adapted</th><th>adapted less bicubic</th></tr>"
        f"{rows}</table>"
    )


def _with_boxes(image: Tensor, seen: Seen, n: int) -> Picture:
    picture = _enlarged(image, cv2.INTER_CUBIC)
    factor = picture.shape[1] / image.shape[2]
    strong = seen.scores[n] >= LEAST_SCORE
    found = Detections.from_arrays(
        seen.boxes[n][strong].cpu().numpy(), seen.scores[n][strong].cpu().numpy()
    )
    kept = merge(found, np.zeros(len(found), bool), NMS_IOU, MOST)
    for box, score in zip(kept.xyxy * factor, kept.score, strict=True):
        x0, y0, x1, y1 = box.round().astype(int).tolist()
        cv2.rectangle(picture, (x0, y0), (x1, y1), (0, 220, 0), 1)
        cv2.putText(
            picture, f"{score:.2f}", (x0, max(y0 - 3, 9)), 0, 0.38, (255, 230, 0), 1, cv2.LINE_AA
        )
    return picture


def _enlarged(image: Tensor, way: int) -> Picture:
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    height = round(SIDE * pixels.shape[0] / pixels.shape[1])
    resized = cv2.resize(np.ascontiguousarray(pixels), (SIDE, height), interpolation=way)
    return np.ascontiguousarray(resized, np.uint8)


def _inline(picture: Picture) -> str:
    _, code = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return f'<img src="data:image/png;base64,{base64.b64encode(code.tobytes()).decode()}">'
