"""A replay to look at: a bag with the detections beside the images, videos, a contact sheet."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from tqdm import tqdm

from tasksr_ros.camera import CameraModel
from tasksr_ros.config import RegionConfig, ReplayConfig
from tasksr_ros.errors import RecordingError
from tasksr_ros.io.annotate import contact_sheet, draw
from tasksr_ros.io.frames import Frame, to_bgr
from tasksr_ros.io.make_bag import CameraTopics, append, connect, removed_on_error
from tasksr_ros.io.message_types import DETECTIONS, detection_array
from tasksr_ros.io.recording import Encoded, Pending, Recording, make_folder
from tasksr_ros.io.video_writer import VideoWriter, fitted, frame_rate
from tasksr_ros.regions import distant_band
from tasksr_ros.replay.outcome import Outcome
from tasksr_ros.replay.read_ahead import selected

logger = logging.getLogger(__name__)
Image = NDArray[np.uint8]
SHEET_IMAGES = 6


def write_bag(
    path: Path,
    recording: Recording,
    config: ReplayConfig,
    outcomes: Sequence[Outcome],
    regions: Mapping[str, RegionConfig],
) -> None:
    """Write an mcap bag: images as they were stored, CameraInfo, detections, annotated images.

    A camera's images on /front/image get /front/detections (vision_msgs/Detection2DArray) and
    /front/annotated/compressed (JPEG) beside them.

    Raises:
        RecordingError: if the folder exists or cannot be written.
    """
    make_folder(path.parent)
    try:
        writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        with removed_on_error(path), writer:
            cameras: dict[str, _CameraOutput] = {}
            for item, frame, outcome in _processed(recording, config, outcomes, "bag"):
                if item.camera not in cameras:
                    intrinsics = recording.cameras[item.camera]
                    cameras[item.camera] = _CameraOutput(writer, item, intrinsics)
                picture = _annotated(recording, frame, outcome, regions)
                cameras[item.camera].write(item, frame, outcome, picture)
    except (WriterError, OSError) as error:
        raise RecordingError(f"bag {path} cannot be written: {error}") from error


class _CameraOutput:
    """One camera's topics in the bag; its first image tells how images are stored."""

    def __init__(self, writer: Writer, first: Pending, camera: CameraModel | None) -> None:
        topic = first.camera.removesuffix("/compressed") or "/camera/image"
        beside = topic.rpartition("/")[0]
        self._writer = writer
        self._stored = isinstance(first.encoded(), Encoded)
        self._images = CameraTopics(writer, topic, camera, compressed=self._stored)
        self._detections = connect(writer, f"{beside}/detections", DETECTIONS)
        self._annotated = CameraTopics(writer, f"{beside}/annotated", None, compressed=True)

    def write(self, item: Pending, frame: Frame, outcome: Outcome, picture: Image) -> None:
        self._images.write(item.encoded() if self._stored else frame)
        message = detection_array(outcome.detections, frame.stamp_ns, frame.frame_id)
        append(self._writer, self._detections, frame.stamp_ns, message)
        self._annotated.write(Frame(picture, frame.stamp_ns, frame.frame_id, "bgr8"))


def write_videos(
    path: Path,
    recording: Recording,
    config: ReplayConfig,
    outcomes: Sequence[Outcome],
    regions: Mapping[str, RegionConfig],
) -> list[Path]:
    """Write an annotated video, or one for each of several cameras; return their paths.

    A video has the size of its first frame; frames of other sizes are scaled into it.

    Raises:
        RecordingError: if a video cannot be written.
    """
    make_folder(path.parent)
    cameras = list(dict.fromkeys(outcome.camera for outcome in outcomes if not outcome.error))
    paths = {camera: _video_path(path, camera, len(cameras)) for camera in cameras}
    writers: dict[str, VideoWriter] = {}
    with ExitStack() as stack:
        for item, frame, outcome in _processed(recording, config, outcomes, "video"):
            if item.camera not in writers:
                target = stack.enter_context(_whole_file(paths[item.camera]))
                mine = [o for o in outcomes if o.camera == item.camera and not o.error]
                fps = frame_rate([o.stamp_ns for o in mine])
                video = stack.enter_context(VideoWriter(target, fps, frame.size))
                writers[item.camera] = video
            picture = _annotated(recording, frame, outcome, regions)
            writers[item.camera].write(fitted(picture, writers[item.camera].size))
    return list(paths.values())


def _video_path(path: Path, camera: str, num_cameras: int) -> Path:
    if num_cameras == 1:
        return path
    return path.with_stem(f"{path.stem}_{camera.strip('/').replace('/', '_')}")


def write_sheet(
    path: Path,
    recording: Recording,
    config: ReplayConfig,
    outcomes: Sequence[Outcome],
    regions: Mapping[str, RegionConfig],
) -> None:
    """Write a picture (PNG or JPEG, by its name) of the most interesting frames, annotated.

    Raises:
        RecordingError: if it cannot be written.
    """
    make_folder(path.parent)
    chosen = _most_interesting([outcome for outcome in outcomes if not outcome.error])
    sheet = contact_sheet(
        [
            _annotated(recording, frame, outcome, regions)
            for _, frame, outcome in _processed(recording, config, chosen, "sheet")
        ]
    )
    if not cv2.imwrite(str(path), sheet):
        raise RecordingError(f"picture {path} cannot be written")


def _most_interesting(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The frame with the highest sum of scores in each of the recording's equal parts."""
    total = [float(outcome.detections.score.sum()) for outcome in outcomes]
    parts = np.array_split(np.arange(len(outcomes)), min(SHEET_IMAGES, len(outcomes)))
    return [outcomes[max(part, key=total.__getitem__)] for part in parts]


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` once all is written.

    An interruption leaves what was written, unless there is a whole one of an earlier run.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            target = Path(folder) / path.name
            try:
                yield target
            except KeyboardInterrupt:
                if target.exists() and not path.exists():
                    target.replace(path)
                    logger.warning("interrupted: %s holds the first frames alone", path)
                raise
            target.replace(path)
    except OSError as error:
        raise RecordingError(f"video {path} cannot be written: {error}") from error


def _processed(
    recording: Recording, config: ReplayConfig, outcomes: Sequence[Outcome], what: str
) -> Iterator[tuple[Pending, Frame, Outcome]]:
    """The frames of a recording that were processed, again, with what became of them."""
    found = {(o.camera, o.index): o for o in outcomes if not o.error}
    with tqdm(total=len(found), desc=what, unit="frame") as bar:
        try:
            for item in selected(recording, config):
                outcome = found.get((item.camera, item.index))
                if outcome is not None:
                    yield item, item.load(), outcome
                    bar.update()
        except RecordingError:
            return  # the recording is damaged: the replay has said so


def _annotated(
    recording: Recording, frame: Frame, outcome: Outcome, regions: Mapping[str, RegionConfig]
) -> Image:
    camera = outcome.camera
    band = distant_band(frame.size, regions[camera], recording.cameras[camera])
    return draw(to_bgr(frame), outcome.detections, [band])
