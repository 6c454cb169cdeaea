"""The regions of a frame where ``region.budget`` allows fewer than all: how many, and which."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.attention import WEAK, Attended, Attention
from tasksr_ros.config import PipelineConfig
from tasksr_ros.detections import Detections
from tasksr_ros.pace import Pace
from tasksr_ros.regions import Tile


class Budget:
    """Of one camera's frames, in the order of their stamps.

    Args:
        config: its region, tracking and schedule; ``region.budget`` is not 0.
        thresholds: least score of a detection of each class.
        weak_share: see `Attention`.
    """

    def __init__(
        self, config: PipelineConfig, thresholds: NDArray[np.float32], weak_share: float = WEAK
    ) -> None:
        self._attention = Attention(config.region, config.tracking, thresholds, weak_share)
        self._regions = config.region.budget
        self._pace = (
            Pace(config.schedule.target_latency) if config.region.budget == "auto" else None
        )

    @property
    def candidate_scores(self) -> NDArray[np.float32]:
        """Least score of each class of what the near pass found to be looked at again."""
        return self._attention.weak_scores

    @property
    def people_scores(self) -> NDArray[np.float32]:
        """Least score of each class of those who are remembered."""
        return self._attention.known_scores

    def choose(
        self,
        stamp_ns: int,
        grid: tuple[Tile, ...],
        image_size: tuple[int, int],
        candidates: Detections,
        frames: int,
    ) -> Attended:
        """What to look at; see `Attention.choose`. ``frames`` wait together."""
        most = int(self._regions) if self._pace is None else self._pace.regions(frames)
        return self._attention.choose(stamp_ns, grid, image_size, candidates, most)

    def saw(self, attended: Attended, people: Detections, stamp_ns: int) -> None:
        """See `Attention.saw`."""
        self._attention.saw(attended, people, stamp_ns)

    def engine_took(self, regions: int, regions_ms: float, near_ms: float) -> None:
        """See `Pace.engine_took`; optical flow, which is of regions as well, counts with these."""
        if self._pace is not None:
            self._pace.engine_took(regions, regions_ms, near_ms)

    def frame_took(self, latency_ms: Mapping[str, float]) -> None:
        """What a frame took, by stage."""
        if self._pace is not None:
            by_region = latency_ms.get("engine", 0.0) + latency_ms.get("flow", 0.0)
            self._pace.rest_took(sum(latency_ms.values()) - by_region)

    def reset(self) -> None:
        """Forget the frames before, but not what they took."""
        self._attention.reset()

    def follow(self, other: Budget) -> None:
        """Go on with what another one of the same camera knows."""
        self._attention.follow(other._attention)
        if self._pace is not None and other._pace is not None:
            self._pace.follow(other._pace)
