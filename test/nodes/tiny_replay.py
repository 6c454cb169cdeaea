"""What the tests of replays with the tiny bundle share."""

from __future__ import annotations

FAST = (
    *("--engine", "torch", "--region", "full"),
    *("--region.tile_overlap", "8", "--least_score", "-1"),
)
"""Options for images of one tile, with the bundle's own threshold."""
