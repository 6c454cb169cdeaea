"""How far an engine's outputs are from the PyTorch engine's in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.bundle import Bundle
from tasksr_ros.config import EngineConfig, RegionConfig
from tasksr_ros.engines.clips import Clips, Regions
from tasksr_ros.engines.found import Found
from tasksr_ros.engines.interface import Engine
from tasksr_ros.errors import EngineError
from tasksr_ros.regions import distant_band, tiles
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive
from tasksr_ros.video import Window

LIKELY = 0.01
"""Share of the cells, those of the greatest scores, whose boxes are compared."""

SCORE_LIMITS = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.1, "int8": 0.3}
"""Greatest difference of a score that a working engine may have, by precision."""


@dataclass(frozen=True)
class Difference:
    """Of an engine's outputs from the reference's.

    Attributes:
        score: greatest of all cells.
        box: greatest of a side of the likely cells' boxes, SR px.
        regions: that were looked at.
    """

    score: float
    box: float
    regions: int

    def __str__(self) -> str:
        return (
            f"scores at most {self.score:.2g} off torch in fp32, likely boxes {self.box:.2g} SR px "
            f"({self.regions} generated regions)"
        )


def example_regions(region_size: tuple[int, int], number: int = 4) -> NDArray[np.uint8]:
    """(number, height, width, 3) uint8 RGB regions with pedestrians, of a generated drive."""
    drive = GeneratedDrive(DriveConfig(num_frames=number))
    found = []
    for index, (frame, _) in enumerate(drive):
        places = tiles(distant_band(frame.size, RegionConfig(), None), frame.size, region_size, 0)
        found.append(places[index % len(places)].pixels(frame, region_size))
    return np.stack(found)


def example_clips(
    region_size: tuple[int, int], neighbours: Sequence[int], number: int = 4
) -> Clips:
    """The same of video: each region with what the frames before it show there."""
    window, found = Window(neighbours, max_age_s=60.0), []
    for index, (frame, _) in enumerate(GeneratedDrive(DriveConfig(num_frames=number))):
        places = tiles(distant_band(frame.size, RegionConfig(), None), frame.size, region_size, 0)
        tile = places[index % len(places)]
        past = window.see(frame, places)
        found.append(past.clips(tile.pixels(frame, region_size)[None], [tile]))
    arrays = zip(*(clips.arrays for clips in found), strict=True)
    return Clips(*(np.concatenate(of_all) for of_all in arrays))


def compare(found: Found, expected: Found) -> Difference:
    """Compare boxes and scores with the expected ones; classes follow from the scores.

    A value that is not finite counts as infinitely far off.
    """
    scores, expected_scores = found.scores, expected.scores
    off = np.abs(found.boxes - expected.boxes).max(2)
    count = max(1, round(LIKELY * scores.shape[1]))
    likely = np.argsort(-expected_scores, 1, kind="stable")[:, :count]
    return Difference(
        _greatest(np.abs(scores - expected_scores)),
        _greatest(np.take_along_axis(off, likely, 1)),
        len(scores),
    )


def _greatest(values: NDArray[np.float32]) -> float:
    return float(values.max()) if np.isfinite(values).all() else float("inf")


def verify(
    engine: Engine, bundle: Bundle, config: EngineConfig, regions: Regions | None = None
) -> Difference:
    """Compare an engine with torch in fp32 on the same device.

    Args:
        engine: built of ``bundle`` with ``config``.
        bundle: what it runs.
        config: of the engine.
        regions: to look at; generated ones where None.

    Raises:
        EngineError: if they differ by more than the precision explains.
    """
    from tasksr_ros.engines.torch import TorchEngine

    if regions is None:
        size, neighbours = bundle.region_size, bundle.neighbours
        regions = example_clips(size, neighbours) if neighbours else example_regions(size)
    plain = replace(
        config,
        name="torch",
        device="cpu" if engine.name == "openvino" else config.device,
        precision="fp32",
        compile=False,
        graph="reference",
        cuda_graphs=False,
        max_batch=1,
    )
    reference = TorchEngine(bundle, plain)
    difference = compare(engine(regions), reference(regions))
    limit = SCORE_LIMITS[config.precision]
    if not difference.score <= limit:
        raise EngineError(
            f"engine {engine.name} does not compute what torch does: expected scores at most "
            f"{limit:g} off in {config.precision}, got {difference.score:.2g}"
        )
    return difference
