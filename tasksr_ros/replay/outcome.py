"""What became of one frame of a replay, and its line in the journal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.detections import Detections

BOX_DECIMALS, SCORE_DECIMALS, LATENCY_DECIMALS, RANGE_DECIMALS = 3, 6, 3, 3

_OF_RANGES = ("depth_m", "deviation_m")


DROPPED = "the node gave no answer"
"""Error of a frame that a live replay published in vain."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one frame.

    Attributes:
        camera: of the recording.
        index: the frame's number among those of its camera, from 0.
        name: path of its file below the recording, else empty.
        stamp_ns: acquisition time in nanoseconds.
        size: (width, height) in px; (0, 0) of what was not seen.
        detections: boxes in image px.
        latency_ms: milliseconds by stage.
        depth_m, deviation_m: of each detection, NaN where unknown (see `ranging.Ranges`); empty
            without intrinsics.
        blur: as `blur.to_json` has it; empty unless the bundle estimates it.
        error: why the frame could not be processed, else empty.
    """

    camera: str
    index: int
    name: str
    stamp_ns: int
    size: tuple[int, int] = (0, 0)
    detections: Detections = field(default_factory=Detections.empty)
    latency_ms: dict[str, float] = field(default_factory=dict)
    error: str = ""
    depth_m: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    deviation_m: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    blur: Mapping[str, Any] = field(default_factory=dict)

    def above(self, score: float) -> Outcome:
        """With those of the detections alone that have at least this score."""
        kept = self.detections.score >= score
        depth_m, deviation_m = (
            values[kept] if len(values) else values for values in (self.depth_m, self.deviation_m)
        )
        return replace(
            self,
            detections=self.detections.select(kept),
            depth_m=depth_m,
            deviation_m=deviation_m,
        )


def to_json(outcome: Outcome) -> dict[str, Any]:
    """As a JSON object; boxes are rounded to thousandths of a pixel."""
    found = outcome.detections
    return {
        "camera": outcome.camera,
        "index": outcome.index,
        "name": outcome.name,
        "stamp_ns": outcome.stamp_ns,
        "size": list(outcome.size),
        "xyxy": [[round(v, BOX_DECIMALS) for v in box] for box in found.xyxy.tolist()],
        "score": [round(v, SCORE_DECIMALS) for v in found.score.tolist()],
        "class_id": found.class_id.tolist(),
        "track_id": found.track_id.tolist(),
        "latency_ms": {k: round(v, LATENCY_DECIMALS) for k, v in outcome.latency_ms.items()},
        "error": outcome.error,
        **{name: _numbers(getattr(outcome, name)) for name in _OF_RANGES},
        **({"blur": dict(outcome.blur)} if outcome.blur else {}),
    }


def from_json(value: dict[str, Any]) -> Outcome:
    """The inverse of `to_json`; raises KeyError, TypeError or ValueError for anything else."""
    n = len(value["score"])
    detections = Detections(
        np.array(value["xyxy"], np.float32).reshape(n, 4),
        np.array(value["score"], np.float32),
        np.array(value["class_id"], np.int32),
        np.array(value["track_id"], np.int32),
    )
    depth_m, deviation_m = (np.array(value.get(name, ()), np.float64) for name in _OF_RANGES)
    width, height = value["size"]
    return Outcome(
        value["camera"],
        value["index"],
        value["name"],
        value["stamp_ns"],
        (width, height),
        detections,
        value["latency_ms"],
        value["error"],
        depth_m,
        deviation_m,
        blur=dict(value.get("blur", {})),
    )


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Rounded; None, which is read as NaN, for what is unknown."""
    return [round(v, RANGE_DECIMALS) if math.isfinite(v) else None for v in values.tolist()]
