"""The frames before one, for super-resolution of video.

Of each frame the distant band is kept, as RGB; optical flow is worked out on the regions alone, as
in training. What is not there (before the first frame, after a gap) is left out as in training:
the region itself stands for it, without motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasksr_ros.engines.clips import Clips
from tasksr_ros.io.frames import Frame, crop_rgb
from tasksr_ros.networks.super_resolution.flow import neighbours_and_flows
from tasksr_ros.regions import Rect, Tile


@dataclass(frozen=True, eq=False)
class Band:
    """The distant part of a frame.

    Attributes:
        rect: where it lies, image px.
        frame: its pixels, rgb8, and the frame's stamp.
    """

    rect: Rect
    frame: Frame

    @classmethod
    def of(cls, frame: Frame, tiles: Sequence[Tile], stamp_ns: int) -> Band:
        """What the tiles cover of a frame, copied."""
        rects = [tile.rect for tile in tiles]
        x0, y0 = min(r.x0 for r in rects), min(r.y0 for r in rects)
        x1, y1 = max(r.x1 for r in rects), max(r.y1 for r in rects)
        pixels = np.array(crop_rgb(frame, x0, y0, x1, y1))
        return cls(Rect(x0, y0, x1, y1), Frame(pixels, stamp_ns))

    def pixels(self, tile: Tile, region_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """A tile as the engine takes it; None if it does not lie in the band."""
        mine, r = self.rect, tile.rect
        if r.x0 < mine.x0 or r.y0 < mine.y0 or r.x1 > mine.x1 or r.y1 > mine.y1:
            return None
        here = Rect(r.x0 - mine.x0, r.y0 - mine.y0, r.x1 - mine.x0, r.y1 - mine.y0)
        return replace(tile, rect=here).pixels(self.frame, region_size)


@dataclass(frozen=True, eq=False)
class Past:
    """What was seen before a frame.

    Attributes:
        bands: for each of the network's neighbours; None: nothing.
    """

    bands: tuple[Band | None, ...]

    def clips(self, regions: NDArray[np.uint8], tiles: Sequence[Tile]) -> Clips:
        """Regions of the frame with their neighbours.

        Args:
            regions: (N, height, width, 3) uint8 RGB.
            tiles: where these lie in the image, N.
        """
        size = regions.shape[2], regions.shape[1]
        found = [
            neighbours_and_flows(region, [_pixels(band, tile, size) for band in self.bands])
            for region, tile in zip(regions, tiles, strict=True)
        ]
        return Clips(regions, *(np.stack(of_all) for of_all in zip(*found, strict=True)))


class Window:
    """The newest frames of one camera, as many as the network looks back: no more are kept.

    The neighbour at -k is the k-th newest of the frames before, whatever lies between them: a
    dropped frame leaves no place. One older than ``max_age`` is not there, nor is one after the
    frame (networks that were trained with such have the frame itself there).

    - A frame not newer than the newest (late, doubled) is looked at with those before it, and is
      not kept: what comes after it is as if it had not come.
    - One older by more than ``max_age`` begins anew, as a bag that is played again; so does one of
      another size.
    - One without a stamp (0) follows the newest.

    Args:
        neighbours: of the network, relative to a frame.
        max_age_s: greatest age of a neighbour, s.
    """

    def __init__(self, neighbours: Sequence[int], max_age_s: float) -> None:
        self._neighbours = tuple(neighbours)
        self._max_age_ns = round(max_age_s * 1e9)
        self.reset()

    def reset(self) -> None:
        """Forget the frames before."""
        self._kept: list[Band] = []  # newest first
        self._size = (0, 0)

    def follow(self, other: Window) -> None:
        """Go on with the frames of another window of the same camera."""
        self._kept, self._size = other._kept[: self._count], other._size

    def see(self, frame: Frame, tiles: Sequence[Tile]) -> Past:
        """What was before a frame, which is kept from now on.

        Args:
            frame: with its pixels at hand.
            tiles: what covers its distant band.
        """
        newest_ns = self._kept[0].frame.stamp_ns if self._kept else 0
        stamp_ns = frame.stamp_ns or newest_ns + 1
        if frame.size != self._size or stamp_ns < newest_ns - self._max_age_ns:
            self.reset()
        oldest_ns = stamp_ns - self._max_age_ns
        before = [band for band in self._kept if oldest_ns <= band.frame.stamp_ns < stamp_ns]
        past = Past(tuple(_at(before, offset) for offset in self._neighbours))
        if not self._kept or stamp_ns > self._kept[0].frame.stamp_ns:
            self._kept = [Band.of(frame, tiles, stamp_ns), *self._kept][: self._count]
            self._size = frame.size
        return past

    @property
    def _count(self) -> int:
        """Of the frames that are kept."""
        return -min(self._neighbours)


def _pixels(
    band: Band | None, tile: Tile, region_size: tuple[int, int]
) -> NDArray[np.uint8] | None:
    return None if band is None else band.pixels(tile, region_size)


def _at(before: Sequence[Band], offset: int) -> Band | None:
    """The frame at an offset, of those before, newest first."""
    return before[-offset - 1] if offset < 0 and -offset <= len(before) else None
