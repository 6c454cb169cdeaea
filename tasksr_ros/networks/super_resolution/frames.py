"""Which frames a video network looks at; without PyTorch, for who only cuts them out."""

from __future__ import annotations

NUM_FRAMES = {"rbpn": 7, "rbpn-4": 4, "rbpn-small": 7, "rbpn-small-4": 4}
"""The target and its neighbours, by the name of a video network."""


def neighbour_offsets(num_frames: int, *, past_only: bool = False) -> tuple[int, ...]:
    """Frames that the reference code takes as neighbours, in its order, relative to the target.

    Past and future frames ("-PF" in the paper), oldest first: 7 frames give -3, -2, -1, 1, 2, 3,
    and 4 give -2, -1, 1. With ``past_only`` nearest first: -1, -2, …

    Raises:
        ValueError: for fewer than two frames.
    """
    if num_frames < 2:
        raise ValueError(f"num_frames must be at least 2, got {num_frames}")
    if past_only:
        return tuple(range(-1, -num_frames, -1))
    oldest = -(num_frames // 2)
    return tuple(offset for offset in range(oldest, oldest + num_frames) if offset != 0)
