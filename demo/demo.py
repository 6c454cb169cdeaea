"""The demo: a drive goes through the real node over ROS 2 topics; pictures come out.

Run by ``make demo``; see the README.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from player import NAMESPACE, Answer, Player, write_answers
from tqdm import tqdm

from tasksr_ros import generated_drive
from tasksr_ros.annotate import VideoWriter, contact_sheet, draw
from tasksr_ros.bundle import load_bundle
from tasksr_ros.config import NodeConfig, RegionConfig
from tasksr_ros.detect import fitted, frames_per_second
from tasksr_ros.drive.coco import write_coco
from tasksr_ros.errors import TaskSRError
from tasksr_ros.evaluation.range_table import range_table
from tasksr_ros.frames import Frame, to_bgr
from tasksr_ros.generated_drive import DriveConfig, GeneratedDrive
from tasksr_ros.recordings import Recording, length, make_folder, open_recording
from tasksr_ros.regions import Rect, distant_band
from tasksr_ros.replay.node_process import node_process
from tasksr_ros.transport import transport_environment

ROOT = Path(__file__).resolve().parents[1]
DRIVE = DriveConfig(num_frames=40, fps=4.0, seed=7)
DOMAIN_ID = "87"
"""The demo's ROS domain, unless the user has chosen one."""
SHEET_IMAGES = 6
_interrupted = threading.Event()


def main() -> int:
    """Run the demo; returns an exit status."""
    options = _options()
    try:
        if options.inside:
            _play(options)
        else:
            _restart()
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    except (TaskSRError, OSError) as error:
        print(f"demo: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _restart() -> None:
    """Start Python again: Fast DDS and the allocator read their settings when it starts."""
    command = [sys.executable, __file__, *sys.argv[1:], "--inside"]
    os.execve(sys.executable, command, _environment())


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


def _play(options: argparse.Namespace) -> None:
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the node is ended, too
        signal.signal(ending, _interrupt)
    make_folder(options.out)
    recording = _recording(options)
    load_bundle(options.bundle)  # a wrong one is told here, in one line
    _run(recording, options.bundle, options.out)


def _interrupt(*_: object) -> None:
    # Set as well as raised: an exception raised in one of rclpy's destructors would be lost.
    _interrupted.set()
    raise KeyboardInterrupt


def _recording(options: argparse.Namespace) -> Recording:
    if options.bag or options.video:
        return open_recording(options.bag or options.video, options.topic)
    return open_recording(demo_drive(options.out, DRIVE))


def demo_drive(out: Path, config: DriveConfig) -> Path:
    """Folder of the generated drive, kept until its configuration or its generator changes."""
    folder = out / f"generated-drive-{_drive_key(config)}"
    for older in set(out.glob("generated-drive-" + "[0-9a-f]" * 8)) - {folder}:
        shutil.rmtree(older)
    if not (folder / "ground_truth.json").is_file():
        write_coco(GeneratedDrive(config), folder)
    return folder


def _drive_key(config: DriveConfig) -> str:
    generator = Path(generated_drive.__file__)
    digest = hashlib.sha256(repr(config).encode())
    for source in (generator, *sorted((generator.parent / "drive").glob("*.py"))):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


def _run(recording: Recording, bundle: str, out: Path) -> None:
    region = RegionConfig(mode="fixed" if recording.camera is None else "distance")
    answers: list[Answer] = []
    print(f"starting the node; {recording.path} will be played over ROS 2 topics")
    parameters = {"bundle": bundle, "region.mode": region.mode, "input.reliability": "reliable"}
    with (
        node_process(f"/{NAMESPACE}", parameters) as process,
        closing(Player(process, recording.camera, _interrupted)) as player,
        tqdm(recording, total=length(recording), desc="playing", unit="frame") as bar,
    ):
        for frame in bar:
            answers.append(player.play(frame))
            bar.set_postfix_str(
                f"{sum(len(a.detections) for a in answers)} detections, "
                f"{np.median([a.latency_ms for a in answers]):.0f} ms"
            )
    (out / "detections.mcap").unlink(missing_ok=True)
    write_answers(answers, out / "detections.mcap")
    sheet = _write_video(recording, answers, region, out / "annotated.mp4")
    cv2.imwrite(str(out / "contact_sheet.png"), sheet)
    _report(recording, answers, region, out)


def _write_video(
    recording: Recording, answers: list[Answer], region: RegionConfig, path: Path
) -> NDArray[np.uint8]:
    """Write the annotated video; returns a contact sheet of its most interesting frames.

    The video has the size of the first frame; frames of other sizes are scaled into it.
    """
    fps = frames_per_second(recording)
    chosen = _most_interesting(answers)
    kept: list[NDArray[np.uint8]] = []
    with ExitStack() as stack:
        video: VideoWriter | None = None
        for index, (frame, answer) in enumerate(zip(recording, answers, strict=True)):
            image = draw(to_bgr(frame), answer.detections, [_band(recording, frame, region)])
            if video is None:
                video = stack.enter_context(VideoWriter(path, fps, frame.size))
            video.write(fitted(image, video.size))
            if index in chosen:
                kept.append(image)
    return contact_sheet(kept)


def _most_interesting(answers: list[Answer]) -> set[int]:
    """The frame with the highest sum of scores in each of the drive's equal parts."""
    total = [float(answer.detections.score.sum()) for answer in answers]
    parts = np.array_split(np.arange(len(answers)), min(SHEET_IMAGES, len(answers)))
    return {int(part[np.argmax([total[i] for i in part])]) for part in parts}


def _report(recording: Recording, answers: list[Answer], region: RegionConfig, out: Path) -> None:
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
        ground_truth = json.loads(truth.read_text(encoding="utf-8"))
        print(range_table(ground_truth, by_stamp, region.min_distance))
    for name in ("detections.mcap", "annotated.mp4", "contact_sheet.png"):
        print(f"  {out / name}")


def _band(recording: Recording, frame: Frame, region: RegionConfig) -> Rect:
    return distant_band(frame.size, region, recording.camera)


if __name__ == "__main__":
    sys.exit(main())
