"""Detections drawn into images: for the debug topic, annotated videos and contact sheets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_ros.blur import Blurs
from tasksr_ros.detections import Detections
from tasksr_ros.regions import Rect

Image = NDArray[np.uint8]
_DETECTION = (60, 255, 60)
_REGION = (255, 190, 60)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INSETS = 5
_DISTANT_HEIGHT = 0.12
_MOST_ZOOM = 8
_KERNEL, _LEAST_KERNEL = 0.1, 42
"""Side of a drawn kernel: share of the image's height, and px at least."""


def draw(
    image: Image,
    detections: Detections,
    regions: Sequence[Rect] = (),
    notes: Sequence[str] = (),
) -> Image:
    """Draw boxes, scores, region outlines and magnified insets into a copy.

    Args:
        image: (H, W, 3) uint8 BGR.
        detections: boxes in image px; green.
        regions: what was looked at; a thin blue outline.
        notes: one for each of the first regions, written into it.

    Returns:
        (H, W, 3) uint8 BGR. The strongest detections that are low are shown magnified along
        that of the upper and lower edges where they cover fewer detections.
    """
    canvas: Image = np.array(image, np.uint8, order="C")
    for rect in regions:
        cv2.rectangle(canvas, (rect.x0, rect.y0), (rect.x1 - 1, rect.y1 - 1), _REGION, 1)
    for rect, note in zip(regions, notes, strict=False):
        at = rect.x0 + 3, rect.y1 - 4
        _text(canvas, note, at, max(0.33, canvas.shape[1] / 3600), _REGION)
    order = np.argsort(-detections.score, kind="stable")
    for index in order[::-1]:
        _frame(canvas, tuple(detections.xyxy[index].tolist()), _DETECTION, gap=1)
    _scores(canvas, detections, order)
    _insets(canvas, image, detections, order)
    return canvas


def draw_blur(canvas: Image, blurs: Blurs | None) -> None:
    """Draw the estimated kernel into the upper right corner, with length and angle below it.

    Args:
        canvas: (H, W, 3) uint8 BGR, drawn into; one too small for it stays as it is.
        blurs: of the frame; None: nothing is drawn.
    """
    height, width = canvas.shape[:2]
    side = max(_LEAST_KERNEL, round(_KERNEL * height))
    if blurs is None or side + 2 > min(height, width):
        return
    kernel = blurs.kernel.clip(min=0)
    grey = np.asarray(kernel / max(float(kernel.max()), 1e-9) * 255, np.uint8)
    large = cv2.resize(grey, (side, side), interpolation=cv2.INTER_NEAREST)
    x, y = width - side - 2, 2
    canvas[y : y + side, x : x + side] = large[:, :, None]
    cv2.rectangle(canvas, (x, y), (x + side - 1, y + side - 1), _REGION, 1)
    scale = max(0.33, width / 3600)
    (w, h), _ = cv2.getTextSize(str(blurs.frame), _FONT, scale, 1)
    _text(canvas, str(blurs.frame), (max(0, width - w - 2), y + side + h + 4), scale, _REGION)


def contact_sheet(images: Sequence[Image], columns: int = 2, width: int = 960) -> Image:
    """Lay images out in a grid, row by row, each scaled to ``width`` px.

    Args:
        images: (H, W, 3) uint8 BGR; at least one; sizes may differ.
        columns: of the grid.
        width: of a cell, px.

    Returns:
        (H', W', 3) uint8 BGR.
    """
    if not images or columns < 1 or width < 1:
        raise ValueError(
            f"a contact sheet needs images, columns and width, got {len(images)}, {columns}, "
            f"{width}"
        )
    cells = []
    for image in images:
        size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
        shrink = image.shape[1] > width
        method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
        cell = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
        cells.append(cell)
    tall = max(cell.shape[0] for cell in cells)
    sheet = np.zeros(
        (math.ceil(len(cells) / columns) * tall, min(columns, len(cells)) * width, 3), np.uint8
    )
    for index, cell in enumerate(cells):
        y, x = index // columns * tall, index % columns * width
        sheet[y : y + cell.shape[0], x : x + width] = cell
    return sheet


def _frame(canvas: Image, box: tuple[float, ...], colour: tuple[int, int, int], gap: int) -> None:
    """A thin rectangle that leaves the pixels in the box, and ``gap`` around it, untouched."""
    x0, y0 = math.floor(box[0]) - gap, math.floor(box[1]) - gap
    x1, y1 = math.ceil(box[2]) - 1 + gap, math.ceil(box[3]) - 1 + gap
    cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 1)


def _text(
    canvas: Image, text: str, at: tuple[int, int], scale: float, colour: tuple[int, int, int]
) -> None:
    cv2.putText(canvas, text, at, _FONT, scale, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, text, at, _FONT, scale, colour, 1, cv2.LINE_AA)


def _scores(canvas: Image, detections: Detections, order: NDArray[np.intp]) -> None:
    """Write scores, the strongest first, where they do not run into one already written."""
    scale = max(0.33, canvas.shape[1] / 3600)
    taken: list[Rect] = []
    for index in order:
        x0, y0 = detections.xyxy[index, :2]
        label = f"{100 * detections.score[index]:.0f}"
        (w, h), _ = cv2.getTextSize(label, _FONT, scale, 1)
        x, y = int(np.clip(x0 - 1, 0, canvas.shape[1] - w)), max(int(y0) - 4, h)
        place = Rect(x, y - h, x + w, y)
        if any(_overlap(place, other) for other in taken):
            continue
        taken.append(place)
        _text(canvas, label, (x, y), scale, _DETECTION)


def _overlap(a: Rect, b: Rect) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


@dataclass(frozen=True)
class _Inset:
    source: Rect
    target: Rect


def _insets(canvas: Image, image: Image, detections: Detections, order: NDArray[np.intp]) -> None:
    height, width = image.shape[:2]
    heights = detections.xyxy[:, 3] - detections.xyxy[:, 1]
    low = [k for k in order if heights[k] < _DISTANT_HEIGHT * height]
    if not low or min(height, width) < 120:
        return
    side = min(round(0.27 * height), width // (_INSETS + 1))
    chosen = _apart(detections, low)[:_INSETS]
    centre = (detections.xyxy[:, 1] + detections.xyxy[:, 3]) / 2
    at_top = int((centre < side + 4).sum()) <= int((centre > height - side - 4).sum())
    top = 2 if at_top else height - side - 2
    for place, index in enumerate(sorted(chosen, key=lambda k: float(detections.xyxy[k, 0]))):
        inset = _inset(detections.xyxy[index], (width, height), side, (2 + place * (side + 4), top))
        _draw_inset(canvas, image, inset, at_top)


def _apart(detections: Detections, order: Sequence[int]) -> list[int]:
    """Leave out of ``order`` whoever is in the magnified picture of a stronger one."""
    xyxy = detections.xyxy
    chosen: list[int] = []
    for k in order:
        away = (
            abs(float(xyxy[k, 0] - xyxy[j, 0])) > float(xyxy[j, 3] - xyxy[j, 1]) for j in chosen
        )
        if all(away):
            chosen.append(k)
    return chosen


def _inset(
    box: NDArray[np.float32], size: tuple[int, int], side: int, at: tuple[int, int]
) -> _Inset:
    span = int(max(side / _MOST_ZOOM, 1.6 * float(max(box[2] - box[0], box[3] - box[1]))))
    span = min(span, side, *size)
    x = int(np.clip((box[0] + box[2] - span) / 2, 0, size[0] - span))
    y = int(np.clip((box[1] + box[3] - span) / 2, 0, size[1] - span))
    return _Inset(Rect(x, y, x + span, y + span), Rect(at[0], at[1], at[0] + side, at[1] + side))


def _draw_inset(canvas: Image, image: Image, inset: _Inset, at_top: bool) -> None:
    s, t = inset.source, inset.target
    crop = image[s.y0 : s.y1, s.x0 : s.x1]
    canvas[t.y0 : t.y1, t.x0 : t.x1] = cv2.resize(
        crop, (t.x1 - t.x0, t.y1 - t.y0), interpolation=cv2.INTER_CUBIC
    )
    cv2.rectangle(canvas, (t.x0, t.y0), (t.x1 - 1, t.y1 - 1), _DETECTION, 1)
    start = ((t.x0 + t.x1) // 2, t.y1 if at_top else t.y0)
    end = ((s.x0 + s.x1) // 2, s.y0 - 12 if at_top else s.y1 + 4)
    cv2.line(canvas, start, end, _DETECTION, 1, cv2.LINE_AA)
