"""The detector at its best: what it sees in several views of a frame, as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tasksr_training.adapt.config import TeacherConfig
from tasksr_training.adapt.frames import FOLDER, Frames
from tasksr_training.adapt.systems import Found
from tasksr_training.box_fusion import box_iou
from tasksr_training.whole_files import replace_text

SEEN = "seen.jsonl"
Image = NDArray[np.uint8]
Look = Callable[[Image], Found]
Sightings = Mapping[str, Found]
"""People by the frame's file: boxes (K, 4) xyxy px of the frame and scores (K,)."""

_LEAST = 0.05
"""Weaker detections of a view are nobody's."""
_ROOM = 32
"""Above and below what is looked at closer, px of the frame."""
_EDGE = 2
"""A box this near to where that ends may be part of a person, px of the frame."""
_WITNESSES = 2
"""Views whose scores count for a person: the best ones."""


def best_views(
    frames: Frames, look: Look, height: int, config: TeacherConfig, out: Path
) -> dict[str, Found]:
    """What the detector sees in all views of each frame; views are looked at once in a run.

    Args:
        frames: that were chosen, with what it saw in them at their own size.
        look: the detector on whole images.
        height: of what it sees at once, px.
        config: which views.
        out: folder of the run.
    """
    path = out / FOLDER / SEEN
    asked = json.dumps(asdict(config))
    known = _known(path, asked)
    lines = [json.dumps([file, *known[file]]) for file in known]
    replace_text(path, "".join(f"{line}\n" for line in (asked, *lines)))
    every = [*frames.train, *frames.held_out]
    pending = [frame for frame in every if frame.file not in known]
    with path.open("a", encoding="utf-8") as file:
        for frame in tqdm(pending, "looking closer", mininterval=2, disable=not pending):
            own = _found(frame.boxes, frame.scores)
            views = _views(frames.image(frame), own, look, height, config)
            boxes, scores = fused([own, *views], config.same)
            known[frame.file] = [v.astype(float).round(3).tolist() for v in (boxes, scores)]
            file.write(json.dumps([frame.file, *known[frame.file]]) + "\n")
            file.flush()
    return {f.file: _found(*known[f.file]) for f in every}


def fused(views: Sequence[Found], same: float) -> Found:
    """One list of people of several views.

    Each box, the strongest first, is joined by the best of each other view that overlaps it by an
    IoU of ``same``. A person's box is their mean, weighted by their scores; the score is the mean
    of the two best: what one view alone sees has half of its score.
    """
    boxes = np.concatenate([b for b, _ in views]).reshape(-1, 4)
    scores = np.concatenate([s for _, s in views])
    view = np.repeat(np.arange(len(views)), [len(s) for _, s in views])
    free = scores >= _LEAST
    overlap = box_iou(boxes, boxes)
    witnesses = min(_WITNESSES, len(views))
    people = []
    for k in np.argsort(-scores, kind="stable"):
        if not free[k]:
            continue
        near = free & (overlap[k] >= same)
        free &= ~near
        joined = [k]
        for other in set(view[near].tolist()) - {int(view[k])}:
            mine = np.flatnonzero(near & (view == other))
            joined.append(mine[np.argmax(scores[mine])])
        box = np.average(boxes[joined], axis=0, weights=scores[joined])
        people.append((box, np.sort(scores[joined])[-witnesses:].sum() / witnesses))
    return _found([box for box, _ in people], [score for _, score in people])


def _views(
    image: Image, own: Found, look: Look, height: int, config: TeacherConfig
) -> Iterator[Found]:
    """Of the frame mirrored, and enlarged where it nearly sees someone small."""
    if config.mirrored:
        boxes, scores = look(np.ascontiguousarray(image[:, ::-1]))
        boxes = boxes.copy()
        boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
        yield boxes, scores
    for scale in config.scales:
        # Taller ones may be cut where one look ends.
        most = height / 2 / scale
        top, bottom = _rows(own, most, len(image))
        if top == bottom:
            yield _found([], [])
            continue
        band = image[top:bottom]
        enlarged = cv2.resize(band, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        boxes, scores = look(np.asarray(enlarged, np.uint8))
        boxes = boxes / np.float32(scale) + np.float32([0, top, 0, top])
        whole = (boxes[:, 1] > top + _EDGE) | (top == 0)
        whole &= (boxes[:, 3] < bottom - _EDGE) | (bottom == len(image))
        small = whole & (boxes[:, 3] - boxes[:, 1] <= most)
        yield boxes[small], scores[small]


def _rows(own: Found, most: float, height: int) -> tuple[int, int]:
    """From which row to which there may be people up to that height, with some room around."""
    boxes, scores = own
    small = boxes[(scores >= _LEAST) & (boxes[:, 3] - boxes[:, 1] <= most)]
    if not len(small):
        return 0, 0
    return max(int(small[:, 1].min()) - _ROOM, 0), min(int(small[:, 3].max()) + _ROOM, height)


def _found(boxes: Sequence[Sequence[float]], scores: Sequence[float]) -> Found:
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)


def _known(path: Path, asked: str) -> dict[str, list[list[float]]]:
    """What was seen before in the same views; the end of a file that was cut off is left out."""
    known: dict[str, list[list[float]]] = {}
    if not path.is_file():
        return known
    first, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for line in lines if first == asked else ():
        try:
            file, boxes, scores = json.loads(line)
        except ValueError:
            break
        known[file] = [boxes, scores]
    return known
