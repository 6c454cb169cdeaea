"""Build the package as colcon does and test what an installation can break: `make colcon`.

colcon reports a package without tests as a success, so the tests that ran are counted as well. The
whole suite is `make unit`'s work, and that of whoever runs `colcon test` without these options.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKSPACE = ROOT / "build" / "colcon"
TESTS = "test/test_installed.py"
SUMMARY = re.compile(
    r"^Summary: (\d+) tests?, (\d+) errors?, (\d+) failures?, (\d+) skipped", re.MULTILINE
)


def main() -> int:
    """Build, test and count; return 0 if tests ran and none failed."""
    shutil.rmtree(WORKSPACE, ignore_errors=True)
    folders = ("--build-base", WORKSPACE / "build", "--install-base", WORKSPACE / "install")
    package = ("--base-paths", ROOT, *folders)
    options = ("--return-code-on-test-failure", "--pytest-args", TESTS)
    commands = (
        ("build", *package),
        ("test", *package, "--event-handlers", "console_direct+", *options),
    )
    for command in commands:
        status = subprocess.run(colcon(*command), cwd=ROOT, env=environment()).returncode
        if status:
            print(f"colcon {command[0]} failed with status {status}", file=sys.stderr)
            return status
    return count_tests()


def colcon(*arguments: str | Path) -> list[str | Path]:
    """Return a command line of this environment's colcon, logging under build/."""
    return [sys.executable, "-m", "colcon", "--log-base", WORKSPACE / "log", *arguments]


def environment() -> dict[str, str]:
    """Return the environment of a shell in which ROS 2 is sourced."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"AMENT_PREFIX_PATH": sys.prefix, **os.environ, "PATH": path}


def count_tests() -> int:
    """Print colcon's summary of the test results; return 0 if some ran and all passed."""
    command = colcon("test-result", "--all", "--test-result-base", WORKSPACE / "build")
    output = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    print(output.stdout + output.stderr, end="")
    summary = SUMMARY.search(output.stdout)
    tests, errors, failures, skipped = map(int, summary.groups()) if summary else (0, 0, 0, 0)
    if tests == skipped:
        print("colcon test ran no tests", file=sys.stderr)
    return int(tests == skipped or errors + failures > 0)


if __name__ == "__main__":
    sys.exit(main())
