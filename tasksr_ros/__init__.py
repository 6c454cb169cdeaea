"""Task-driven super-resolution for distant pedestrian detection."""

from tasksr_ros._version import __version__

__all__ = ["__version__"]
