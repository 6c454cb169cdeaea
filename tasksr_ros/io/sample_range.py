"""Whether the samples of images of 16 bits use them: twelve bits right-aligned are near black."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from tasksr_ros.io.frames import ENCODINGS, Frame

logger = logging.getLogger(__name__)

FRAMES = 10
"""That are looked at before a camera counts as dark."""
_DARK = 8
"""A maximum below one in so many is told."""


@dataclass
class SampleRange:
    """Looks at the first frames of one camera, and warns once.

    Attributes:
        seen: frames of 16 bits so far.
        largest: of their samples, as a share of the largest that counts; 1 is white.
    """

    seen: int = 0
    largest: float = 0.0
    _done: bool = False

    def look(self, frame: Frame) -> None:
        """Take a decoded frame into account."""
        raw = ENCODINGS[frame.encoding].bits == 16
        if self._done or not (raw or frame.from_16_bits):
            return
        white = frame.white if raw else 255
        self.seen += 1
        self.largest = max(self.largest, float(np.max(frame.image)) / white)
        if self.largest > 1:
            self._warn(
                f"samples reach {self.largest * white:.0f}, more than the {white} of "
                f"decoding.significant_bits {frame.significant_bits}: what is above is white"
            )
        elif self.largest * _DARK >= 1:
            self._done = True
        elif self.seen >= FRAMES:
            self.conclude()

    def conclude(self) -> None:
        """There are no more frames."""
        if self.seen and not self._done:
            self._warn(
                f"in {self.seen} images of 16 bits no sample reaches more than "
                f"{100 * self.largest:.1f} % of white: if the camera sends fewer bits "
                f"right-aligned, say so (decoding.significant_bits 12, for example)"
            )

    def _warn(self, text: str) -> None:
        self._done = True
        logger.warning(text)
