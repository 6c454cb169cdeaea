"""How well ids last: pure functions over the frames of sequences.

Correspondences and switches are those of CLEAR MOT (Bernardin and Stiefelhagen, EURASIP J. Image
and Video Processing 2008): a person keeps the track of the frame before while both still overlap;
the others are matched anew, and a person matched to another track than last time is a switch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import NO_TRACK, Detections


@dataclass(frozen=True, eq=False)
class People:
    """The ground truth of one frame.

    Attributes:
        xyxy: (G, 4) image px.
        person: (G,) the same for one person in all frames of a sequence.
        ignore: (G,) bool; neither missed nor found, and what covers them is no false positive.
    """

    xyxy: NDArray[np.float64]
    person: tuple[str, ...]
    ignore: NDArray[np.bool_]


@dataclass(frozen=True)
class TrackScores:
    """Sums over sequences.

    Attributes:
        frames: images.
        people: counting boxes of the ground truth.
        found: of these, how many a detection matched.
        with_id: of these, how many by a detection that belongs to a track.
        false_positives: detections that match nothing.
        switches: how often a person's track changed.
        fragments: how often a person was found again after frames in which not.
    """

    frames: int = 0
    people: int = 0
    found: int = 0
    with_id: int = 0
    false_positives: int = 0
    switches: int = 0
    fragments: int = 0

    def __add__(self, other: TrackScores) -> TrackScores:
        names = self.__dataclass_fields__
        return TrackScores(*(getattr(self, name) + getattr(other, name) for name in names))

    @property
    def recall(self) -> float:
        """Share of the people found; nan where there are none."""
        return self.found / self.people if self.people else float("nan")

    @property
    def fppi(self) -> float:
        """False positives per image; nan without images."""
        return self.false_positives / self.frames if self.frames else float("nan")


def score_sequence(
    frames: Iterable[tuple[People, Detections]], iou_threshold: float
) -> TrackScores:
    """Score the frames of one sequence, in the order of their stamps.

    Args:
        frames: ground truth and tracked detections of each frame, boxes in image px.
        iou_threshold: least IoU of a match, and least share of a detection inside an ignored box.
    """
    last: dict[str, int] = {}  # the track that found each person last
    before: dict[str, int] = {}  # of those found in the frame before
    lost: set[str] = set()
    total = TrackScores()
    for people, detections in frames:
        pairs = _correspondences(people, detections, before, iou_threshold)
        before = {people.person[g]: int(detections.track_id[d]) for g, d in pairs.items()}
        tracked = {person: track for person, track in before.items() if track != NO_TRACK}
        switches = sum(last.get(person, track) != track for person, track in tracked.items())
        last.update(tracked)
        counting = {
            p for p, ignored in zip(people.person, people.ignore, strict=True) if not ignored
        }
        total += TrackScores(
            frames=1,
            people=len(counting),
            found=len(pairs),
            with_id=len(tracked),
            false_positives=_false_positives(people, detections, pairs, iou_threshold),
            switches=switches,
            fragments=len(lost & set(before)),
        )
        lost = (lost | (counting & set(last))) - set(before)
    return total


def _correspondences(
    people: People, detections: Detections, before: dict[str, int], iou_threshold: float
) -> dict[int, int]:
    """Detection of each counting person that was found, by their numbers."""
    iou, _ = _overlaps(people.xyxy, detections.xyxy)
    iou = np.where((iou >= iou_threshold) & ~people.ignore[:, None], iou, -1.0)
    kept = np.array(
        [
            [track != NO_TRACK and before.get(person) == track for track in detections.track_id]
            for person in people.person
        ],
        bool,
    ).reshape(iou.shape)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    order = np.argsort(-(iou + 2.0 * kept), axis=None, kind="stable")
    for g, d in zip(*np.unravel_index(order, iou.shape), strict=True):
        if iou[g, d] >= 0 and g not in pairs and d not in taken:
            pairs[int(g)] = int(d)
            taken.add(int(d))
    return pairs


def _false_positives(
    people: People, detections: Detections, pairs: dict[int, int], iou_threshold: float
) -> int:
    _, covered = _overlaps(people.xyxy[people.ignore], detections.xyxy)
    excused = np.asarray((covered >= iou_threshold).any(0))
    excused[list(pairs.values())] = True
    return int((~excused).sum())


def _overlaps(
    a: NDArray[np.floating], b: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(A, B) intersection over union of boxes, and over the area of b."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    return shared / np.maximum(union, 1e-9), shared / np.maximum(area_b[None], 1e-9)
