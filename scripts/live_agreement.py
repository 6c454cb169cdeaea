"""Whether a live replay finds what an offline one does: one bag, both ways, detection by detection.

.venv/bin/python scripts/live_agreement.py IMAGES --ground-truth COCO.json --every 5 --period 2

Makes a bag of the recording, one frame each ``--period`` seconds so that the node can keep up,
replays it offline and through a node over ROS 2 topics, and compares both predictions files on
the frames that the node did not drop. Ends with status 1 if they differ.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tasksr_ros.evaluation.agreement import agreement
from tasksr_ros.folders import FolderRecording
from tasksr_ros.frames import Frame
from tasksr_ros.make_bag import make_bag
from tasksr_ros.recordings import Encoded, Pending, Recording, open_recording
from tasksr_ros.replay.truth_images import TruthImages

START_NS = 1_000_000_000


class Spaced(Recording):
    """Every n-th frame of another recording, with stamps of an even rate."""

    def __init__(self, recording: Recording, every: int, period_s: float) -> None:
        self._recording, self._every, self._period_s = recording, every, period_s
        self.path, self.cameras = recording.path, recording.cameras

    def __len__(self) -> int:
        return -(-len(self._recording) // self._every)

    def pending(self) -> Iterator[Pending]:
        """The frames that are left."""
        for item in self._recording.pending():
            index, rest = divmod(item.index, self._every)
            if rest == 0:
                stamp = START_NS + round(index * self._period_s * 1e9)
                yield replace(item, index=index, stamp_ns=stamp)

    def __iter__(self) -> Iterator[Frame]:
        return (replace(item.load(), stamp_ns=item.stamp_ns) for item in self.pending())

    def encoded(self) -> Iterator[Encoded | Frame]:
        """The same, but what is stored as JPEG or PNG stays so."""
        return (replace(item.encoded(), stamp_ns=item.stamp_ns) for item in self.pending())


def main() -> int:
    """Print one line of what was compared; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path, help="folder, KITTI drive, video or bag")
    parser.add_argument("--ground-truth", type=Path, help="COCO file: only its images of a folder")
    parser.add_argument("--every", type=int, default=1, help="every n-th frame (%(default)s)")
    parser.add_argument("--period", type=float, default=2.0, help="s between frames (%(default)s)")
    parser.add_argument("--raw", action="store_true", help="Image messages, not CompressedImage")
    parser.add_argument("--out", type=Path, default=Path("out/agreement"), help="(%(default)s)")
    options, replay_options = parser.parse_known_args()  # the rest is `tasksr replay`'s
    recording = open_recording(options.recording)
    if options.ground_truth:
        files = TruthImages.read(options.ground_truth).files(options.recording)
        recording = FolderRecording(options.recording, list(files))
    bag = options.out / "bag"
    shutil.rmtree(bag, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    make_bag(Spaced(recording, options.every, options.period), bag, compressed=not options.raw)
    offline, live = options.out / "offline.json", options.out / "live.json"
    for predictions, how in ((offline, ["--restart"]), (live, ["--live"])):
        command = [sys.executable, "-m", "tasksr_ros.cli", "replay", str(bag), *how]
        command += ["--predictions", str(predictions), *replay_options]
        status = subprocess.run(command).returncode
        if status:
            return status
    found = agreement(offline, live)
    print(f"{options.recording}: {found}")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
