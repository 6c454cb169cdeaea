"""Paste a pedestrian from one image into another: distant people in front of many backgrounds.

Where and how large: as a pedestrian that is there. The pasted one stands on about the row of a
pedestrian of the same image, or of another image of the same set and size, at about its height.
A camera at eye level sees people of one height with their heads in one row: a person who is drawn
a bit larger stands a bit lower. Only people who are whole, upright and clear of others are copied,
only from at least the height that is needed, and never onto a box.

The person is cut out by GrabCut (Rother et al., SIGGRAPH 2004; OpenCV's), which starts from an
ellipse in the box; where it finds hardly anything or nearly all of the box, nobody is pasted. The
edge is softened, and the brightness is fitted to where it is pasted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasksr_training.coco import LabelledImage
from tasksr_training.hard_backgrounds import overlaps

Images = NDArray[np.uint8]

MARGIN = 0.12
"""Of the box's width and height, around it: room for the mask to fade."""
EYE = 0.82
"""Height of the camera over that of a person, 1.4 m over 1.7 m."""
HEIGHTS = (0.85, 1.2)
"""Range of the pasted height over that of the pedestrian whose place it takes as a model."""
LARGEST = 6.0
"""A donor may be this many times as high as what is pasted."""
ASPECTS = (0.2, 0.7)
"""Width over height of people who are upright and whole."""
LEAST_HEIGHT = 24
"""px; of a donor."""
CUT_HEIGHT = 96
"""px; at most, of the person while it is cut out."""
CUT_STEPS = 3
FILLED = (0.25, 0.8)
"""Share of the box that a person may fill."""
NO_RECTANGLE = (0, 0, 1, 1)
"""Not looked at: GrabCut starts from a mask here."""
GAINS = (0.5, 2.0)
TRIES = 10


class CopyPaste:
    """Pastes people into the images of several sets.

    Args:
        images: of each set, decoded.
    """

    def __init__(self, images: Sequence[Sequence[LabelledImage]]) -> None:
        self._images = images
        donors = [
            (float(image.boxes[b, 3] - image.boxes[b, 1]), image, b)
            for one in images
            for image in one
            for b in _whole(image)
        ]
        self._donors = sorted(donors, key=lambda d: d[0])
        self._heights = np.array([d[0] for d in self._donors])
        self._models = [_models(one) for one in images]

    def paste(
        self, source: int, index: int, rng: np.random.Generator
    ) -> tuple[LabelledImage, int] | None:
        """Paste one person; the same generator state gives the same image.

        Args:
            source: position of the set.
            index: position of the image in it.
            rng: where what is random comes from.

        Returns:
            A copy of the image with one box more, and that box's index; None where the image has
            no place for a person, or nobody is fit to be copied.
        """
        target = self._images[source][index]
        own = target.boxes[~target.ignore]
        models = own if len(own) else self._models[source].get(target.image.shape[:2], own)
        if not len(models):
            return None
        model = models[int(rng.integers(len(models)))]
        height = float(model[3] - model[1]) * float(rng.uniform(*HEIGHTS))
        foot = float(model[3]) + EYE * (height - float(model[3] - model[1]))
        first = int(np.searchsorted(self._heights, max(height, LEAST_HEIGHT)))
        last = int(np.searchsorted(self._heights, LARGEST * height, side="right"))
        if first >= last or foot > target.image.shape[0]:
            return None
        _, image, b = self._donors[int(rng.integers(first, last))]
        cut = _cut_out(image, b, height, rng)
        if cut is None:
            return None
        crop, mask = cut
        box = _free_place(target, foot, crop.shape[1] / (1 + 2 * MARGIN), height, rng)
        if box is None:
            return None
        return _pasted(target, crop, mask, box), len(target.boxes)


def _whole(image: LabelledImage) -> list[int]:
    """Indices of the people who can be copied."""
    found = []
    height, width = image.image.shape[:2]
    for b in np.flatnonzero(~image.ignore):
        x0, y0, x1, y1 = image.boxes[b]
        inside = x0 >= 1 and y0 >= 1 and x1 <= width - 1 and y1 <= height - 1
        upright = ASPECTS[0] <= (x1 - x0) / (y1 - y0) <= ASPECTS[1]
        others = np.delete(image.boxes, b, 0)
        if (
            inside
            and upright
            and y1 - y0 >= LEAST_HEIGHT
            and not overlaps(image.boxes[b : b + 1], others)[0]
        ):
            found.append(int(b))
    return found


def _models(images: Sequence[LabelledImage]) -> dict[tuple[int, ...], NDArray[np.float32]]:
    """Boxes of all pedestrians of a set, by the size of their images."""
    boxes: dict[tuple[int, ...], list[NDArray[np.float32]]] = {}
    for image in images:
        boxes.setdefault(image.image.shape[:2], []).append(image.boxes[~image.ignore])
    return {size: np.concatenate(found) for size, found in boxes.items()}


def _cut_out(
    image: LabelledImage, box: int, height: float, rng: np.random.Generator
) -> tuple[Images, NDArray[np.float32]] | None:
    """A person with a margin, the box resampled to ``height`` px, and a mask from 0 to 1."""
    x0, y0, x1, y1 = image.boxes[box]
    extent = np.array([x1 - x0, y1 - y0])
    corner = np.array([x0, y0]) - extent * MARGIN
    outer = extent * (1 + 2 * MARGIN)
    crop = _cropped(image.image, *_whole_px(corner, np.floor), *_whole_px(corner + outer, np.ceil))
    crop = _resized(crop, outer * min(1.0, CUT_HEIGHT / float(extent[1])))
    mask = person_mask(crop)
    size = outer * height / float(extent[1])
    crop, mask = _resized(crop, size), _resized(mask, size)
    if not FILLED[0] <= float(mask.mean()) * (1 + 2 * MARGIN) ** 2 <= FILLED[1]:
        return None
    way = -1 if rng.random() < 0.5 else 1
    return crop[:, ::way], mask[:, ::way]


def person_mask(crop: Images) -> NDArray[np.float32]:
    """(H, W) mask, 0 to 1, of the person in an (H, W, 3) crop that has ``MARGIN`` around it."""
    height, width = crop.shape[:2]
    y, x = (np.mgrid[0:height, 0:width] + 0.5) / np.array([height, width])[:, None, None] * 2 - 1
    in_box = (1 + 2 * MARGIN) * np.maximum(np.abs(x), np.abs(y)) <= 1
    distance = (1 + 2 * MARGIN) * np.hypot(x, y)
    start = np.where(in_box, cv2.GC_PR_BGD, cv2.GC_BGD)
    start[distance < 1] = cv2.GC_PR_FGD
    start[(distance < 0.75) & (np.abs(x) < 0.12)] = cv2.GC_FGD
    found = start.astype(np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(1)  # the clusters that GrabCut starts from
    cv2.grabCut(
        np.ascontiguousarray(crop), found, NO_RECTANGLE, *models, CUT_STEPS, cv2.GC_INIT_WITH_MASK
    )
    mask = np.isin(found, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.8), np.float32)


def _whole_px(place: NDArray[np.floating], rounded: Callable[..., Any]) -> list[int]:
    return [int(v) for v in rounded(place)]


def _resized(image: Any, size: NDArray[np.floating]) -> Any:
    width, height = (max(1, round(float(v))) for v in size)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _cropped(image: Images, x0: int, y0: int, x1: int, y1: int) -> Images:
    """Part of an image; beyond its edges they are repeated."""
    rows = np.arange(y0, y1).clip(0, image.shape[0] - 1)
    columns = np.arange(x0, x1).clip(0, image.shape[1] - 1)
    return np.asarray(image[rows[:, None], columns], np.uint8)


def _free_place(
    target: LabelledImage, foot: float, width: float, height: float, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """A (4,) box on that row which touches no other and lies in the image, or None."""
    room = target.image.shape[1] - width
    if room <= 0 or foot - height < 0:
        return None
    for _ in range(TRIES):
        x = float(rng.random()) * room
        box = np.array([x, foot - height, x + width, foot], np.float32)
        wide = box + np.array([-1, -1, 1, 1], np.float32) * MARGIN * width
        if not overlaps(wide[None], target.boxes)[0]:
            return box
    return None


def _pasted(
    target: LabelledImage, crop: Images, mask: NDArray[np.float32], box: NDArray[np.float32]
) -> LabelledImage:
    height, width = mask.shape
    x = round(float(box[0] + box[2] - width) / 2)
    y = round(float(box[1] + box[3] - height) / 2)
    below = _cropped(target.image, x, y, x + width, y + height)
    lit = crop.astype(np.float32) * _gain(crop, below, mask)
    blended = below + (lit - below) * mask[..., None]
    image = target.image.copy()
    rows = slice(max(y, 0), min(y + height, image.shape[0]))
    columns = slice(max(x, 0), min(x + width, image.shape[1]))
    part = blended[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    image[rows, columns] = part.round().clip(0, 255)
    return replace(
        target,
        image=image,
        boxes=np.concatenate([target.boxes, box[None]]),
        ignore=np.concatenate([target.ignore, [False]]),
        neighbours=(),  # nobody was pasted into these
    )


def _gain(crop: Images, below: Images, mask: NDArray[np.float32]) -> float:
    """Brightness of the surroundings there over that of the surroundings here."""
    around = mask < 0.1
    there, here = float(below[around].mean()), float(crop[around].mean())
    return float(np.clip((there + 1) / (here + 1), *GAINS))
