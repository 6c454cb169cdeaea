"""Detections of one frame as arrays of stated shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_TRACK = -1


@dataclass(frozen=True, eq=False)
class Detections:
    """Detections of one frame, immutable.

    Attributes:
        xyxy: (N, 4) float32, corners x0, y0, x1, y1. The space (image, region or SR px) is the
            producer's to state; a pixel's centre is at +0.5, so that a box covering the whole
            image is (0, 0, width, height).
        score: (N,) float32 in [0, 1].
        class_id: (N,) int32, index into the bundle's class names.
        track_id: (N,) int32, ``NO_TRACK`` where the detection belongs to no track.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    class_id: NDArray[np.int32]
    track_id: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.score)
        shapes = {"xyxy": (n, 4), "score": (n,), "class_id": (n,), "track_id": (n,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Detections.{name} must have shape {shape}, got {getattr(self, name).shape}"
                )
            getattr(self, name).flags.writeable = False

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def from_arrays(
        cls,
        xyxy: NDArray[np.floating],
        score: NDArray[np.floating],
        class_id: NDArray[np.integer] | None = None,
    ) -> Detections:
        """Copy arrays of any float or integer type; class 0 and no track where not given."""
        n = len(score)
        return cls(
            np.array(xyxy, np.float32).reshape(n, 4),
            np.array(score, np.float32),
            np.zeros(n, np.int32) if class_id is None else np.array(class_id, np.int32),
            np.full(n, NO_TRACK, np.int32),
        )

    @classmethod
    def empty(cls) -> Detections:
        """No detections."""
        return cls.from_arrays(np.zeros((0, 4)), np.zeros(0))

    def select(self, index: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Detections:
        """Return the detections at ``index``, in its order."""
        return Detections(
            self.xyxy[index], self.score[index], self.class_id[index], self.track_id[index]
        )


def concatenate(parts: Sequence[Detections]) -> Detections:
    """All detections of ``parts``, in their order."""
    if not parts:
        return Detections.empty()
    return Detections(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.class_id for part in parts]),
        np.concatenate([part.track_id for part in parts]),
    )
