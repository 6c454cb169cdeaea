"""How long the engines should take for a frame, by its regions and what was measured."""

from __future__ import annotations

from typing import NamedTuple

from tasksr_ros.engines.guarded import GuardedEngine
from tasksr_ros.engines.interface import Engine
from tasksr_ros.pipeline import Pipeline, Prepared


class Expected(NamedTuple):
    """Of one frame.

    Attributes:
        regions: of the frame.
        region_s: for each of them, s; 0 where it is not known.
        near_s: for the near pass, s.
    """

    regions: int
    region_s: float
    near_s: float

    @property
    def frame_s(self) -> float:
        """For the frame, s."""
        return self.regions * self.region_s + self.near_s

    def __str__(self) -> str:
        near = f" + {self.near_s:.2f} s for the near pass" if self.near_s else ""
        return (
            f"{self.regions} regions x {self.region_s:.2f} s{near} = {self.frame_s:.1f} s a frame"
        )


def expected(pipeline: Pipeline, prepared: Prepared) -> Expected:
    """What the engines' last calls let expect."""
    near_s = 0.0 if prepared.near is None else _region_s(pipeline.near)
    return Expected(len(prepared.tiles), _region_s(pipeline.engine), near_s)


def _region_s(engine: Engine | None) -> float:
    return engine.region_s if isinstance(engine, GuardedEngine) else 0.0
