"""Which regions of the distant band are looked at, where a frame's budget is less than all.

First come tiles that would else wait longer than ``region.revisit``; then regions around people,
weak detections of the near pass and where those of the frames before should be by now, before
those of whom the near pass is sure; what is left of the budget goes to the tiles that were not
looked at for long, sooner where people were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.config import RegionConfig, TrackingConfig
from tasksr_ros.detections import Detections
from tasksr_ros.merge import merge
from tasksr_ros.regions import Rect, Tile
from tasksr_ros.tracking import Tracker

WEAK = 0.25
"""Least score of a detection of the near pass that is looked at again, as a share of the
threshold, where the bundle says no weak threshold."""

KNOWN = 0.5
"""Least score of who is remembered from frame to frame, as a share of the threshold, likewise."""

SURE = 0.3
"""What a person counts whom the near pass finds as it is, where a doubtful one counts up to 1."""

LOST = 0.5
"""What a person who is not seen any more counts, just before they are forgotten."""

MARGIN = 8.0
"""Least px of a region around a person for whose sake it is looked at."""

MAX_TARGETS = 64
"""Most people for whose sake regions are looked at."""

JUMP_NS = 1_000_000_000
"""A stamp older than the newest by more than this begins anew."""

_CELLS = (8, 4)
"""Columns and rows of a region in which it is remembered what was seen when."""

_SAME = 0.3
"""IoU of two boxes, of the near pass or of a track, that are one person."""

_HABIT, _PERIOD = 0.05, 0.2
"""Share of the newest in the average of people in a look, and of the time between two frames."""

_ASPECT = 0.41
"""Width of a person's box by its height."""

_MOMENT = 1e-3
"""Added to times, s: of cells that waited for none, more are better, too."""


@dataclass(frozen=True)
class Attended:
    """What of the distant band is looked at in one frame.

    Attributes:
        tiles: in the order in which they were chosen.
        why: of each: ``revisit``, it waited for long; ``person``; ``turn``, budget was left;
            ``all``.
        coverage: share of the band that was looked at within ``region.revisit``, now included.
        oldest_s: time since the last look, s, of the part of the band that waits longest.
        revisit_s: ``region.revisit``, s.
    """

    tiles: tuple[Tile, ...]
    why: tuple[str, ...]
    coverage: float
    oldest_s: float
    revisit_s: float


@dataclass(eq=False)
class _Memory:
    """What is known of the cells of one band, each array (rows, columns).

    Attributes:
        grid: the tiles of the band.
        x, y: (columns,) and (rows,) centres of the cells, image px.
        seen_ns: stamp of the last look; of the first frame before that.
        looks: number of the frame of the last look, -1 before that.
        people: found there in a look, on average.
    """

    grid: tuple[Tile, ...]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    seen_ns: NDArray[np.int64]
    looks: NDArray[np.int64]
    people: NDArray[np.float64]

    @classmethod
    def of(cls, grid: tuple[Tile, ...], stamp_ns: int) -> _Memory:
        rects = [tile.rect for tile in grid]
        x = _centres(min(r.x0 for r in rects), max(r.x1 for r in rects), rects[0].width, _CELLS[0])
        y = _centres(min(r.y0 for r in rects), max(r.y1 for r in rects), rects[0].height, _CELLS[1])
        shape = len(y), len(x)
        return cls(
            grid, x, y, np.full(shape, stamp_ns), np.full(shape, -1), np.zeros(shape, np.float64)
        )

    def cells(self, rect: Rect) -> tuple[slice, slice]:
        """Rows and columns of the cells with their centres in a rectangle."""
        rows = np.searchsorted(self.y, (rect.y0, rect.y1))
        columns = np.searchsorted(self.x, (rect.x0, rect.x1))
        return slice(*rows.tolist()), slice(*columns.tolist())


class Attention:
    """Chooses the regions of one camera's frames, in the order of their stamps.

    The same frames and detections give the same choice. A stamp that jumps back by more than
    ``JUMP_NS`` begins anew; an older one within that is a late frame, which ages nothing.

    Args:
        region: budget, band and mounting.
        tracking: how long people who are not seen are remembered.
        thresholds: least score of a detection of each class.
        weak_share: of these, the least score of who is looked at again. Scores that are
            probabilities fall faster than others where somebody is in doubt: shares are taken to
            the power that makes this one ``WEAK``.
    """

    def __init__(
        self,
        region: RegionConfig,
        tracking: TrackingConfig,
        thresholds: NDArray[np.float32],
        weak_share: float = WEAK,
    ) -> None:
        self.thresholds = thresholds
        self._weak_share = weak_share
        self._power = math.log(WEAK) / math.log(weak_share)
        self._revisit_ns = round(region.revisit * 1e9)
        remembering = replace(tracking, min_hits=1, weak_score=1.0)
        self._tracker = Tracker(remembering, region, self.known_scores)
        self._max_gap_s = tracking.max_gap
        self.reset()

    @property
    def known_scores(self) -> NDArray[np.float32]:
        """Least score of each class of who is remembered."""
        return np.asarray(KNOWN ** (1 / self._power) * self.thresholds, np.float32)

    @property
    def weak_scores(self) -> NDArray[np.float32]:
        """Least score of each class of what the near pass found to be looked at again."""
        return np.asarray(self._weak_share * self.thresholds, np.float32)

    def reset(self) -> None:
        """Forget the frames before."""
        self._memory: _Memory | None = None
        self._newest_ns = 0
        self._period_ns = 0.0
        self._frames = 0
        self._tracker.reset()

    def choose(
        self,
        stamp_ns: int,
        grid: tuple[Tile, ...],
        image_size: tuple[int, int],
        candidates: Detections,
        budget: int,
    ) -> Attended:
        """What to look at.

        Args:
            stamp_ns: of the frame.
            grid: the tiles that cover the band, all of one size.
            image_size: (width, height) in image px.
            candidates: of the near pass, image px; those below ``weak_scores`` are left out.
            budget: most regions, 1 or more; that many or fewer tiles are all looked at.
        """
        memory, stamp_ns = self._at(stamp_ns, grid)
        age_s = np.maximum(0, stamp_ns - memory.seen_ns) / 1e9
        if budget >= len(grid):
            return self._attended(memory, age_s, grid, ["all"] * len(grid))
        choice = _Choice(memory, age_s, image_size)
        due = self._due(memory, age_s, budget)
        for index in due:
            choice.take(grid[index].rect, "revisit")
        boxes, weights = self._people(candidates, stamp_ns)
        choice.take_people(boxes, weights, budget, self._revisit_ns / 1e9)
        choice.take_turns(budget)
        return self._attended(memory, age_s, choice.tiles, choice.why)

    def saw(self, attended: Attended, detections: Detections, stamp_ns: int) -> None:
        """Remember what was looked at, and who was found in the whole frame, image px.

        Args:
            attended: what `choose` returned.
            detections: merged, from ``known_scores`` on.
            stamp_ns: of the frame.
        """
        memory = self._memory
        if memory is None:
            return
        stamp_ns = max(stamp_ns, self._newest_ns)
        looked = np.zeros(memory.people.shape, bool)
        for tile in attended.tiles:
            looked[memory.cells(tile.rect)] = True
        memory.seen_ns[looked], memory.looks[looked] = stamp_ns, self._frames
        found = _counted(memory, detections.xyxy)
        memory.people[looked] += _HABIT * (found - memory.people)[looked]
        self._tracker.update(detections, stamp_ns)
        self._frames += 1

    def follow(self, other: Attention) -> None:
        """Go on with what another attention of the same camera knows."""
        names = "_memory", "_newest_ns", "_period_ns", "_frames", "_tracker"
        for name in names:
            setattr(self, name, getattr(other, name))
        self._tracker.thresholds = np.asarray(self.known_scores, np.float64)

    def _at(self, stamp_ns: int, grid: tuple[Tile, ...]) -> tuple[_Memory, int]:
        """The memory of the band, and the time of a frame."""
        if stamp_ns and stamp_ns < self._newest_ns - JUMP_NS:
            self.reset()
        if self._memory is None or self._memory.grid != grid:
            self._memory, self._newest_ns = _Memory.of(grid, stamp_ns), stamp_ns
        passed_ns = stamp_ns - self._newest_ns
        if passed_ns > 0:
            share = _PERIOD if self._period_ns else 1.0
            self._period_ns += share * (passed_ns - self._period_ns)
        self._newest_ns = max(self._newest_ns, stamp_ns)
        return self._memory, self._newest_ns

    def _due(self, memory: _Memory, age_s: NDArray[np.float64], budget: int) -> list[int]:
        """Tiles that must be looked at now, so that all are in time; the oldest first.

        Their looks are spread evenly: in the long run as many a frame as there are tiles by
        frames within ``region.revisit``. Where the whole budget would not suffice, they get half
        of it.
        """
        if not self._period_ns:
            return []
        oldest = np.array([age_s[memory.cells(tile.rect)].max() for tile in memory.grid])
        order = np.lexsort((np.arange(len(oldest)), -oldest))
        period_s, revisit_s = self._period_ns / 1e9, self._revisit_ns / 1e9
        rate = len(order) / max(1.0, revisit_s / period_s)
        if rate > budget:
            number = (self._frames + 1) * budget // 2 - self._frames * budget // 2
        else:
            frames_left = np.maximum(0, np.floor((revisit_s - oldest[order]) / period_s + 1e-6))
            wanted = np.arange(1, len(order) + 1) - rate * frames_left
            number = min(budget, max(0, math.floor(wanted.max() + 1e-6)))
        return [int(k) for k in order[:number]]

    def _people(
        self, candidates: Detections, stamp_ns: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, 4) boxes of people who may be there, and (N,) how much each counts, 0 to 1.

        Most count those whom a look may decide on: the nearer to the threshold of the near pass
        the more, who was found before like them. Who is found without a look counts less.
        """
        least = self.thresholds[candidates.class_id]
        likely = candidates.score >= self.weak_scores[candidates.class_id]
        weak = candidates.select(likely & (least <= 1))
        weak = merge(weak, np.zeros(len(weak), bool), _SAME, MAX_TARGETS)
        share = (weak.score / self.thresholds[weak.class_id]) ** self._power
        boxes, unseen_s = self._tracker.predicted(stamp_ns, _ASPECT)
        known = 1 - (1 - LOST) * unseen_s / self._max_gap_s
        same = _iou(boxes, weak.xyxy.astype(np.float64)) >= _SAME
        doubtful = np.maximum(share, (known[:, None] * same).max(0, initial=0.0))
        unseen = ~same.any(1)
        weights = np.concatenate((np.where(share < 1, doubtful, SURE), known[unseen]))
        first = np.argsort(-weights, kind="stable")[:MAX_TARGETS]
        return np.concatenate((weak.xyxy, boxes[unseen]))[first].astype(np.float64), weights[first]

    def _attended(
        self,
        memory: _Memory,
        age_s: NDArray[np.float64],
        tiles: Sequence[Tile],
        why: Sequence[str],
    ) -> Attended:
        looked = np.zeros(age_s.shape, bool)
        for tile in tiles:
            looked[memory.cells(tile.rect)] = True
        fresh = looked | ((memory.looks >= 0) & (age_s <= self._revisit_ns / 1e9))
        oldest_s = float(np.where(looked, 0.0, age_s).max())
        coverage, revisit_s = float(fresh.mean()), self._revisit_ns / 1e9
        return Attended(tuple(tiles), tuple(why), coverage, oldest_s, revisit_s)


class _Choice:
    """The regions of one frame, as they are chosen one after the other."""

    def __init__(
        self, memory: _Memory, age_s: NDArray[np.float64], image_size: tuple[int, int]
    ) -> None:
        self._memory = memory
        self._age_s = age_s
        self._image_size = image_size
        self._looked = np.zeros(age_s.shape, bool)
        first, last = memory.grid[0].rect, memory.grid[-1].rect
        self._low = np.array([first.x0, first.y0], np.float64)
        self._size = np.array([first.width, first.height], np.float64)
        self._high = np.array([last.x1, last.y1], np.float64) - self._size
        self.tiles: list[Tile] = []
        self.why: list[str] = []

    def take(self, rect: Rect, why: str) -> None:
        """Look at a rectangle."""
        width, height = self._image_size
        beyond = (rect.x0 > 0, rect.y0 > 0, rect.x1 < width, rect.y1 < height)
        self.tiles.append(Tile(rect, (rect.width, rect.height), open=beyond))
        self.why.append(why)
        self._looked[self._memory.cells(rect)] = True

    def take_people(
        self,
        boxes: NDArray[np.float64],
        weights: NDArray[np.float64],
        budget: int,
        revisit_s: float,
    ) -> None:
        """Look where most people are, by their weights, until all are seen or nothing is left.

        Only people of the band who fit into a region count; who was not looked at for long counts
        up to twice.
        """
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        size = boxes[:, 2:] - boxes[:, :2]
        inside = (centre >= self._low) & (centre < self._high + self._size)
        fits = (inside & (size + 2 * MARGIN <= self._size)).all(1)
        boxes, weights, centre = boxes[fits], weights[fits], centre[fits]
        weights = weights * (1 + np.minimum(1, self._waited(centre) / revisit_s))
        open_ = ~_within(boxes, [tile.rect for tile in self.tiles]).any(1)
        firsts = self._firsts(boxes)
        within = (boxes[:, None, :2] >= firsts) & (boxes[:, None, 2:] <= firsts + self._size)
        holds = np.asarray(within.all(2))
        while open_.any() and len(self.tiles) < budget:
            worth = (weights * open_) @ holds
            best = int(np.lexsort((firsts[:, 0], firsts[:, 1], -worth.round(9)))[0])
            seen = holds[:, best] & open_
            if not seen.any():
                return
            self.take(self._around(boxes[seen]), "person")
            open_ &= ~_within(boxes, [self.tiles[-1].rect]).any(1) & ~seen

    def take_turns(self, budget: int) -> None:
        """Look at tiles by the time that their cells waited, more where people were."""
        memory = self._memory
        cells = [memory.cells(tile.rect) for tile in memory.grid]
        never = np.where(memory.looks < 0, _MOMENT, 0.0)
        while len(self.tiles) < budget:
            waited = np.where(self._looked, 0.0, self._age_s + _MOMENT + never)
            worth = [float(waited[c].sum() * (1 + memory.people[c].sum())) for c in cells]
            looks = [int(memory.looks[c].min()) for c in cells]
            best = max(range(len(worth)), key=lambda k: (round(worth[k], 9), -looks[k], -k))
            if worth[best] <= 0:
                return
            self.take(memory.grid[best].rect, "turn")

    def _waited(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, columns = _cells_of(self._memory, centre)
        return np.asarray(self._age_s[rows, columns])

    def _firsts(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M, 2) upper left corners worth trying: around each box, or with it at a side."""
        low, high = boxes[:, :2] - MARGIN, boxes[:, 2:] + MARGIN - self._size
        x = np.stack((low[:, 0], (low[:, 0] + high[:, 0]) / 2, high[:, 0]), 1)
        y = np.stack((low[:, 1], (low[:, 1] + high[:, 1]) / 2, high[:, 1]), 1)
        pairs = np.stack((np.repeat(x, 3, 1), np.tile(y, (1, 3))), 2)  # each x with each y
        return np.asarray(np.clip(pairs.reshape(-1, 2), self._low, self._high))

    def _around(self, boxes: NDArray[np.float64]) -> Rect:
        """The region with these boxes, which fit, in its middle."""
        middle = (boxes[:, :2].min(0) + boxes[:, 2:].max(0)) / 2
        first = np.clip(middle - self._size / 2, self._low, self._high)
        x0, y0 = (int(value) for value in np.floor(first + 0.5))
        width, height = (int(value) for value in self._size)
        return Rect(x0, y0, x0 + width, y0 + height)


def _within(boxes: NDArray[np.float64], rects: Sequence[Rect]) -> NDArray[np.bool_]:
    """(N, R) which boxes lie wholly in which rectangles."""
    sides = np.array([(r.x0, r.y0, r.x1, r.y1) for r in rects], np.float64).reshape(-1, 4)
    after = (boxes[:, None, :2] >= sides[None, :, :2]).all(2)
    before = (boxes[:, None, 2:] <= sides[None, :, 2:]).all(2)
    return np.asarray(after & before)


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes."""
    shared = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    both = np.clip(shared, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    return np.asarray(both / np.maximum(areas[0][:, None] + areas[1] - both, 1e-9))


def _centres(start: int, end: int, side: int, parts: int) -> NDArray[np.float64]:
    """Centres of cells of about 1/parts of a region's side from start to end."""
    count = max(1, math.ceil((end - start) * parts / side))
    return start + (np.arange(count) + 0.5) * (end - start) / count


def _cells_of(
    memory: _Memory, centre: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the cells nearest to (N, 2) points."""
    rows = np.abs(memory.y - centre[:, 1:]).argmin(1)
    return rows, np.abs(memory.x - centre[:, :1]).argmin(1)


def _counted(memory: _Memory, xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    """How many of (N, 4) boxes have their centre in each cell."""
    centre = (np.asarray(xyxy, np.float64)[:, :2] + xyxy[:, 2:]) / 2
    first, last = memory.grid[0].rect, memory.grid[-1].rect
    low, high = (first.x0, first.y0), (last.x1, last.y1)
    centre = centre[((centre >= low) & (centre < high)).all(1)]
    found = np.zeros(memory.people.shape)
    np.add.at(found, _cells_of(memory, centre), 1.0)
    return found
