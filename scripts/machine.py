"""What the machine offers: a ROS 2 distribution, or what it takes to do without one."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path

DISTRIBUTIONS = ("jazzy", "kilted")
ROS_PACKAGES = ("rclpy", "vision_msgs")
INSTALLED_ROOT = Path("/opt/ros")


class SetupError(Exception):
    """Something on this machine stands in the way; the message says what to do about it."""


def sourced_distribution() -> str | None:
    """Return the name of the sourced ROS 2 distribution, or None.

    Raises:
        SetupError: for one that cannot be used. It cannot be passed over either, since its
            PYTHONPATH would hide the wheels.
    """
    name = os.environ.get("ROS_DISTRO")
    if not name:
        return None
    if name not in DISTRIBUTIONS:
        raise SetupError(
            f"ROS 2 {name} is sourced, expected {' or '.join(DISTRIBUTIONS)}; use a shell in "
            "which it is not sourced"
        )
    missing = [package for package in ROS_PACKAGES if not importlib.util.find_spec(package)]
    if missing:
        packages = " ".join(f"ros-{name}-{package.replace('_', '-')}" for package in missing)
        raise SetupError(f"ROS 2 {name} lacks {', '.join(missing)}: sudo apt install {packages}")
    return name


def describe(distribution: str | None) -> str:
    """Say in a line which ROS 2 will be used."""
    if distribution:
        return f"using the sourced ROS 2 {distribution}"
    installed = [name for name in DISTRIBUTIONS if (INSTALLED_ROOT / name).is_dir()]
    if installed:
        script = INSTALLED_ROOT / installed[0] / "setup.bash"
        return f"no ROS 2 is sourced (source {script} to use it): using ROS 2 Jazzy from wheels"
    return "no ROS 2 distribution here: using ROS 2 Jazzy from wheels"


def check(distribution: str | None) -> None:
    """Raise SetupError if something is missing that pip cannot install."""
    packages = [] if importlib.util.find_spec("ensurepip") else ["python3-venv"]
    if not distribution:
        _check_wheels_exist()
        packages += _missing_build_tools()
    if packages:
        raise SetupError(f"missing packages: sudo apt install {' '.join(packages)}")


def numpy_major() -> int | None:
    """Return the major version of this Python's NumPy, or None without one."""
    if not importlib.util.find_spec("numpy"):
        return None
    import numpy

    return int(numpy.__version__.split(".")[0])


def _check_wheels_exist() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    here = f"{platform.system()} {platform.machine()}, Python {version}"
    if (platform.system(), platform.machine()) != ("Linux", "x86_64") or not (
        (3, 10) <= sys.version_info[:2] <= (3, 13)
    ):
        raise SetupError(
            f"ROS 2 wheels exist for Linux x86_64 with Python 3.10 to 3.13, this is {here}: "
            "source a ROS 2 distribution, or name another interpreter: make PYTHON=python3.12"
        )


def _missing_build_tools() -> list[str]:
    """Return the apt packages without which vision_msgs cannot be built."""
    packages = []
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        packages.append("python3-dev")
    if not (shutil.which("c++") and shutil.which("cc") and shutil.which("make")):
        packages.append("build-essential")
    if not shutil.which("cmake"):
        packages.append("cmake")
    return packages
