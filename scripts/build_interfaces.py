"""Build interfaces/vision_msgs into the virtual environment whose Python runs this.

Installed there, next to the ROS 2 wheels, it needs no environment variables to be imported.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "interfaces" / "vision_msgs"
BUILD = ROOT / "build" / "vision_msgs"
PREFIX = Path(sys.prefix)

EXPORTS = "share/*/cmake/export_*__rosidl_generator_pyExport.cmake"
FOREIGN_INCLUDES = re.compile(r'"/opt/python/cp[^"]*"')


def main() -> int:
    """Build and install; return CMake's exit status, with its output if it failed."""
    for path in sorted(PREFIX.glob(EXPORTS)):
        repair_includes(path)
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    log = BUILD / "build.log"
    for command in (configure_command(), install_command()):
        with log.open("w") as output:
            status = subprocess.run(command, env=environment(), stdout=output, stderr=output)
        if status.returncode:
            print(log.read_text(), file=sys.stderr)
            return status.returncode
    return 0


def repair_includes(path: Path) -> None:
    """Name this Python's and NumPy's headers where a wheel names those of its build machine."""
    includes = f'"{sysconfig.get_path("include")};{numpy.get_include()}"'
    path.write_text(FOREIGN_INCLUDES.sub(lambda _: includes, path.read_text()))


def configure_command() -> list[str]:
    """Return CMake's command line that prepares the build."""
    return [
        *("cmake", "-S", str(SOURCE), "-B", str(BUILD)),
        f"-DCMAKE_INSTALL_PREFIX={PREFIX}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DBUILD_TESTING=OFF",
    ]


def install_command() -> list[str]:
    """Return CMake's command line that builds and installs."""
    jobs = str(os.cpu_count() or 1)
    return ["cmake", "--build", str(BUILD), "--target", "install", "--parallel", jobs]


def environment() -> dict[str, str]:
    """Return the environment in which CMake finds the wheels' packages and generators."""
    path = f"{PREFIX / 'bin'}{os.pathsep}{os.environ['PATH']}"
    prefix = str(PREFIX)
    return {**os.environ, "PATH": path, "AMENT_PREFIX_PATH": prefix, "CMAKE_PREFIX_PATH": prefix}


if __name__ == "__main__":
    sys.exit(main())
