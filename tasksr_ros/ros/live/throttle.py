"""So that the log is not flooded."""

from __future__ import annotations


class Throttle:
    """Lets each kind of message through once per period; no kind has to wait for another.

    Args:
        period_s: of steady time.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_s: dict[str, float] = {}

    def passes(self, what: str, now_s: float) -> bool:
        """Whether a message of the kind ``what`` (one of few) may be logged now, s."""
        if now_s - self._last_s.get(what, -self._period_s) < self._period_s:
            return False
        self._last_s[what] = now_s
        return True
