"""The demo: a drive goes through the real node over ROS 2 topics; pictures come out.

Run by ``make demo``; see the README. Behind it are commands of ``tasksr``, which it shows.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import sys
from pathlib import Path

from tasksr_ros.cli.arguments import exit_status
from tasksr_ros.cli.main import main as tasksr
from tasksr_ros.config import NodeConfig
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.recording import make_folder
from tasksr_ros.ros.transport import transport_environment
from tasksr_ros.synthetic import drive as generated_drive
from tasksr_ros.synthetic.coco import write_coco
from tasksr_ros.synthetic.drive import DriveConfig, GeneratedDrive

ROOT = Path(__file__).resolve().parents[1]
DRIVE = DriveConfig(num_frames=30, fps=3.0, seed=7)
DOMAIN_ID = "87"
"""The demo's ROS domain, unless the user has chosen one."""
FPPI = 0.3
"""False positives per image of its report: those that the default bundle's threshold is for."""


def main() -> int:
    """Run the demo; returns an exit status."""
    options = _options()
    _restart_with_environment()
    drive = options.out / "generated-drive"
    source = Path(options.bag or options.video or drive)
    status = exit_status("demo", lambda: _prepare(source, drive, options.out / "bag"))
    for command in _commands(source, options):
        if status == 0:
            print(f"tasksr {shlex.join(command)}", flush=True)
            status = tasksr(command)
    if status == 0:
        print(f"done: {', '.join(sorted(path.name for path in options.out.iterdir()))}")
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--bag", help="rosbag2 folder, .mcap or .db3 file")
    source.add_argument("--video", help="video file, folder of images or KITTI drive")
    parser.add_argument("--topic", help="image topic, if the bag has several")
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "out", help="output folder (%(default)s)"
    )
    return parser.parse_args()


def _restart_with_environment() -> None:
    """Start Python again unless it has what the demo wants and the user has not chosen.

    This machine only, in a domain of its own; and the transport that large images need, which
    Fast DDS and the allocator read when a process starts.
    """
    ours = {"ROS_DOMAIN_ID": DOMAIN_ID, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    added = {**ours, **transport_environment(ROOT, os.environ), **os.environ}
    if added != os.environ:
        os.execve(sys.executable, [sys.executable, __file__, *sys.argv[1:]], added)


def _prepare(source: Path, drive: Path, bag: Path) -> None:
    """Make the drive if it is what is replayed, and room for the bag that will be written."""
    if source == drive:
        make_drive(drive, DRIVE)
    if not source.exists():
        return  # the replay says so
    if bag.exists() and source.resolve().is_relative_to(bag.resolve()):
        raise RecordingError(f"the recording {source} must not be what the demo writes: {bag}")
    shutil.rmtree(bag, ignore_errors=True)


def make_drive(folder: Path, config: DriveConfig) -> None:
    """Generate the drive, unless it is there and neither its settings nor its generator changed."""
    digest = hashlib.sha256(repr(config).encode())
    for file in sorted(Path(generated_drive.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    made_of = folder / "made_of.txt"
    if made_of.is_file() and made_of.read_text() == digest.hexdigest():
        return
    make_folder(folder.parent)
    shutil.rmtree(folder, ignore_errors=True)
    write_coco(GeneratedDrive(config), folder)
    made_of.write_text(digest.hexdigest())


def _commands(source: Path, options: argparse.Namespace) -> list[list[str]]:
    """The replay through a node of its own and, where the truth is known, the evaluation."""
    out, truth = options.out, source / "ground_truth.json"
    ground_truth = ["--ground-truth", str(truth)] if truth.is_file() else []
    predictions = ["--predictions", str(out / "predictions.json")]
    replay = [
        *("replay", str(source), "--live", "--wait", "true", *predictions, *ground_truth),
        *("--bundle", options.bundle, *(["--topic", options.topic] if options.topic else [])),
        *("--bag", str(out / "bag"), "--video", str(out / "annotated.mp4")),
        *("--sheet", str(out / "contact_sheet.png")),
    ]
    report = ["--html", str(out / "report.html"), "--fppi", str(FPPI)]
    evaluate = ["evaluate", *ground_truth, *predictions, *report]
    return [replay, evaluate] if ground_truth else [replay]


if __name__ == "__main__":
    sys.exit(main())
