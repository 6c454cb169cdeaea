"""The demo: a drive goes through the real node over ROS 2 topics; pictures come out.

Run by ``make demo``; see the README.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from player import NAMESPACE, Answer, Player, write_answers
from tqdm import tqdm

from tasksr_ros.annotate import VideoWriter, contact_sheet, draw
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import NodeConfig, RegionConfig
from tasksr_ros.detect import frames_per_second, length
from tasksr_ros.drive.coco import write_coco
from tasksr_ros.errors import TaskSRError
from tasksr_ros.evaluation.range_table import range_table
from tasksr_ros.frames import Frame, to_bgr
from tasksr_ros.generated_drive import DriveConfig, GeneratedDrive
from tasksr_ros.recordings import Recording, open_recording
from tasksr_ros.regions import Rect, distant_band
from tasksr_ros.transport import transport_environment

ROOT = Path(__file__).resolve().parents[1]
INTERFACES = ROOT / "interfaces" / "vision_msgs"
DRIVE = DriveConfig(num_frames=60, fps=5.0, seed=7)
DOMAIN_ID = "87"
"""The demo's ROS domain, unless the user has chosen one."""
SHEET_IMAGES = 6


def main() -> int:
    """Run the demo; returns an exit status."""
    options = _options()
    if options.inside:
        return _play(options)
    # Fast DDS and the allocator read their settings when Python starts: start it again with them.
    command = [sys.executable, __file__, *sys.argv[1:], "--inside"]
    return subprocess.run(command, env=_environment()).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--bag", help="rosbag2 folder, .mcap or .db3 file")
    source.add_argument("--video", help="video file or folder of images")
    parser.add_argument("--topic", help="image topic, if the bag has several")
    parser.add_argument("--bundle", default=NodeConfig().bundle, help="model (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "out", help="output folder (%(default)s)"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _environment() -> dict[str, str]:
    """This machine only, and the transport that large images need, unless the user chose."""
    ours = {"ROS_DOMAIN_ID": DOMAIN_ID, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return {**ours, **transport_environment(ROOT, os.environ), **os.environ}


def _play(options: argparse.Namespace) -> int:
    try:
        out: Path = options.out
        out.mkdir(parents=True, exist_ok=True)
        recording = _recording(options)
        load_bundle(options.bundle)  # a wrong one is told here, in one line
        _run(recording, options.bundle, out)
    except TaskSRError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _recording(options: argparse.Namespace) -> Recording:
    if options.bag or options.video:
        return open_recording(options.bag or options.video, options.topic)
    folder = options.out / "drive"
    truth = folder / "ground_truth.json"
    if not truth.is_file():
        write_coco(GeneratedDrive(DRIVE), folder)
    return open_recording(folder)


def _run(recording: Recording, bundle: str, out: Path) -> None:
    region = RegionConfig(mode="fixed" if recording.camera is None else "distance")
    answers: list[Answer] = []
    print(f"starting the node; {recording.path} will be played over ROS 2 topics")
    with _node(bundle, region) as process, closing(Player(process, recording.camera)) as player:
        bar = tqdm(recording, total=length(recording), desc="playing", unit="frame")
        for frame in bar:
            answers.append(player.play(frame))
            bar.set_postfix_str(
                f"{sum(len(a.detections) for a in answers)} detections, "
                f"{np.median([a.latency_ms for a in answers]):.0f} ms"
            )
    (out / "detections.mcap").unlink(missing_ok=True)
    write_answers(answers, out / "detections.mcap", INTERFACES)
    sheet = _write_video(recording, answers, region, out / "annotated.mp4")
    cv2.imwrite(str(out / "contact_sheet.png"), sheet)
    _report(recording, answers, out)


@contextmanager
def _node(bundle: str, region: RegionConfig) -> Iterator[subprocess.Popen[bytes]]:
    """The node's process, ended at the end."""
    parameters = {"bundle": bundle, "region.mode": region.mode, "reliable": "true"}
    command = [sys.executable, "-m", "tasksr_ros.node", "--ros-args", "-r", f"__ns:=/{NAMESPACE}"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    # ROS 2 from wheels marks that Python found its libraries; the child looks for itself.
    environment = {k: v for k, v in os.environ.items() if k != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def _write_video(
    recording: Recording, answers: list[Answer], region: RegionConfig, path: Path
) -> NDArray[np.uint8]:
    """Write the annotated video; returns a contact sheet of its most interesting frames."""
    fps = frames_per_second(recording)
    chosen = _most_interesting(answers)
    kept: list[NDArray[np.uint8]] = []
    writer: VideoWriter | None = None
    for index, (frame, answer) in enumerate(zip(recording, answers, strict=True)):
        image = draw(to_bgr(frame), answer.detections, [_band(recording, frame, region)])
        writer = writer or VideoWriter(path, fps, frame.size)
        writer.write(image)
        if index in chosen:
            kept.append(image)
    if writer is not None:
        writer.close()
    return contact_sheet(kept)


def _most_interesting(answers: list[Answer]) -> set[int]:
    """The frame with the highest sum of scores in each of the drive's equal parts."""
    total = [float(answer.detections.score.sum()) for answer in answers]
    parts = np.array_split(np.arange(len(answers)), min(SHEET_IMAGES, len(answers)))
    return {int(part[np.argmax([total[i] for i in part])]) for part in parts}


def _report(recording: Recording, answers: list[Answer], out: Path) -> None:
    latency = [answer.latency_ms for answer in answers]
    found = sum(len(answer.detections) for answer in answers)
    print(
        f"{len(answers)} frames, {found} detections; image to detections: median "
        f"{np.median(latency):.0f} ms, 95 % within {np.percentile(latency, 95):.0f} ms"
    )
    truth = recording.path / "ground_truth.json"
    if truth.is_file():
        by_stamp = {answer.stamp_ns: answer.detections for answer in answers}
        print("recall by distance on the generated drive (a test card, not evidence):")
        print(range_table(json.loads(truth.read_text(encoding="utf-8")), by_stamp))
    for name in ("detections.mcap", "annotated.mp4", "contact_sheet.png"):
        print(f"  {out / name}")


def _band(recording: Recording, frame: Frame, region: RegionConfig) -> Rect:
    return distant_band(frame.size, region, recording.camera)


if __name__ == "__main__":
    sys.exit(main())
