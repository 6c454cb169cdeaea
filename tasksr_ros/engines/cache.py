"""Where compiled models are kept."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path

from tasksr_ros.config import EngineConfig


def cache_folder(config: EngineConfig) -> Path:
    """The configured folder, or ``tasksr_ros`` under the user's cache directory."""
    if config.cache_dir:
        return Path(config.cache_dir).expanduser()
    return user_cache_path("tasksr_ros", appauthor=False)
