"""Check the types of the deployed package: `make types`.

The annotations are written for the types that NumPy 2 and the OpenCV made for it declare. Where a
ROS 2 distribution holds NumPy at 1, they are left to machines without one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run mypy; return its exit status, or 0 with a notice where it is left out."""
    if numpy.__version__.startswith("1."):
        print(f"types not checked: they need NumPy 2, ROS 2 here uses {numpy.__version__}")
        return 0
    return subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
