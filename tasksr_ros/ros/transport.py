"""What ROS 2 needs from the environment to carry large images between processes.

A 1080p image is larger than Fast DDS's default shared-memory segment, and the C allocator returns
memory of that size to the system with every message. Fast DDS and the allocator
read their settings when a process starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tasksr_ros.share import share_folders

PROFILE = Path("config") / "dds" / "fastdds_large_images.xml"
"""Fast DDS profile with a large shared-memory segment, below the package's share folder."""

_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}


def transport_environment(share: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to add to ``environment``; none that the user has set.

    Args:
        share: the package's share folder, or the checkout.
        environment: that the process would have.
    """
    profile = str(share / PROFILE)
    wanted = {
        "FASTRTPS_DEFAULT_PROFILES_FILE": profile,  # read by Jazzy's Fast DDS 2.14
        "FASTDDS_DEFAULT_PROFILES_FILE": profile,  # read by Kilted's Fast DDS 3
        **_ALLOCATOR,
    }
    return {name: value for name, value in wanted.items() if name not in environment}


def restart_with_transport() -> None:
    """Start this program again with these variables, unless it has them: it must be ``tasksr``."""
    added = transport_environment(share_folder(), os.environ)
    if added:
        command = [sys.executable, "-m", "tasksr_ros.cli", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **added})


def share_folder() -> Path:
    """The checkout, or the installed package's share folder."""
    folders = share_folders()
    return next((folder for folder in folders if (folder / PROFILE).is_file()), folders[0])
