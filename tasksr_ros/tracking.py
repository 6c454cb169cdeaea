"""Stable ids for the pedestrians of one camera, and weak detections that continue a track.

Association in two passes as ByteTrack does it (Zhang et al., ECCV 2022, arXiv 2110.06864): first
the detections at or above the score threshold, then, for confirmed tracks that found none of
these, weaker ones. A distant pedestrian is 10 px wide and moves farther than that between two
frames at 2 Hz, so that the overlap which ByteTrack compares is often zero; here it is the
distance to a constant-velocity prediction, in units of its uncertainty.

Boxes are never invented and strong detections never dropped: what is published is what the
detector saw, and with tracking on no strong box is missing or moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RegionConfig, TrackingConfig
from tasksr_ros.detections import NO_TRACK, Detections
from tasksr_ros.motion import Motion

GATE = 11.34
"""Of the squared normalised distance: 99 % of a chi-squared distribution of three axes."""

DUPLICATE_IOU = 0.5
"""A weak box that overlaps a strong one more than this is the same person's."""

PERSON_HEIGHT_M = (0.9, 2.2)
"""Of who is believed to walk on the road, from a child to a tall adult with a hat."""

_NEAR_EDGE = 2.0
_MAX_ID = 2**31 - 1

# Of a box's centre and foot in units of its height, and of the logarithm of its height.
_NOISE = np.array([0.08, 0.08, 0.08])
_NOISE_PX = 1.0
_SPEED = np.array([4.0, 1.0, 0.6])
_ACCELERATION = np.array([4.0, 2.0, 0.6])


@dataclass(frozen=True, eq=False)
class _Tracks:
    """Tracks of one camera.

    Attributes:
        motion: of (centre x px, foot y px, log of the height in px), N objects.
        track_id: (N,) int64, ``NO_TRACK`` until confirmed.
        class_id: (N,) int32.
        hits: (N,) int64 frames in which it was seen.
        seen_ns: (N,) int64 stamp of the last of these.
    """

    motion: Motion
    track_id: NDArray[np.int64]
    class_id: NDArray[np.int32]
    hits: NDArray[np.int64]
    seen_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.track_id)

    def select(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> _Tracks:
        return _Tracks(
            self.motion.select(index),
            *(getattr(self, f.name)[index] for f in fields(self)[1:]),
        )

    def join(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            self.motion.join(other.motion),
            *(
                np.concatenate((getattr(self, f.name), getattr(other, f.name)))
                for f in fields(self)[1:]
            ),
        )


class Tracker:
    """Gives the detections of one camera's frames ids, in the order of their stamps.

    Args:
        config: how tracks begin, go on and end.
        mounting: height and pitch of the camera, for the height that a person may have.
        thresholds: least score of a strong detection of each class; one number: of all.
    """

    def __init__(
        self,
        config: TrackingConfig,
        mounting: RegionConfig,
        thresholds: float | NDArray[np.float32],
    ) -> None:
        self.config = config
        self.mounting = mounting
        self.thresholds = np.atleast_1d(np.asarray(thresholds, np.float64))
        self._max_gap_ns = round(config.max_gap * 1e9)
        self._next_id = 0
        self.reset()

    @property
    def weak_thresholds(self) -> NDArray[np.float32]:
        """Least score of each class that `update` makes use of."""
        return np.asarray(self.config.weak_score * self.thresholds, np.float32)

    def reset(self) -> None:
        """Forget all tracks, as after a jump in time; ids go on, so that none is used twice."""
        self._newest_ns: int | None = None
        self._tracks = _born(Detections.empty(), 0, np.zeros(3))

    def update(
        self, detections: Detections, stamp_ns: int, camera: CameraModel | None = None
    ) -> Detections:
        """The strong detections, and the weak ones that continue a track, with track ids.

        A frame not newer than the newest (doubled, late, without a stamp) gets the ids of the
        tracks as they are and changes none; one that is older by more than ``max_gap`` begins
        anew. A detection belongs to no track until it was seen ``min_hits`` times.

        Args:
            detections: of one frame, image px, in any order; those weaker than
                ``weak_thresholds`` are dropped.
            stamp_ns: acquisition time of the frame.
            camera: intrinsics; with them, weak detections must have the height of a person.

        Returns:
            Detections in the order given.
        """
        if stamp_ns == 0 and self._newest_ns is not None:
            stamp_ns = self._newest_ns  # its time is not known: a late frame
        if self._newest_ns is not None and stamp_ns < self._newest_ns - self._max_gap_ns:
            self.reset()
        newer = self._newest_ns is None or stamp_ns > self._newest_ns
        tracks = self._predicted(stamp_ns)
        track_of = self._associated(tracks, detections, camera)
        strong = detections.score >= _of_class(self.thresholds, detections)
        if newer:
            tracks = self._continued(tracks, detections, track_of, stamp_ns)
            # A track that was not confirmed in the very next frame was a flicker.
            alive = (tracks.track_id != NO_TRACK) | (tracks.seen_ns == stamp_ns)
            new = detections.select(strong & (track_of < 0))
            begun = _born(new, stamp_ns, _common_velocity(tracks))
            self._tracks, self._newest_ns = tracks.select(alive).join(begun), stamp_ns
        ids = np.full(len(detections), NO_TRACK, np.int32)
        ids[track_of >= 0] = tracks.track_id[track_of[track_of >= 0]]
        return replace(detections, track_id=ids).select(strong | (track_of >= 0))

    def predicted(
        self, stamp_ns: int, aspect: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the living tracks should be at a time, confirmed or not.

        Args:
            stamp_ns: of the frame that is to come.
            aspect: width of a box by its height, which is all that is remembered.

        Returns:
            (N, 4) boxes in image px, and (N,) for how long they were not seen, s.
        """
        tracks = self._predicted(stamp_ns)
        x, foot, log_height = tracks.motion.position.T
        height = np.exp(log_height)
        half = aspect / 2 * height
        boxes = np.stack((x - half, foot - height, x + half, foot), 1)
        return boxes, np.maximum(0, stamp_ns - tracks.seen_ns) / 1e9

    def _predicted(self, stamp_ns: int) -> _Tracks:
        """The living tracks, where they should be at that time."""
        tracks = self._tracks.select(stamp_ns - self._tracks.seen_ns <= self._max_gap_ns)
        since = self._newest_ns if self._newest_ns is not None else stamp_ns
        seconds = np.full(len(tracks), (stamp_ns - since) / 1e9)
        density = (_ACCELERATION * _units(tracks.motion.position)) ** 2
        return replace(tracks, motion=tracks.motion.predict(seconds, density))

    def _associated(
        self, tracks: _Tracks, detections: Detections, camera: CameraModel | None
    ) -> NDArray[np.intp]:
        """(N,) the track of each detection, -1 for none."""
        cost = _costs(tracks, detections)
        strong = detections.score >= _of_class(self.thresholds, detections)
        track_of = _assign(np.where(strong[:, None], cost, np.inf))
        weak = ~strong & (detections.score >= _of_class(self.weak_thresholds, detections))
        weak &= ~_repeats(detections.xyxy, strong)
        if camera is not None:
            weak &= plausible_height(detections.xyxy, camera, self.mounting)
        waiting = tracks.track_id != NO_TRACK
        waiting[track_of[track_of >= 0]] = False
        second = _assign(np.where(weak[:, None] & waiting[None], cost, np.inf))
        return np.where(second >= 0, second, track_of)

    def _continued(
        self, tracks: _Tracks, detections: Detections, track_of: NDArray[np.intp], stamp_ns: int
    ) -> _Tracks:
        """The tracks after a newer frame; those seen in it moved to where they were seen."""
        seen = np.flatnonzero(track_of >= 0)
        rows = track_of[seen]
        measured = _measured(detections.xyxy[seen])
        motion = tracks.motion.put(
            rows, tracks.motion.select(rows).update(measured, _noise(measured))
        )
        hits, seen_ns, track_id = (a.copy() for a in (tracks.hits, tracks.seen_ns, tracks.track_id))
        hits[rows] += 1
        seen_ns[rows] = stamp_ns
        for row in np.flatnonzero((track_id == NO_TRACK) & (hits >= self.config.min_hits)):
            track_id[row] = self._next_id
            self._next_id = (self._next_id + 1) % _MAX_ID
        return _Tracks(motion, track_id, tracks.class_id, hits, seen_ns)


def _of_class(thresholds: NDArray[np.floating], detections: Detections) -> NDArray[np.float32]:
    """(N,) the threshold of each detection's class, or (1,) that of all, as precise as scores."""
    own = thresholds if len(thresholds) == 1 else thresholds[detections.class_id]
    return own.astype(np.float32)


def plausible_height(
    xyxy: NDArray[np.floating], camera: CameraModel, mounting: RegionConfig
) -> NDArray[np.bool_]:
    """Which boxes have a height that a person with feet at the lower edge may have.

    On a flat road the row of the feet gives the distance, and the distance the height. Boxes
    that end at the image's lower border pass, since their feet are not seen.

    Args:
        xyxy: (N, 4) in image px.
        camera: intrinsics of that image.
        mounting: camera height (m), pitch and its margin (degrees).
    """
    boxes = np.asarray(xyxy, np.float64)
    centre = (boxes[:, 0] + boxes[:, 2]) / 2
    top, feet = (
        camera.straightened(np.stack((centre, rows), 1))[:, 1]
        for rows in (boxes[:, 1], boxes[:, 3])
    )
    height = feet - top
    below = np.arctan((feet - camera.cy) / camera.fy) + math.radians(mounting.camera_pitch)
    margin = math.radians(mounting.pitch_margin)
    px_per_metre_low, px_per_metre_high = (
        camera.fy * np.tan(np.clip(angle, 0.0, math.radians(80))) / mounting.camera_height
        for angle in (below - margin, below + margin)
    )
    shortest, tallest = PERSON_HEIGHT_M
    inside = (height >= shortest * px_per_metre_low) & (height <= tallest * px_per_metre_high)
    return np.asarray(inside | (boxes[:, 3] >= camera.height - _NEAR_EDGE))


def _measured(xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 4) boxes -> (N, 3): centre x, foot y, log of the height."""
    x0, y0, x1, y1 = np.asarray(xyxy, np.float64).T
    return np.stack(((x0 + x1) / 2, y1, np.log(np.maximum(y1 - y0, 1.0))), 1)


def _units(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) what one is on each axis: the height in px, the same, 1."""
    height = np.exp(measured[:, 2])
    return np.stack((height, height, np.ones_like(height)), 1)


def _noise(measured: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) standard deviation of boxes, on each axis."""
    units = _units(measured)
    return _NOISE * units + _NOISE_PX * units / units[:, :1]


def _common_velocity(tracks: _Tracks) -> NDArray[np.float64]:
    """(3,) what most confirmed tracks do: when the vehicle turns, all move the same way."""
    velocity = tracks.motion.velocity[tracks.track_id != NO_TRACK]
    return np.asarray(np.median(velocity, 0)) if len(velocity) else np.zeros(3)


def _born(detections: Detections, stamp_ns: int, velocity: NDArray[np.float64]) -> _Tracks:
    """A track for each detection, not confirmed yet, that moves as the others do."""
    n = len(detections)
    measured = _measured(detections.xyxy)
    return _Tracks(
        Motion.at(measured, _noise(measured), velocity, _SPEED * _units(measured)),
        np.full(n, NO_TRACK, np.int64),
        detections.class_id,
        np.ones(n, np.int64),
        np.full(n, stamp_ns, np.int64),
    )


def _costs(tracks: _Tracks, detections: Detections) -> NDArray[np.float64]:
    """(N, T) negative log-likelihood of each detection under each track; inf beyond the gate."""
    measured = _measured(detections.xyxy)
    variance = tracks.motion.pp[None] + _noise(measured)[:, None] ** 2
    error = measured[:, None] - tracks.motion.position[None]
    squared = (error**2 / variance).sum(2)
    other_class = detections.class_id[:, None] != tracks.class_id[None]
    cost: NDArray[np.float64] = squared + np.log(variance).sum(2)
    return np.where((squared > GATE) | other_class, np.inf, cost)


def _assign(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """(N,) column of each row of (N, T), the likeliest pairs first; -1 for none."""
    column = np.full(len(cost), -1, np.intp)
    taken = np.zeros(cost.shape[1], bool)
    rows, columns = np.nonzero(np.isfinite(cost))
    for k in np.argsort(cost[rows, columns], kind="stable"):
        if column[rows[k]] < 0 and not taken[columns[k]]:
            column[rows[k]] = columns[k]
            taken[columns[k]] = True
    return column


def _repeats(xyxy: NDArray[np.float32], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) which boxes overlap a strong one so much that they are the same person's."""
    boxes, others = xyxy.astype(np.float64), xyxy[strong].astype(np.float64)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    smaller = np.minimum(_area(boxes)[:, None], _area(others)[None])
    return np.asarray((shared > DUPLICATE_IOU * smaller).any(1))


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1))
