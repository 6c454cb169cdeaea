"""People through a sequence: at which distance each was first found."""

from __future__ import annotations

import math

import numpy as np

from tasksr_ros.evaluation.bootstrap import interval
from tasksr_ros.evaluation.ground_truth import GroundTruth
from tasksr_ros.evaluation.ids import ImageId
from tasksr_ros.evaluation.matching import Floats
from tasksr_ros.evaluation.metrics import Matches
from tasksr_ros.evaluation.summary import Number, Track, Tracks

MAX_ROWS = 2000


def tracks(
    truth: GroundTruth,
    matches: Matches,
    threshold: float,
    *,
    confidence: float,
    samples: int,
    seed: int,
) -> Tracks | None:
    """First detections per track; None where nobody who counts has a track.

    Args:
        truth: with ``track``; a track is one person in one sequence and camera.
        matches: of everyone, of this ground truth.
        threshold: least score of a detection.
        confidence: of the interval.
        samples: of the bootstrap over tracks.
        seed: of the bootstrap.
    """
    frames: dict[tuple[str, str, ImageId], list[int]] = {}
    for k, person in enumerate(matches.person.tolist()):
        track = truth.track[person]
        if track is not None:
            entry = truth.images[int(truth.image[person])]
            key = (str(entry.get("sequence") or ""), str(entry.get("camera") or ""), track)
            frames.setdefault(key, []).append(k)
    if not frames:
        return None
    rows = [_track(truth, matches, threshold, key, list_) for key, list_ in frames.items()]
    rows.sort(key=lambda row: (row["sequence"], -(row["largest_distance_m"] or 0)))
    first = np.array([r["first_detection_m"] for r in rows if r["first_detection_m"] is not None])
    return {
        "tracks": len(rows),
        "found": sum(row["found"] > 0 for row in rows),
        "first_detection_m": float(np.median(first)) if len(first) else None,
        "first_detection_m_interval": _median_interval(first, confidence, samples, seed),
        "rows": rows[:MAX_ROWS],
    }


def _track(
    truth: GroundTruth,
    matches: Matches,
    threshold: float,
    key: tuple[str, str, ImageId],
    frames: list[int],
) -> Track:
    """One row; ``frames`` are indices of people of ``matches``."""
    frames = sorted(frames, key=lambda k: _time(truth, int(matches.person_image[k])))
    found = [k for k in frames if np.isfinite(matches.found_at[k])]
    found = [k for k in found if matches.found_at[k] >= threshold]
    distances = [float(truth.distance[matches.person[k]]) for k in frames]
    known = [d for d in distances if math.isfinite(d)]
    first = found[0] if found else None
    stamp = None
    if first is not None:
        stamp = truth.images[int(matches.person_image[first])].get("stamp_ns")
    return {
        "sequence": " ".join(part for part in key[:2] if part),
        "track_id": key[2],
        "frames": len(frames),
        "found": len(found),
        "largest_distance_m": max(known, default=None),
        "first_detection_m": _distance(truth, matches, first),
        "first_detection_px": None if first is None else float(matches.height[first]),
        "first_detection_stamp_ns": stamp,
    }


def _time(truth: GroundTruth, image: int) -> tuple[float, int]:
    entry = truth.images[image]
    time = entry.get("stamp_ns", entry.get("frame"))
    return (float(time) if isinstance(time, (int, float)) else 0.0, image)


def _distance(truth: GroundTruth, matches: Matches, first: int | None) -> Number:
    if first is None:
        return None
    distance = float(truth.distance[matches.person[first]])
    return distance if math.isfinite(distance) else None


def _median_interval(
    values: Floats, confidence: float, samples: int, seed: int
) -> list[float] | None:
    if len(values) < 2 or samples == 0:
        return None
    rng = np.random.default_rng(seed)
    drawn = [np.median(values[rng.integers(len(values), size=len(values))]) for _ in range(samples)]
    return interval(np.array(drawn), confidence)
