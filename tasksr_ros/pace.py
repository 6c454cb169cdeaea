"""How many regions a frame may have so that the work on it takes no longer than it should."""

from __future__ import annotations

RISE, FALL = 0.5, 0.1
"""How quickly an estimate follows a time that is longer, and one that is shorter."""

AIM = 0.9
"""Share of the time that is planned for; the rest is for what varies from frame to frame."""


class Pace:
    """Learns from the frames before what a region costs, and what all else does.

    Times that grow are believed sooner than ones that shrink, so that a busy machine is noticed
    within a few frames.

    Args:
        target_s: the time that the work on a frame may take, s.
    """

    def __init__(self, target_s: float) -> None:
        self._target_ms = target_s * 1e3
        self._region_ms: float | None = None
        self._near_ms = 0.0
        self._rest_ms = 0.0

    def regions(self, frames: int = 1) -> int:
        """Regions of a frame, at least 1; so many before anything is known.

        Args:
            frames: that are worked on together.
        """
        if self._region_ms is None:
            return 1
        left_ms = AIM * self._target_ms - self._near_ms - self._rest_ms
        return max(1, int(left_ms / max(self._region_ms, 1e-6) / frames))

    def engine_took(self, regions: int, regions_ms: float, near_ms: float) -> None:
        """What the engines took for so many regions, those of other frames too, and near passes."""
        first = self._region_ms is None
        one_ms = regions_ms / regions
        self._region_ms = one_ms if self._region_ms is None else _followed(self._region_ms, one_ms)
        self._near_ms = near_ms if first else _followed(self._near_ms, near_ms)

    def rest_took(self, rest_ms: float) -> None:
        """What all but the engines took for a frame."""
        self._rest_ms = _followed(self._rest_ms, rest_ms)

    def follow(self, other: Pace) -> None:
        """Go on with what another one learnt of the same machine."""
        self._region_ms, self._near_ms = other._region_ms, other._near_ms
        self._rest_ms = other._rest_ms


def _followed(before: float, now: float) -> float:
    return before + (RISE if now > before else FALL) * (now - before)
