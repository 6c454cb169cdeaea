"""Whether a live replay finds what an offline one does, detection by detection.

    .venv/bin/python -m benchmarks.agreement RECORDING --ground-truth COCO.json --every 5

Replays a recording offline, and through a node over ROS 2 topics that is waited for, and compares
both predictions files on the frames that the node answered. Ends with status 1 if they differ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tasksr_ros.evaluation.agreement import agreement


def main() -> int:
    """Print one line of what was compared; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agreement",
        description="Other options are those of `tasksr replay`.",
    )
    parser.add_argument("recording", help="folder, KITTI drive, video or bag")
    parser.add_argument("--out", type=Path, default=Path("out/agreement"), help="(%(default)s)")
    options, replay_options = parser.parse_known_args()
    offline, live = options.out / "offline.json", options.out / "live.json"
    for predictions, how in ((offline, ["--restart"]), (live, ["--live", "--wait", "true"])):
        command = [sys.executable, "-m", "tasksr_ros.cli", "replay", options.recording, *how]
        command += ["--predictions", str(predictions), *replay_options]
        status = subprocess.run(command).returncode
        if status:
            return status
    found = agreement(offline, live)
    print(f"{options.recording}: {found}")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
