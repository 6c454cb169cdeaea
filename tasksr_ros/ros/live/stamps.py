"""Whether a frame's stamp is believable: what is done is the user's to say, and is counted.

A stamp is copied to what is published, or the frame is dropped; it is never mended.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tasksr_ros.config import StampConfig

ZERO = "zero stamp"
FUTURE = "future stamp"
REPEATED = "repeated stamp"
OUT_OF_ORDER = "out of order"


@dataclass(frozen=True)
class Verdict:
    """On one stamp.

    Attributes:
        finding: what is remarkable about it, or "".
        accepted: whether the frame goes on.
        jumped_back: whether it begins a new course of time, as a bag does that is played again.
    """

    finding: str = ""
    accepted: bool = True
    jumped_back: bool = False


class StampGate:
    """Judges the stamps of one camera in the order in which its messages come."""

    def __init__(self, config: StampConfig) -> None:
        self._config = config
        self._newest_ns: int | None = None

    def restart(self) -> None:
        """Forget the stamps seen: a new course of time begins."""
        self._newest_ns = None

    def judge(self, stamp_ns: int, now_ns: int) -> Verdict:
        """Judge the next stamp.

        Args:
            stamp_ns: of the message, ns.
            now_ns: ROS time, ns; 0 where it is not known yet, as before the first /clock.
        """
        config = self._config
        if stamp_ns == 0:
            return Verdict(ZERO, config.zero == "accept")
        if now_ns and stamp_ns - now_ns > config.future_tolerance * 1e9:
            if config.future == "drop":
                return Verdict(FUTURE, False)
            order = self._order(stamp_ns)
            return replace(order, finding=FUTURE) if order.accepted else order
        return self._order(stamp_ns)

    def _order(self, stamp_ns: int) -> Verdict:
        newest = self._newest_ns
        if newest is None or stamp_ns > newest:
            self._newest_ns = stamp_ns
            return Verdict()
        if stamp_ns == newest:
            return Verdict(REPEATED, self._config.repeated == "accept")
        if newest - stamp_ns > self._config.jump_back * 1e9:
            self._newest_ns = stamp_ns
            return Verdict(jumped_back=True)
        return Verdict(OUT_OF_ORDER, False)
